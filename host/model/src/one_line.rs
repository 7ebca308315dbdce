//! Texts of others as they may stand in a line: nothing in them steers a terminal or begins another line.

/// A text in one line: characters that control, end a line, hide, or turn the direction of writing are
/// written out.
#[must_use]
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match steers(c) {
            true => line.extend(c.escape_unicode()),
            false => line.push(c),
        }
    }
    line
}

/// A text of several lines of our own, in which nothing else steers a terminal.
#[must_use]
pub fn lines(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(one_line).collect();
    lines.join("\n")
}

/// Returns true for control characters, ends of lines, and those that hide or turn text around.
#[must_use]
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_steers_a_terminal_or_begins_another_line() {
        assert_eq!(one_line("Größe: 7 µs, 👩‍💻"), "Größe: 7 µs, 👩‍💻");
        assert_eq!(
            one_line("\u{1b}[2Jx\nerror: all is lost\r\u{202e}ok\u{7}\u{9b}"),
            "\\u{1b}[2Jx\\u{a}error: all is lost\\u{d}\\u{202e}ok\\u{7}\\u{9b}"
        );
        assert_eq!(lines("a\n\tb\u{1b}"), "a\n\\u{9}b\\u{1b}");
    }
}
