//! A source that a third party wrote in JavaScript or Python runs in the same sandbox, with as little.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use crate::support::{
    answering, files, media, receipts, rows, run_program, run_program_fast, sha256,
};

/// Serves files by their paths and returns the server's URL. As web servers do, it says with a page that there
/// is no such file.
async fn serve(files: BTreeMap<String, Vec<u8>>) -> String {
    let files = Arc::new(files);
    answering(move |request| {
        let found = files.get(request.uri().path()).cloned();
        let mut answer = Response::new(Full::new(Bytes::new()));
        match found {
            Some(file) => *answer.body_mut() = Full::new(file.into()),
            None => {
                *answer.status_mut() = StatusCode::NOT_FOUND;
                *answer.body_mut() =
                    Full::new("<!DOCTYPE HTML><html><h1>Not found</h1></html>".into());
            }
        }
        async { answer }
    })
    .await
}

fn example() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.join("component/examples/http-folder/source.js")
}

/// Makes a component of a script, as docs/write-a-source.md says.
pub(crate) fn build(script: &Path, into: &Path) {
    let tool = std::env::var("COMPONENTIZE_QJS").unwrap_or_else(|_| "componentize-qjs".to_owned());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let built = Command::new(&tool)
        .args(["--sync", "--stub-wasi", "--world", "recording-source"])
        .arg("--wit")
        .arg(root.join("wit/0.2.0"))
        .arg("--js")
        .arg(script)
        .arg("--output")
        .arg(into)
        .output()
        .unwrap_or_else(|error| panic!("{tool}: {error}; tests/run installs it"));
    assert!(built.status.success(), "{built:?}");
}

