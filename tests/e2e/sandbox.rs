//! The component has nothing to escape to, and a recorded run of it repeats exactly.

use genesys_simulator::Settings;
use recording_host_source::{BUILTIN, SourceComponent};
use serde_json::{Value, json};

use crate::support::{Harness, run_program, sha256};

#[test]
fn the_built_in_components_import_nothing() {
    for (name, wasm) in BUILTIN {
        let component = SourceComponent::load(wasm, None).unwrap();
        assert!(component.imports().is_empty());
        assert_eq!(component.describe().unwrap().name, name);
    }
}

#[tokio::test]
async fn a_component_that_imports_anything_is_refused() {
    let wasm = wat::parse_str(
        r#"(component (import "wasi:cli/environment@0.2.0" (instance
            (export "get-environment" (func (result (list (tuple string string))))))))"#,
    )
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("greedy.wasm");
    std::fs::write(&path, wasm).unwrap();
    let ran = run_program(&["inspect", &path.display().to_string()]).await;
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(!ran.status.success());
    assert!(said.contains("wasi:cli/environment"), "{said}");
}

#[tokio::test]
async fn what_is_no_source_of_this_version_is_refused_with_what_to_do() {
    let empty = r#"(instance $i) (export "NAME" (instance $i))"#;
    let exporting = |name: &str| format!("(component {})", empty.replace("NAME", name));
    for (wat, expected) in [
        (
            "(module)".to_owned(),
            "recording-host componentize FILE -o COMPONENT",
        ),
        (
            exporting("recording:source/source@0.1.0"),
            "implements recording:source/source@0.1.0, and this program runs recording:source/source@0.2.0",
        ),
        (exporting("a:b/c@0.1.0"), "it exports `a:b/c@0.1.0`"),
        ("(component)".to_owned(), "it exports nothing"),
        (
            exporting("recording:source/source@0.2.0"),
            "not a recording source",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wrong.wasm");
        std::fs::write(&path, wat::parse_str(&wat).unwrap()).unwrap();
        let ran = run_program(&["inspect", &path.display().to_string()]).await;
        let said = String::from_utf8(ran.stderr).unwrap();
        assert!(!ran.status.success());
        assert!(said.contains(expected), "{wat}: {said}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("source.js").display().to_string();
    std::fs::write(&path, "export const source = {}").unwrap();
    let output = format!("{path}.wasm");
    for arguments in [
        ["inspect", &path].as_slice(),
        &["componentize", &path, "-o", &output],
    ] {
        let said = run_program(arguments).await.stderr;
        let said = String::from_utf8(said).unwrap();
        assert!(
            said.contains("not WebAssembly") && said.contains(&path),
            "{said}"
        );
    }
}

#[test]
fn a_version_of_the_interface_is_frozen_once_it_is_released() {
    let wit = std::fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../wit/0.1.0/source.wit"
    ));
    assert_eq!(
        sha256(&wit.unwrap()),
        "93ba1a34fb2d9d8eb1a0bb02f2a2a3d96f5fe23a8d10fa5563d1827528731482",
        "wit/0.1.0 never changes; a change is a new version beside it"
    );
}

#[tokio::test]
async fn inspect_shows_imports_wants_and_options() {
    let ran = run_program(&["inspect"]).await;
    assert!(ran.status.success());
    let said = String::from_utf8(ran.stdout).unwrap();
    for text in [
        "imports    nothing",
        "OAuth 2.0",
        "300 requests",
        "page_size",
    ] {
        assert!(said.contains(text), "{text}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_run_replays_to_identical_steps() {
    let harness = Harness::start(Settings {
        conversations: 120,
        ..Settings::default()
    })
    .await;
    let config = harness.write(&harness.config()).display().to_string();
    let trace = harness.folder.path().join("steps.jsonl");
    let path = trace.display().to_string();
    let arguments = ["run", "--config", &config, "--record", &path];
    let ran = harness.run_program(&arguments).await;
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");

    let replayed = run_program(&["inspect", "--replay", &path]).await;
    let said = String::from_utf8(replayed.stdout).unwrap();
    assert!(
        replayed.status.success() && said.contains(", 0 differ"),
        "{said}"
    );
    let steps = std::fs::read_to_string(&trace).unwrap();
    assert!(steps.lines().count() > 10);

    // A step whose input is another one has another result; the last page is one that is read, and not only
    // looked through for names.
    let (before, after) = steps.split_at(steps.rfind("conversationEnd").unwrap());
    let changed = before.to_owned() + &after.replacen("conversationEnd", "conversationFinish", 1);
    std::fs::write(&trace, changed).unwrap();
    let replayed = run_program(&["inspect", "--replay", &path]).await;
    assert!(!replayed.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_is_pinned_and_reaches_only_what_is_allowed() {
    let harness = Harness::start(Settings {
        conversations: 3,
        ..Settings::default()
    })
    .await;
    let (_, wasm) = BUILTIN[0];
    let path = harness.folder.path().join("source.wasm");
    std::fs::write(&path, wasm).unwrap();
    let ran = async |changes: Value| {
        let mut config = harness.config();
        for (name, value) in changes.as_object().unwrap() {
            config["sources"]["calls"][name] = value.clone();
        }
        let config = harness.write(&config).display().to_string();
        let ran = harness.run_program(&["run", "--config", &config]).await;
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        (ran.status.success(), said)
    };
    let pinned = |sha256: String| {
        json!({ "type": "component", "path": path, "sha256": sha256, "allow": ["http://127.0.0.1:1"],
        "auth": { "client_id": "a", "client_secret": "b", "token_url": "http://127.0.0.1:1/token" } })
    };
    let (good, said) = ran(pinned("0".repeat(64))).await;
    assert!(!good && said.contains(&sha256(wasm)), "{said}");
    // An origin that the component wants and this list lacks is refused before anything is sent.
    let elsewhere = json!({ "allow": ["https://api.example"] });
    let (good, said) = ran(elsewhere).await;
    assert!(!good && said.contains("allow"), "{said}");
    assert!(harness.simulator.stats().requests.is_empty());
}
