//! The names of entries: decoded, and made safe for object keys.
//!
//! Nothing that an archive says becomes a path: only the last part of a name
//! is used, without whatever means something to a file system or a terminal.

use std::collections::{HashMap, HashSet};

use crc32fast::hash;
use sha2::{Digest, Sha256};

use super::fields::{Fields, extra};
use recording_host_model::hex;

/// How long a safe name may be, in bytes; file systems take 255.
const LONGEST: usize = 120;
/// How much of a name messages show, in characters.
const SHOWN: usize = 80;
/// Info-ZIP's field with the name in UTF-8.
const UNICODE_PATH: u16 = 0x7075;
/// The upper half of code page 437, in which names are unless an archive says otherwise.
const CP437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

/// A name as text: from the Unicode field if that belongs to this name, else UTF-8 if it is that,
/// else code page 437. Many writers leave the UTF-8 flag out, so the bytes decide, not the flag.
pub(super) fn decoded(raw: &[u8], extras: &[u8]) -> String {
    let unicode = extra(extras, UNICODE_PATH).and_then(|field| {
        let mut fields = Fields::of(field);
        let version = fields.bytes(1)?;
        let of = fields.u32()?;
        let name = std::str::from_utf8(field.get(5..)?).ok()?;
        (version == [1] && of == hash(raw)).then_some(name)
    });
    match unicode.map_or_else(|| std::str::from_utf8(raw), Ok) {
        Ok(name) => name.to_owned(),
        Err(_) => raw
            .iter()
            .map(|byte| match byte.checked_sub(128) {
                None => char::from(*byte),
                Some(upper) => CP437.chars().nth(upper.into()).unwrap_or('_'),
            })
            .collect(),
    }
}

/// A file name that is a name in any key and any file system, and nothing more.
#[must_use]
pub fn safe(name: &str) -> String {
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
    if safe.len() <= LONGEST {
        return safe;
    }
    // What is cut off still tells names apart.
    let (stem, extension) = parts(&safe);
    let extension = if extension.len() <= 16 { extension } else { "" };
    let digest = &hex(&Sha256::digest(name))[..12];
    let room = stem.floor_char_boundary(LONGEST - extension.len() - digest.len() - 1);
    format!("{}-{digest}{extension}", &stem[..room])
}

/// Whether Windows takes a name for a device.
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
fn parts(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) if dot > 0 => name.split_at(dot),
        _ => (name, ""),
    }
}

/// Safe names of one folder, each of which is used once, even where case makes no difference.
#[derive(Default)]
pub(crate) struct Names {
    taken: HashSet<String>,
    counts: HashMap<String, u32>,
}

impl Names {
    /// A safe name, with a number before its extension if it is taken.
    pub(crate) fn unique(&mut self, name: &str) -> String {
        let safe = safe(name);
        let fold = |name: &str| name.to_uppercase().to_lowercase();
        if self.taken.insert(fold(&safe)) {
            return safe;
        }
        let (stem, extension) = parts(&safe);
        let count = self.counts.entry(fold(&safe)).or_insert(1);
        loop {
            *count += 1;
            let numbered = format!("{stem}-{count}{extension}");
            if self.taken.insert(fold(&numbered)) {
                return numbered;
            }
        }
    }
}

/// A name for messages: short, and harmless to a terminal.
pub(crate) fn shown(name: &str) -> String {
    let safe = |c: char| {
        if c.is_alphanumeric() || c.is_ascii_graphic() {
            c
        } else {
            '?'
        }
    };
    let mut shown: String = name.chars().take(SHOWN).map(safe).collect();
    if name.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(safe(name), expected, "{name}");
        }
    }

    #[test]
    fn long_names_are_cut_and_stay_different() {
        let [one, other] = ["1", "2"].map(|end| safe(&format!("{}{end}.wav", "ü".repeat(30_000))));
        assert!(one.len() <= LONGEST && one.ends_with(".wav"), "{one}");
        assert_ne!(one, other);
        assert!(safe(&"x".repeat(70_000)).len() <= LONGEST);
    }

    #[test]
    fn equal_names_get_a_number_even_if_only_their_case_differs() {
        let mut names = Names::default();
        let unique = ["a/x.wav", "b/X.WAV", "x-2.wav", "x.wav", "y"].map(|name| names.unique(name));
        assert_eq!(unique, ["x.wav", "X-2.WAV", "x-2-2.wav", "x-3.wav", "y"]);
    }

    #[test]
    fn names_are_decoded_as_their_writer_meant() {
        assert_eq!(CP437.chars().count(), 128);
        assert_eq!(decoded("grüße".as_bytes(), &[]), "grüße");
        assert_eq!(decoded(b"gr\x81\xe1e", &[]), "grüße");
        let mut field = vec![0x75, 0x70, 9, 0, 1];
        field.extend(hash(b"ab").to_le_bytes());
        field.extend("äö".as_bytes());
        assert_eq!(decoded(b"ab", &field), "äö");
        assert_eq!(
            decoded(b"ac", &field),
            "ac",
            "the field is about another name"
        );
    }

    #[test]
    fn messages_show_names_that_do_nothing_to_a_terminal() {
        assert_eq!(shown("a\u{1b}[2J\u{202e}b c"), "a?[2J?b?c");
        assert_eq!(shown(&"x".repeat(100)).chars().count(), SHOWN + 1);
    }
}
