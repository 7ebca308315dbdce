//! The screens in the guide are those of the program: `UPDATE_SCREENS=1 tests/run terminal::screens::` takes
//! them anew.

use std::path::Path;

use super::OnTerminal;
use crate::support::Harness;

const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operate.md");
const CONVERSATIONS: u64 = 2000;
/// Where the screens stand in the guide.
const BEGIN: &str = "While it searches:\n";
const END: &str = "\n## Configuration, signals, exit codes\n";
/// The words before the screens of each moment.
const MOMENTS: [&str; 4] = [
    "While it searches:",
    "While it downloads:",
    "Shortly before the end:",
    "At the end the bars are gone, and the totals stand last, on standard output:",
];

/// The number of a stage on a screen.
fn done(lines: &[String], stage: &str) -> Option<u64> {
    let line = lines.iter().find(|line| line.contains(stage))?;
    let (before, _) = line.split_once(" of ")?;
    before
        .split_whitespace()
        .last()?
        .replace(',', "")
        .parse()
        .ok()
}

/// The screens of a run at four moments.
async fn screens(harness: &Harness, columns: u16) -> Vec<Vec<String>> {
    let output = harness.folder.path().join(format!("demo-{columns}"));
    let output = output.display().to_string();
    let count = CONVERSATIONS.to_string();
    let arguments = ["demo", "--conversations", &count, "--output", &output];
    let mut run = OnTerminal::start(harness, columns, &arguments, None);
    let mut taken = Vec::new();
    while let Some(lines) = run.next().await {
        let whole = lines.last().is_some_and(|line| line.contains("  API "));
        let (found, stored) = (done(&lines, " discovered "), done(&lines, " stored "));
        let (Some(found), Some(stored), true) = (found, stored, whole) else {
            continue;
        };
        let reached = match taken.len() {
            0 => found > 500 && found < CONVERSATIONS,
            1 => stored >= 400,
            2 => stored >= 1600,
            _ => false,
        };
        if reached {
            taken.push(lines);
        }
    }
    let code = run.code().await;
    assert_eq!(code, Some(3), "{:#?}", run.lines());
    // Without the lines that name this run's folder.
    let lines = run.lines();
    let until = lines
        .iter()
        .position(|line| line.contains("files          "));
    taken.push(lines[..until.unwrap()].to_vec());
    taken
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_shows_a_run_as_a_terminal_does() {
    let harness = super::harness(1).await;
    let narrow = screens(&harness, 80).await;
    let wide = screens(&harness, 200).await;
    assert_eq!((narrow.len(), wide.len()), (4, 4));
    let mut section = String::new();
    for ((words, narrow), wide) in MOMENTS.iter().zip(&narrow).zip(&wide) {
        section += &format!("{words}\n");
        for screen in [narrow, wide] {
            section += &format!("\n```\n{}\n```\n", screen.join("\n"));
        }
        section += "\n";
    }
    let guide = std::fs::read_to_string(Path::new(GUIDE)).unwrap();
    let (before, rest) = guide.split_once(BEGIN).unwrap();
    let (shown, after) = rest.split_once(END).unwrap();
    if std::env::var_os("UPDATE_SCREENS").is_some() {
        let text = format!("{before}{}\n{}{after}", section.trim_end(), END);
        std::fs::write(GUIDE, text).unwrap();
        return;
    }
    // Numbers and times differ from run to run; the form does not.
    let form = |text: &str| {
        // So does the work that is waited for.
        let differs = |line: &&str| line.contains("unavailable") || line.starts_with("waits");
        let letters = text.lines().filter(|line| !differs(line));
        let letters = letters.map(|line| {
            let words = line.split_whitespace();
            let words = words.filter(|word| word.chars().all(|c| c.is_ascii_lowercase()));
            words
                .filter(|word| word.len() > 4)
                .collect::<Vec<_>>()
                .join(" ")
        });
        letters
            .filter(|line| line.contains("discovered") || line.contains("conversations"))
            .collect::<Vec<_>>()
    };
    let now = section.strip_prefix(BEGIN).unwrap();
    assert_eq!(form(shown), form(now), "UPDATE_SCREENS=1 takes them anew");
}
