//! The JSON Schema says what the program says, the reference has every key, and each example is right.

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use recording_host_config as config;
use recording_host_config::Config;
use serde_json::{Value, json};

use crate::support::{program, run_program};

/// A file of the repository.
fn file(path: &str) -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path);
    let text = std::fs::read_to_string(&path);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (path, text)
}

/// The faults of each document by a validator of another make: none, or its words.
fn judged(documents: &[Value]) -> Vec<Option<String>> {
    let schema = config::schema().unwrap();
    let script = "
import json, sys
from jsonschema import Draft202012Validator as Validator
given = json.load(sys.stdin)
Validator.check_schema(given['schema'])
validator = Validator(given['schema'])
def words(error):
    return error.message + ''.join('; ' + words(inner) for inner in error.context or [])
print(json.dumps(['; '.join(map(words, validator.iter_errors(document))) or None for document in given['documents']]))
";
    let mut python = Command::new("python3");
    python.args(["-c", script]);
    if let Some(folder) = std::env::var_os("JSON_SCHEMA") {
        python.env("PYTHONPATH", folder);
    }
    let judgments = judged_by(python, &schema, documents);
    // Ajv takes no keyword and no format that JSON Schema does not define.
    let mut node = Command::new("node");
    node.arg(file("tests/clients/ajv.cjs").0);
    if let Some(folder) = std::env::var_os("AJV") {
        node.env("NODE_PATH", Path::new(&folder).join("node_modules"));
    }
    let by_ajv = judged_by(node, &schema, documents);
    for ((one, other), document) in judgments.iter().zip(&by_ajv).zip(documents) {
        assert_eq!(
            one.is_none(),
            other.is_none(),
            "{document}: {one:?}, {other:?}"
        );
    }
    judgments
}

/// The faults of each document in the words of a validator that reads all from its standard input.
fn judged_by(mut validator: Command, schema: &Value, documents: &[Value]) -> Vec<Option<String>> {
    let pipes = validator.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    let given = json!({ "schema": schema, "documents": documents });
    let mut input = child.stdin.take().unwrap();
    input.write_all(given.to_string().as_bytes()).unwrap();
    drop(input);
    let ran = child.wait_with_output().unwrap();
    assert!(ran.status.success(), "tests/run installs the validator");
    serde_json::from_slice(&ran.stdout).unwrap()
}

/// The configurations in a text; what is a part of one is completed.
fn examples(text: &str) -> Vec<Value> {
    let base = json!({
        "data_dir": "data",
        "sources": { "calls": {
            "type": "genesys_cloud",
            "options": { "region": "mypurecloud.ie", "interval": "2026-01-01/2026-02-01" },
        } },
        "sinks": { "lake": { "type": "stdout" } },
    });
    let blocks = text.split("```yaml\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap());
    blocks
        .map(|block| {
            let mut whole = base.clone();
            let given: Value = serde_saphyr::from_str(block).unwrap();
            for (name, value) in given.as_object().unwrap() {
                whole[name] = value.clone();
            }
            whole
        })
        .collect()
}

/// A configuration without references to secrets.
fn without_secrets(config: &Value) -> Value {
    let text = config.to_string();
    let mut parts = text.split("SECRET[");
    let mut plain = parts.next().unwrap().to_owned();
    for part in parts {
        plain.push_str("hush");
        plain.push_str(part.split_once(']').unwrap().1);
    }
    serde_json::from_str(&plain).unwrap()
}

fn types(of: &str) -> Vec<String> {
    let schema = config::schema().unwrap();
    let kinds = &schema["properties"][of]["additionalProperties"]["oneOf"];
    let word = |kind: &Value| {
        kind["properties"]["type"]["const"]
            .as_str()
            .map(str::to_owned)
    };
    kinds.as_array().unwrap().iter().filter_map(word).collect()
}

/// All keys of a schema, by their paths, with the tables below them.
fn keys(of: &Value, at: &str, found: &mut BTreeMap<String, Value>) {
    for (name, inner) in of["properties"].as_object().into_iter().flatten() {
        found.insert(format!("{at}{name}"), inner.clone());
        keys(inner, &format!("{at}{name}."), found);
    }
    for several in ["oneOf", "anyOf"] {
        for kind in of[several].as_array().into_iter().flatten() {
            keys(kind, at, found);
        }
    }
    if of["additionalProperties"].is_object() {
        keys(&of["additionalProperties"], at, found);
    }
}

/// Returns true if a key stands in a text as code.
fn told(text: &str, key: &str) -> bool {
    let code = text.split('`').skip(1).step_by(2);
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    code.into_iter()
        .any(|code| code.split(word).any(|part| part == key))
}

/// The part of a text below a heading.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let start = text.find(&format!("\n{heading}\n"));
    let start = start.unwrap_or_else(|| panic!("there is no heading {heading}"));
    let level = heading.split(' ').next().unwrap();
    let rest = &text[start + heading.len() + 2..];
    rest.split(&format!("\n{level} ")).next().unwrap()
}