/// Makes a component of `source.py` in a folder, as docs/write-a-source.md says.
pub(crate) fn build_python(folder: &Path, into: &Path) {
    let packages = std::env::var_os("COMPONENTIZE_PY")
        .expect("COMPONENTIZE_PY is the folder with componentize-py; tests/run installs it");
    let tool = Path::new(&packages).join("bin/componentize-py");
    let built = Command::new(&tool)
        .env("PYTHONPATH", &packages)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(folder)
        .args(["-d", "wit", "-w", "recording-source"])
        .args(["componentize", "--stub-wasi", "source", "-o"])
        .arg(into)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", tool.display()));
    assert!(built.status.success(), "{built:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs componentize-qjs, which tests/run installs"]
async fn a_component_in_javascript_imports_nothing_and_exports_what_a_web_server_has() {
    let folder = tempfile::tempdir().unwrap();
    build(&example(), &folder.path().join("http-folder.wasm"));
    exports_what_a_web_server_has(folder.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs componentize-py, which tests/run installs"]
async fn a_component_in_python_imports_nothing_and_exports_what_a_web_server_has() {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let example = root.join("component/examples/http-folder-python/source.py");
    let source = std::fs::read_to_string(example).unwrap();
    // The example, with a bug for one URL.
    let read = "    base_url = text(options.get(\"base_url\")) or \"\"\n";
    assert!(source.contains(read));
    let bug = "    {}[\"nothere\"] if base_url == \"https://bug.example\" else None\n";
    let source = source.replace(read, &format!("{read}{bug}"));
    let script = folder.path().join("script");
    std::fs::create_dir_all(script.join("wit")).unwrap();
    std::fs::write(script.join("source.py"), source).unwrap();
    std::fs::copy(
        root.join("wit/0.2.0/source.wit"),
        script.join("wit/source.wit"),
    )
    .unwrap();
    let component = folder.path().join("http-folder.wasm");
    build_python(&script, &component);
    std::fs::remove_dir_all(&script).unwrap();
    exports_what_a_web_server_has(folder.path()).await;

    let (component, answers) = (component.display(), folder.path().display());
    let options = json!({ "base_url": "https://bug.example", "interval": "2026-01-05/2026-01-06" });
    let tried = run_program(&[
        "inspect",
        "--try",
        &answers.to_string(),
        &component.to_string(),
        "--options",
        &options.to_string(),
    ])
    .await;
    let said = String::from_utf8_lossy(&tried.stderr).into_owned();
    assert!(said.contains("KeyError: 'nothere' (line "), "{said}");
}

/// Exports the folder of a web server with the component `http-folder.wasm` in `folder`.
async fn exports_what_a_web_server_has(folder: &Path) {
    // Long: one scenario, told in its order.
    let component = folder.join("http-folder.wasm");
    let path = component.display().to_string();
    let shown = run_program(&["inspect", &path]).await;
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("imports    nothing"), "{shown}");

    let mut served = BTreeMap::new();
    let mut add = |path: &str, body: &[u8]| served.insert(format!("/calls{path}"), body.to_vec());
    add("/2026-01-05/index.json", br#"["c-1", "c-2", "../c-3"]"#);
    add("/2026-01-07/index.json", br#"["c-4", "c-5", "c-6"]"#);
    for (day, id) in [("05", "c-1"), ("05", "c-2"), ("07", "c-4"), ("07", "c-6")] {
        let sidecar = json!({
            "start": format!("2026-01-{day}T09:00:07Z"), "end": format!("2026-01-{day}T09:04:00Z"),
            "direction": "inbound", "from": "tel:+15551234567", "agent": "Zoë",
        });
        add(
            &format!("/2026-01-{day}/{id}.json"),
            sidecar.to_string().as_bytes(),
        );
        // The recording of c-6 is lost, and c-5 has no sidecar.
        if id != "c-6" {
            add(
                &format!("/2026-01-{day}/{id}.ogg"),
                format!("OggS of {id}, which is long enough").as_bytes(),
            );
        }
    }
    let url = serve(served).await;
    let config = |base_url: &str| -> Value {
        json!({
            "data_dir": folder.join("data"),
            "sources": { "calls": {
                "type": "component",
                "path": path,
                "sha256": sha256(&std::fs::read(&component).unwrap()),
                "allow": [url],
                "allow_private_addresses": true,
                "options": { "base_url": base_url, "interval": "2026-01-05/2026-01-08" },
            } },
            "sinks": { "lake": { "type": "filesystem", "path": folder.join("output") } },
        })
    };
    let file = folder.join("config.yaml");
    std::fs::write(&file, config("calls").to_string()).unwrap();
    let file = file.display().to_string();
    let wrong = run_program(&["validate", "--config", &file]).await;
    let wrong = String::from_utf8(wrong.stderr).unwrap();
    assert!(
        wrong.contains("sources.calls.options.base_url: must be of the form"),
        "{wrong}"
    );

    // A portal that shows its log-in page in place of everything is no day without calls.
    let portal = answering(|_| async {
        let page = "<!DOCTYPE HTML><html><h1>Log in</h1></html>";
        Response::new(Full::new(Bytes::from(page)))
    })
    .await;
    let mut behind = config(&format!("{portal}/calls/"));
    behind["sources"]["calls"]["allow"] = json!([portal]);
    std::fs::write(&file, behind.to_string()).unwrap();
    let checked = run_program(&["check", "--config", &file]).await;
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert_eq!(checked.status.code(), Some(1), "{said}");
    assert!(said.contains("a page of HTML with status 200"), "{said}");

    std::fs::write(&file, config(&format!("{url}/calls/")).to_string()).unwrap();
    let ran = run_program_fast(&["run", "--config", &file]).await;
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(3), "{said}");
    assert!(said.contains("c-5 is left out"), "{said}");
    let written = files(&folder.join("output"));
    let stored: Vec<String> = media(&written).into_keys().collect();
    let expected = [("05", "c-1"), ("05", "c-2"), ("07", "c-4")]
        .map(|(day, id)| format!("recordings/2026/01/{day}/{id}/{id}.ogg"));
    assert_eq!(stored, expected);
    for row in rows(&written) {
        assert_eq!(row["agents"][0]["name"], "Zoë");
        assert_eq!(row["ani"], "tel:+15551234567");
        let lost = row["conversation_id"] == "c-6";
        assert_eq!(
            row["outcome"],
            if lost { "failed" } else { "stored" },
            "{row}"
        );
    }
    assert_eq!(rows(&written).len(), 4);
    assert!(
        receipts(&written)
            .iter()
            .any(|line| line["conversation_id"] == "c-6")
    );
}

/// Serves one day with one call to requests that have this header, and the recording to all. Returns the
/// URL, and what each path was requested with.
async fn guarded(
    name: &'static str,
    value: &'static str,
) -> (String, Arc<Mutex<BTreeMap<String, Option<String>>>>) {
    let asked = Arc::new(Mutex::new(BTreeMap::new()));
    let seen = Arc::clone(&asked);
    let url = answering(move |request| {
        let given = request.headers().get(name);
        let given = given.map(|value| value.to_str().unwrap().to_owned());
        let path = request.uri().path().to_owned();
        let body = match (path.as_str(), given.as_deref() == Some(value)) {
            ("/2026-01-05/c-1.ogg", _) => Some("OggS of c-1, which is long enough"),
            ("/2026-01-05/index.json", true) => Some(r#"["c-1"]"#),
            ("/2026-01-05/c-1.json", true) => {
                Some(r#"{ "start": "2026-01-05T09:00:07Z", "end": "2026-01-05T09:04:00Z" }"#)
            }
            _ => None,
        };
        seen.lock().unwrap().insert(path, given);
        let mut answer = Response::new(Full::new(Bytes::new()));
        match body {
            Some(body) => *answer.body_mut() = Full::new(body.into()),
            None => {
                *answer.status_mut() = StatusCode::NOT_FOUND;
                *answer.body_mut() =
                    Full::new("<!DOCTYPE HTML><html><h1>Not found</h1></html>".into());
            }
        }
        async { answer }
    })
    .await;
    (url, asked)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs componentize-qjs, which tests/run installs"]
async fn a_password_or_a_key_goes_to_the_api_and_nowhere_else() {
    let script = std::fs::read_to_string(example()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (scheme, auth, wrong, name, value) in [
        (
            r#"{ tag: "basic" }"#,
            json!({ "username": "me", "password": "s3cret" }),
            json!({ "secret": "s3cret" }),
            "authorization",
            "Basic bWU6czNjcmV0",
        ),
        (
            r#"{ tag: "header", val: { name: "x-api-key", prefix: "Key " } }"#,
            json!({ "secret": "s3cret" }),
            json!({ "username": "me", "password": "s3cret" }),
            "x-api-key",
            "Key s3cret",
        ),
    ] {
        let changed = script.replace(r#"{ tag: "none" }"#, scheme);
        assert_ne!(changed, script);
        let (source, component) = (folder.path().join("s.js"), folder.path().join("s.wasm"));
        std::fs::write(&source, changed).unwrap();
        build(&source, &component);
        let (url, asked) = guarded(name, value).await;
        let output = folder.path().join(name);
        let run = async |auth: &Value| {
            let config = json!({
                "data_dir": folder.path().join(format!("{name}-data")),
                "sources": { "calls": {
                    "type": "component",
                    "path": component,
                    "auth": auth,
                    "allow": [url],
                    "allow_private_addresses": true,
                    "options": { "base_url": url, "interval": "2026-01-05/2026-01-06" },
                } },
                "sinks": { "lake": { "type": "filesystem", "path": output } },
            });
            let file = folder.path().join("config.json");
            std::fs::write(&file, config.to_string()).unwrap();
            let ran = run_program_fast(&["run", "--config", &file.display().to_string()]).await;
            let said = String::from_utf8_lossy(&ran.stderr).into_owned();
            assert!(!said.contains("s3cret"), "{said}");
            (ran.status.code(), said)
        };
        let (code, said) = run(&wrong).await;
        assert_eq!(code, Some(2), "{said}");
        assert!(
            said.contains("sources.calls.auth: this source needs `"),
            "{said}"
        );
        assert!(asked.lock().unwrap().is_empty());

        let (code, said) = run(&auth).await;
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(media(&files(&output)).len(), 1);
        let asked = asked.lock().unwrap();
        assert_eq!(asked["/2026-01-05/index.json"].as_deref(), Some(value));
        assert_eq!(asked["/2026-01-05/c-1.ogg"], None);
    }
}
