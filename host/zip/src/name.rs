//! The names of entries: decoded, and made safe for object keys.
//!
//! Nothing that an archive says becomes a path: only the last part of a name
//! is used, without whatever means something to a file system or a terminal.

use std::collections::{HashMap, HashSet};

use crc32fast::hash;

use super::fields::{Fields, extra};
use recording_host_model::{safe_file_name as safe, split_extension as parts};

/// How much of a name messages show, in characters.
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

/// Safe names of one folder, each of which is used once, even where case makes no difference.
#[derive(Default)]
pub struct Names {
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

#[cfg(test)]
mod tests {
    use super::*;
    use recording_host_model::LONGEST_FILE_NAME as LONGEST;

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
}
