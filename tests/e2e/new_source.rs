//! A source of one's own begins with a folder that builds and is tested.

use std::{collections::BTreeMap, path::Path};

use crate::{
    foreign_source::build,
    support::{files, run_program},
};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The files of an example as they are after `rename`, without what building leaves.
fn example(name: &str, rename: impl Fn(String) -> String) -> BTreeMap<String, String> {
    let built = [
        "target/",
        "node_modules/",
        "Cargo.lock",
        "package-lock.json",
    ];
    let of_example = files(&Path::new(ROOT).join("component/examples").join(name));
    of_example
        .into_iter()
        .filter(|(name, _)| !built.iter().any(|built| name.starts_with(built)))
        .filter(|(name, _)| !name.ends_with(".wasm"))
        .map(|(name, bytes)| (name, rename(String::from_utf8(bytes).unwrap())))
        .collect()
}

fn written(folder: &Path) -> BTreeMap<String, String> {
    files(folder)
        .into_iter()
        .map(|(name, bytes)| (name, String::from_utf8(bytes).unwrap()))
        .collect()
}

#[tokio::test]
async fn a_new_source_is_the_example_of_its_language_by_another_name() {
    let folder = tempfile::tempdir().unwrap();
    for (lang, of) in [("rust", "csv"), ("js", "http-folder")] {
        let into = folder.path().join(lang);
        let path = into.display().to_string();
        let arguments = ["new-source", "--lang", lang, "call-list", "--into", &path];
        let ran = run_program(&arguments).await;
        assert!(ran.status.success(), "{ran:?}");
        let renamed = example(of, |text| {
            text.replace(", path = \"../../sdk\"", "")
                .replace("csv-calls", "call-list")
                .replace("csv_calls", "call_list")
                .replace("CsvCalls", "CallList")
                .replace("http-folder", "call-list")
                .replace("http_folder", "call_list")
        });
        let written = written(&into);
        for (name, text) in renamed {
            assert_eq!(written[&name], text, "{lang}: {name}");
        }
        // Nothing is overwritten.
        let again = run_program(&arguments).await;
        let said = String::from_utf8(again.stderr).unwrap();
        assert!(
            !again.status.success() && said.contains("is there already"),
            "{said}"
        );
    }
    for name in ["Call", "1call", "a_b", "a/../b", "a--b", "a-"] {
        let ran = run_program(&["new-source", "--lang", "js", name]).await;
        assert_eq!(ran.status.code(), Some(2), "{name}: {ran:?}");
    }
}

#[tokio::test]
async fn a_new_source_in_rust_can_use_the_sdk_of_a_checkout() {
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("calls").display().to_string();
    let sdk = format!("{ROOT}/component/sdk");
    let ran = run_program(&[
        "new-source",
        "--lang",
        "rust",
        "calls",
        "--into",
        &into,
        "--sdk",
        &sdk,
    ])
    .await;
    assert!(ran.status.success(), "{ran:?}");
    let manifest = std::fs::read_to_string(format!("{into}/Cargo.toml")).unwrap();
    let sdk = Path::new(&sdk).canonicalize().unwrap();
    assert!(manifest.contains(&format!("path = {sdk:?}")), "{manifest}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs componentize-qjs, which tests/run installs"]
async fn a_new_source_in_javascript_builds_and_keeps_the_rules_of_the_interface() {
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("calls");
    let path = into.display().to_string();
    run_program(&["new-source", "--lang", "js", "calls", "--into", &path]).await;
    let component = into.join("calls.wasm");
    build(&into.join("source.js"), &component);
    let answers = into.join("answers").display().to_string();
    let options =
        r#"{"base_url": "https://calls.example/archive", "interval": "2026-01-05/2026-01-06"}"#;
    let component = component.display().to_string();
    let ran = run_program(&[
        "inspect",
        "--try",
        &answers,
        "--options",
        options,
        &component,
    ])
    .await;
    let said = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success(), "{said}");
    assert!(
        said.contains("artifact c-17/c-17 part 0 audio/ogg"),
        "{said}"
    );
}

#[tokio::test]
async fn a_built_in_component_is_written_to_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.wasm");
    let file = path.display().to_string();
    let arguments = ["inspect", "genesys_cloud", "--extract", &file];
    assert!(run_program(&arguments).await.status.success());
    let (_, wasm) = recording_host_source::BUILTIN[0];
    assert!(std::fs::read(&path).unwrap() == wasm);
    assert!(!run_program(&arguments).await.status.success());
    let other = run_program(&["inspect", &file, "--extract", &file]).await;
    let said = String::from_utf8(other.stderr).unwrap();
    assert!(said.contains("only a built-in component"), "{said}");
}
