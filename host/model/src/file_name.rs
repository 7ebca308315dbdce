//! File names that are safe for object keys.

use sha2::{Digest, Sha256};

use crate::hex;

/// How long a safe name may be, in bytes; file systems take 255.
pub const LONGEST_FILE_NAME: usize = 120;

/// How much of a name is printed, in characters.
const PRINTABLE: usize = 80;

/// A name for messages: short, and harmless to a terminal.
#[must_use]
pub fn printable(name: &str) -> String {
    let safe = |c: char| {
        if c.is_alphanumeric() || c.is_ascii_graphic() {
            c
        } else {
            '?'
        }
    };
    let mut printable: String = name.chars().take(PRINTABLE).map(safe).collect();
    if name.chars().nth(PRINTABLE).is_some() {
        printable.push('…');
    }
    printable
}

/// A file name that is a name in any key and any file system, and nothing more.
#[must_use]
pub fn safe_file_name(name: &str) -> String {
    let last = name
        .trim_end_matches(['/', '\\'])
        .rsplit(['/', '\\'])
        .next()
        .unwrap_or_default();
    let mut safe: String = last
        .chars()
        .map(|c| match c {
            '.' | '-' => c,
            c if c.is_alphanumeric() => c,
            _ => '_',
        })
        .collect();
    // Hidden on Unix at the front, cut off by Windows at the end.
    let dots = safe.len() - safe.trim_start_matches('.').len();
    safe.replace_range(..dots, &"_".repeat(dots));
    let kept = safe.trim_end_matches('.').len();
    let dots = safe.len() - kept;
    safe.replace_range(kept.., &"_".repeat(dots));
    if safe.is_empty() || reserved(&safe) {
        safe.insert(0, '_');
    }
    if safe.len() <= LONGEST_FILE_NAME {
        return safe;
    }
    // The part that is cut off still distinguishes names.
    let (stem, extension) = split_extension(&safe);
    let extension = if extension.len() <= 16 { extension } else { "" };
    let digest = &hex(&Sha256::digest(name))[..12];
    let room = stem.floor_char_boundary(LONGEST_FILE_NAME - extension.len() - digest.len() - 1);
    format!("{}-{digest}{extension}", &stem[..room])
}

/// Returns true if Windows takes a name for a device.
fn reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().to_uppercase();
    if matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL") {
        return true;
    }
    let port = stem
        .strip_prefix("COM")
        .or_else(|| stem.strip_prefix("LPT"));
    port.is_some_and(|port| {
        let mut digits = port.chars();
        let digit = digits.next();
        digits.next().is_none() && digit.is_some_and(|c| c.is_ascii_digit() || "¹²³".contains(c))
    })
}

/// A name without its extension, and the extension with its dot.
#[must_use]
pub fn split_extension(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) if dot > 0 => name.split_at(dot),
        _ => (name, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_show_names_that_do_nothing_to_a_terminal() {
        assert_eq!(printable("a\u{1b}[2J\u{202e}b c"), "a?[2J?b?c");
        assert_eq!(printable(&"x".repeat(100)).chars().count(), PRINTABLE + 1);
    }

    #[test]
    fn a_safe_name_is_a_name_in_every_file_system() {
        for (name, expected) in [
            ("a/b/x.wav", "x.wav"),
            ("../../etc/passwd", "passwd"),
            ("/abs", "abs"),
            ("a\\..\\b", "b"),
            ("..", "__"),
            ("", "_"),
            ("/", "_"),
            ("c:\\x", "x"),
            ("c:x", "c_x"),
            ("a\0b\u{1b}[2J", "a_b__2J"),
            ("invoice\u{202e}gpj.exe", "invoice_gpj.exe"),
            ("nul", "_nul"),
            ("CON.wav", "_CON.wav"),
            ("com1.tar.gz", "_com1.tar.gz"),
            ("LPT³", "_LPT³"),
            ("comet", "comet"),
            (".htaccess", "_htaccess"),
            ("x. .", "x.__"),
            ("grüße.wav", "grüße.wav"),
        ] {
            assert_eq!(safe_file_name(name), expected, "{name}");
        }
    }
}
