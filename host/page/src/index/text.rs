//! Texts as they are stored, sought and shown.

use rusqlite::Connection;

use super::WORDS;

/// How long a text is that is sought or shown in a list, in characters.
const LONGEST: usize = 200;

/// The byte that is added to a text which would be as long as a UUID: no text has it.
const NO_UUID: u8 = 0xff;

/// An id in as few bytes as it needs: a UUID in 16, any other as its text behind a zero, in any other number.
pub(super) fn packed(id: &str) -> Vec<u8> {
    uuid(id).unwrap_or_else(|| {
        let mut bytes = vec![0];
        bytes.extend(id.as_bytes());
        if bytes.len() == 16 {
            bytes.push(NO_UUID);
        }
        bytes
    })
}

fn uuid(id: &str) -> Option<Vec<u8>> {
    let right = id.len() == 36
        && id.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        });
    if !right {
        return None;
    }
    let digits: Vec<u8> = id.bytes().filter(|byte| *byte != b'-').collect();
    let pairs = digits.chunks_exact(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

/// The id that was packed.
pub(super) fn unpacked(bytes: &[u8]) -> String {
    match bytes {
        [0, text @ ..] if bytes.len() != 16 => {
            let text = text.strip_suffix(&[NO_UUID]).unwrap_or(text);
            String::from_utf8_lossy(text).into_owned()
        }
        _ => {
            let hex = recording_host_model::hex(bytes);
            if hex.len() != 32 {
                return hex;
            }
            let part = |from: usize, to: usize| &hex[from..to];
            [
                part(0, 8),
                part(8, 12),
                part(12, 16),
                part(16, 20),
                part(20, 32),
            ]
            .join("-")
        }
    }
}

/// A number as it is sought: the digits alone; of an address that is no number, its text in lower case.
pub(super) fn number(text: &str) -> String {
    let text = text.trim();
    let bare = text
        .strip_prefix("tel:")
        .or_else(|| text.strip_prefix("sip:"))
        .unwrap_or(text);
    let bare = bare.split(['@', ';']).next().unwrap_or_default();
    let is_number = bare
        .chars()
        .all(|c| c.is_ascii_digit() || "+-. ()/".contains(c));
    match is_number && bare.chars().any(|c| c.is_ascii_digit()) {
        true => bare.chars().filter(char::is_ascii_digit).collect(),
        false => shortened(&text.to_lowercase()),
    }
}

/// A text, cut.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

/// A query for the full-text index that wants each word, or words that begin with it. SQLite takes the words out
/// as it did where they are sought: what it takes for two words is an error in a query for one.
pub(super) fn words(text: &str) -> rusqlite::Result<Option<String>> {
    let asked = Connection::open_in_memory()?;
    asked.execute_batch(&format!(
        "CREATE VIRTUAL TABLE asked USING fts5(body, {WORDS});
         CREATE VIRTUAL TABLE word USING fts5vocab(asked, instance);"
    ))?;
    asked.execute("INSERT INTO asked VALUES (?)", [text])?;
    // An accent by itself is a word of nothing.
    let mut words =
        asked.prepare("SELECT term FROM word WHERE term <> '' ORDER BY offset LIMIT 8")?;
    let words = words.query_map([], |row| Ok(format!("\"{}\"*", row.get::<_, String>(0)?)))?;
    let words: Vec<String> = words.collect::<Result<_, _>>()?;
    Ok((!words.is_empty()).then(|| words.join(" AND ")))
}

/// A text as it is shown: what would control a terminal, hide or turn text around is written out.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            '\r' => ' ',
            c if c.is_control() => '\u{fffd}',
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' => {
                '\u{fffd}'
            }
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_comes_back() {
        for id in [
            "8b7fea9d-365c-45fa-b1ac-6d1633e5dca0",
            "8B7FEA9D-365c-45fa-b1ac-6d1633e5dca0",
            "00000000-0000-0000-0000-000000000000",
            "call 7/é",
            "123456789012345",
            "",
        ] {
            assert_eq!(unpacked(&packed(id)), id);
        }
    }

    #[test]
    fn numbers_are_digits_and_addresses_are_text() {
        assert_eq!(number("tel:+1 (555) 010-0199"), "15550100199");
        assert_eq!(
            number("sip:+15550100199@pbx.example;user=phone"),
            "15550100199"
        );
        assert_eq!(number("sip:Ada@example.com"), "sip:ada@example.com");
    }

    #[test]
    fn a_search_is_words_and_never_syntax() {
        let words = |text: &str| words(text).unwrap();
        assert_eq!(
            words("Ada NEAR(\"x\" -y)").as_deref(),
            Some("\"ada\"* AND \"near\"* AND \"x\"* AND \"y\"*")
        );
        assert_eq!(words("*\"'() \u{301} \0"), None);
    }

    #[test]
    fn what_turns_text_around_is_not_shown_as_such() {
        assert_eq!(printable("a\u{202e}b\u{1b}c\nd"), "a\u{fffd}b\u{fffd}c\nd");
    }
}
