//! Texts of a component, for people: bounded, and without what would steer a terminal or forge a line.

use recording_host_model::steers;

/// Where a text is cut, in bytes.
const LONGEST: usize = 2000;

/// A text as it may stand in a line of a log: characters that control are written out, and what is too long
/// is cut.
pub(crate) fn line(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars() {
        if line.len() >= LONGEST {
            line.push('…');
            break;
        }
        match c {
            '\t' => line.push(' '),
            c if steers(c) => line.extend(c.escape_unicode()),
            c => line.push(c),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_steers_a_terminal_or_begins_another_line() {
        assert_eq!(line("Größe: 7 µs"), "Größe: 7 µs");
        let hostile = line("\u{1b}[2Jx\nerror: all is lost\r\u{202e}ok\u{7}");
        assert_eq!(
            hostile,
            "\\u{1b}[2Jx\\u{a}error: all is lost\\u{d}\\u{202e}ok\\u{7}"
        );
        assert!(line(&"A".repeat(5_000_000)).len() < 2 * LONGEST);
    }
}