#[test]
fn the_checked_in_schema_is_what_the_code_says() {
    let (path, text) = file("docs/config.schema.json");
    let ran = program().arg("schema").output().unwrap();
    assert!(ran.status.success());
    assert!(
        ran.stdout == text.as_bytes(),
        "{} is out of date: cargo run -- schema > docs/config.schema.json",
        path.display()
    );
}

#[test]
fn the_reference_has_every_key() {
    let schema = config::schema().unwrap();
    let (_, configuration) = file("docs/configuration.md");
    let (_, sinks) = file("docs/sinks.md");
    let mut missing = Vec::new();
    for (name, of) in schema["properties"].as_object().unwrap() {
        let mut found = BTreeMap::new();
        keys(of, "", &mut found);
        let section = match name.as_str() {
            "secret" => section(&configuration, "## Secrets"),
            "sources" => section(&configuration, "## Sources"),
            "notify" => section(&configuration, "## Notices"),
            "cluster" => section(&configuration, "## More than one machine"),
            "sinks" => continue,
            _ => section(&configuration, "## Top level"),
        };
        let last = |path: &str| path.rsplit('.').next().unwrap().to_owned();
        missing.extend(
            found
                .keys()
                .filter(|path| !told(section, &last(path)))
                .map(|path| format!("{name}: {path}")),
        );
        if !told(&configuration, name) {
            missing.push(name.clone());
        }
    }
    let kinds = &schema["properties"]["sinks"]["additionalProperties"]["oneOf"];
    for kind in kinds.as_array().unwrap() {
        let of = kind["properties"]["type"]["const"].as_str().unwrap();
        let mut found = BTreeMap::new();
        keys(kind, "", &mut found);
        let all = section(&sinks, "## Keys of every sink");
        let own = section(&sinks, &format!("## {of}"));
        for path in found.keys() {
            // The keys of a table may be described where another sink has the same table.
            let right = match path.rsplit_once('.') {
                Some((_, key)) => told(&sinks, key),
                None => told(own, path) || told(all, path),
            };
            if !right {
                missing.push(format!("sinks of type {of}: {path}"));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "the reference in docs/ lacks {missing:#?}"
    );
}

#[test]
fn every_key_has_a_description() {
    let mut found = BTreeMap::new();
    keys(&config::schema().unwrap(), "", &mut found);
    for (path, of) in found {
        if path == "type" || path.ends_with(".type") {
            continue;
        }
        assert!(of["description"].is_string(), "{path} has no doc comment");
    }
}

#[test]
#[ignore = "needs a validator of JSON Schema, which tests/run installs"]
fn each_example_is_right_by_the_schema_and_by_the_program() {
    let mut all = Vec::new();
    for path in [
        "README.md",
        "docs/metadata.md",
        "docs/sinks.md",
        "docs/configuration.md",
        "docs/transcoding.md",
    ] {
        let (_, text) = file(path);
        all.extend(examples(&text).into_iter().map(|example| (path, example)));
    }
    assert!(all.len() >= 4, "{all:?}");
    let documents: Vec<Value> = all.iter().map(|(_, example)| example.clone()).collect();
    for ((path, example), judgment) in all.iter().zip(judged(&documents)) {
        assert_eq!(judgment, None, "{path}: {example}");
        Config::new(without_secrets(example)).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
}

#[test]
#[ignore = "needs a validator of JSON Schema, which tests/run installs"]
fn what_the_program_refuses_is_wrong_by_the_schema() {
    let good = json!({
        "data_dir": "data",
        "secret": { "vault": { "type": "exec", "command": ["pass", "{key}"] } },
        "sources": { "calls": {
            "type": "genesys_cloud",
            "auth": { "client_id": "a", "client_secret": "b" },
            "follow": { "every_seconds": 60 },
            "options": { "region": "mypurecloud.ie", "interval": "2026-01-01/.." },
        } },
        "sinks": { "lake": { "type": "s3", "bucket": "b", "retry": { "attempts": 3 },
            "sse": { "type": "kms" }, "credentials": { "profile": "p" },
            "metadata": { "format": "parquet" }, "transcode": { "to": "wav", "when": ["audio/ogg"] } } },
    });
    let wrong = [
        ("/surplus", json!(1)),
        ("/secret/vault/surplus", json!(1)),
        ("/secret/vault/type", json!("shell")),
        ("/sources/calls/surplus", json!(1)),
        ("/sources/calls/path", json!("x.wasm")),
        ("/sources/calls/auth/surplus", json!(1)),
        ("/sources/calls/follow/surplus", json!(1)),
        ("/sources/calls/options/surplus", json!(1)),
        ("/sources/calls/options/page_size", json!(101)),
        ("/sources/calls/type", json!("zoom")),
        ("/sinks/lake/surplus", json!(1)),
        ("/sinks/lake/path", json!("x")),
        ("/sinks/lake/bucket", json!(7)),
        ("/sinks/lake/type", json!("ftp")),
        ("/sinks/lake/retry/surplus", json!(1)),
        ("/sinks/lake/sse/surplus", json!(1)),
        ("/sinks/lake/credentials/surplus", json!(1)),
        ("/sinks/lake/metadata/surplus", json!(1)),
        ("/sinks/lake/metadata/format", json!("orc")),
        ("/sinks/lake/transcode/surplus", json!(1)),
        ("/sinks/lake/transcode/to", json!("mp3")),
        ("/sinks/lake/transcode/when", json!(["video/mp4"])),
        ("/sinks/lake/checksum", json!("sha1")),
    ];
    let mut documents = vec![good.clone()];
    for (pointer, value) in &wrong {
        let mut document = good.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap()[name] = value.clone();
        documents.push(document);
    }
    let judgments = judged(&documents);
    assert_eq!(judgments[0], None);
    let checks = |document: &Value| {
        Config::new(document.clone())
            .and_then(|config| config.validate(recording_host_model::clock::Clock::default()))
    };
    checks(&good).unwrap();
    for ((pointer, _), (document, judgment)) in
        wrong.iter().zip(documents[1..].iter().zip(&judgments[1..]))
    {
        assert!(judgment.is_some(), "{pointer}");
        assert!(checks(document).is_err(), "{pointer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_first_configuration_is_valid_but_for_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    for sink in types("sinks") {
        let ran = run_program(&["generate", "--sink", &sink]).await;
        assert!(ran.status.success(), "{sink}: {ran:?}");
        let path = folder.path().join(format!("{sink}.yaml"));
        std::fs::write(&path, &ran.stdout).unwrap();
        let mut validate = program();
        validate.args(["validate", "--config"]).arg(&path);
        for name in [
            "GENESYS_CLIENT_ID",
            "GENESYS_CLIENT_SECRET",
            "ARCHIVE_TOKEN",
        ] {
            validate.env(name, "dummy");
        }
        let ran = validate.output().unwrap();
        assert!(ran.status.success(), "{sink}: {ran:?}");
    }
    let ran = run_program(&["generate", "--sink", "ftp"]).await;
    assert_eq!(ran.status.code(), Some(2), "{ran:?}");
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(
        said.contains("no sink has the type `ftp`; use s3, "),
        "{said}"
    );
}

#[test]
#[ignore = "needs a validator of JSON Schema, which tests/run installs"]
fn each_line_of_a_first_configuration_is_right_by_the_schema_when_it_is_uncommented() {
    let schema = config::schema().unwrap();
    let mut documents = Vec::new();
    let mut names = Vec::new();
    for source in types("sources") {
        for sink in types("sinks") {
            let text = config::example(&schema, &source, &sink).unwrap();
            let all: String = text
                .lines()
                .map(|line| {
                    let kept = line.trim_start();
                    let indent = line.len() - kept.len();
                    match kept.strip_prefix('#') {
                        Some(key) if !key.starts_with(' ') || key.starts_with("  ") => {
                            format!("{:indent$}{key}\n", "")
                        }
                        _ => format!("{line}\n"),
                    }
                })
                .collect();
            for text in [text, all] {
                documents.push(serde_saphyr::from_str(&text).unwrap());
                names.push(format!("{source} to {sink}"));
            }
        }
    }
    for (name, judgment) in names.into_iter().zip(judged(&documents)) {
        assert_eq!(judgment, None, "{name}");
    }
}
