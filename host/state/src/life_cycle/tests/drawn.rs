//! The architecture page draws the table of transitions.

use super::super::{Stage, Transition};

/// The diagram and the table of stages as the documentation has them.
fn drawn() -> String {
    let mut text = "```mermaid\nstateDiagram-v2\n".to_owned();
    for transition in Transition::ALL {
        let (from, to) = transition.ends();
        let from = from.map_or("[*]".to_owned(), |from| format!("{from:?}"));
        let mut label = String::new();
        for letter in format!("{transition:?}").chars() {
            if letter.is_uppercase() && !label.is_empty() {
                label.push(' ');
            }
            label.extend(letter.to_lowercase());
        }
        text += &format!("    {from} --> {to:?}: {label}\n");
    }
    text + "```\n"
}

#[test]
fn the_architecture_page_draws_the_table() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/architecture.md");
    let page = std::fs::read_to_string(page).unwrap();
    let expected = drawn();
    assert!(
        page.contains(&expected),
        "docs/architecture.md must have:\n{expected}"
    );
    for stage in Stage::ALL {
        let row = format!("| {stage:?} | `{}` |", stage.condition());
        assert!(page.contains(&row), "docs/architecture.md must have: {row}");
    }
}
