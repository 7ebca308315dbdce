//! Texts of configurations: YAML and TOML, the keys in them, and where an error stands.
//!
//! An input is a byte that chooses the language, and the text. No secret is read: nothing is run, and no server
//! is asked.

use std::{fs, io::Write};

use recording_host_config::{Config, SecretScope, example};
use tempfile::NamedTempFile;

use crate::{
    mutate::{self, Rng},
    parser::{Parser, unmended},
};

/// Configurations.
pub(crate) const CONFIGURATION: Parser = Parser {
    name: "configuration",
    seeds,
    mutate,
    mend: unmended,
    feed,
};

/// Pieces that mean something in one of the languages.
const WORDS: [&str; 24] = [
    "\n  ",
    ": ",
    "- ",
    "&a ",
    "*a",
    "<<: *a",
    "!!str ",
    "|\n  ",
    "---\n",
    "? ",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "SECRET[env.X]",
    "[[sinks.x]]\n",
    "\n[",
    " = ",
    "\u{feff}",
    "99999999999999999999",
    "1e999",
    "2026-01-01",
];

/// The first configuration that the program writes, and one in each language with all kinds of values.
fn seeds() -> Vec<Vec<u8>> {
    let schema = serde_json::from_str(include_str!("../../../docs/config.schema.json"));
    let first = example(&schema.unwrap(), "genesys_cloud", "filesystem").unwrap();
    let yaml = r#"data_dir: d
secret: { env: { type: env } }
sources:
  calls: &calls
    type: genesys_cloud
    auth: { client_id: a, client_secret: "SECRET[env.X]" }
    options:
      region: mypurecloud.ie
      interval: "2026-01-01/2026-02-01"
sinks:
  files:
    type: filesystem
    inputs: [calls]
    path: 'out'
    layout: "{date}/{conversation}/{recording}.{extension}"
    condition: { queues: [billing], direction: inbound }
    metadata: { format: jsonl, compression: gzip }
    mode: "0640"
limits:
  bandwidth: 10 MB/s
"#;
    let toml = r#"data_dir = "d"
[sources.calls]
type = "genesys_cloud"
auth = { client_id = "a", client_secret = """b""" }
options = { region = "mypurecloud.ie", interval = 2026-01-01 }
[sinks.files]
type = "filesystem"
path = 'out'
inputs = ["calls"]
[concurrency]
downloads = 0x10
factor = 1_0.5e1
"#;
    [(0, first.as_str()), (0, yaml), (1, toml)]
        .map(|(language, text)| [&[language], text.as_bytes()].concat())
        .into()
}

/// Damages bytes, puts a word somewhere, or a line somewhere else.
fn mutate(rng: &mut Rng, input: &mut Vec<u8>) {
    let mut text = input.split_off(input.len().min(1));
    match rng.below(5) {
        0 => mutate::mutate(rng, &mut text),
        1 => exchange(rng, &mut text),
        2 | 3 => {
            for _ in 0..=rng.below(3) {
                let at = rng.below(text.len() + 1);
                let word = WORDS[rng.below(WORDS.len())];
                let times = 1 << rng.below(8);
                text.splice(at..at, word.repeat(times).into_bytes());
            }
        }
        _ => {
            let mut lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
            let (from, to) = (rng.below(lines.len()), rng.below(lines.len()));
            if let Some(line) = lines.get(from).copied() {
                lines.insert(to, line);
            }
            text = lines.concat();
        }
    }
    if rng.below(20) == 0 && !input.is_empty() {
        input[0] ^= 1;
    }
    input.extend(text);
}

/// Puts a word in the place of a value.
fn exchange(rng: &mut Rng, text: &mut Vec<u8>) {
    let values = |at: &usize| text[..*at].ends_with(b": ") || text[..*at].ends_with(b"= ");
    let values: Vec<usize> = (0..text.len()).filter(values).collect();
    let Some(begin) = values.get(rng.below(values.len())).copied() else {
        return;
    };
    let length = text[begin..].iter().position(|byte| *byte == b'\n');
    let end = length.map_or(text.len(), |length| begin + length);
    text.splice(begin..end, WORDS[rng.below(WORDS.len())].bytes());
}

fn feed(input: &[u8]) {
    let Some((language, text)) = input.split_first() else {
        return;
    };
    let ending = if language % 2 == 0 { ".yaml" } else { ".toml" };
    let mut file = NamedTempFile::with_suffix(ending).unwrap();
    file.write_all(text).unwrap();
    if let Err(error) = Config::load_for(file.path(), SecretScope::Nothing) {
        placed(&error.to_string(), &file.path().display().to_string(), text);
    }
    fs::remove_file(file.path()).unwrap();
}

/// Checks that an error stands in the text, if it tells where.
fn placed(error: &str, file: &str, text: &[u8]) {
    let place = error
        .strip_prefix(file)
        .and_then(|rest| rest.strip_prefix(':'));
    let Some((line, _)) = place.and_then(|place| place.split_once(':')) else {
        return;
    };
    if let Ok(line) = line.parse::<usize>() {
        // Both languages have other ends of lines than this one.
        let ends = text.iter().filter(|byte| b"\n\r".contains(byte)).count();
        let wide = String::from_utf8_lossy(text)
            .matches(['\u{85}', '\u{2028}', '\u{2029}'])
            .count();
        assert!(
            (1..=ends + wide + 1).contains(&line),
            "there is no such line: {error}"
        );
    }
}
