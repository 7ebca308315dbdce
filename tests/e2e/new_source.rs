//! A source of one's own begins with a folder that builds and is tested.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode};
use tempfile::TempDir;

use crate::{
    foreign_source::{build, build_python},
    support::{answering, files, media, program, run_program, sha256},
};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The files of an example as they are after `rename`, without what building leaves.
fn example(name: &str, rename: impl Fn(String) -> String) -> BTreeMap<String, String> {
    let built = [
        "target/",
        "node_modules/",
        ".venv/",
        "__pycache__/",
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
    for (lang, of) in [
        ("rust", "csv"),
        ("js", "http-folder"),
        ("python", "http-folder-python"),
    ] {
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

/// A new source of the name `call-list`.
struct NewSource {
    folder: TempDir,
}

impl NewSource {
    async fn new(lang: &str, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let new = NewSource { folder };
        let into = new.path("").display().to_string();
        let arguments = ["new-source", "--lang", lang, "call-list", "--into", &into];
        let ran = run_program(&[&arguments, more].concat()).await;
        assert!(ran.status.success(), "{ran:?}");
        new
    }

    /// The path of a file of it.
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("call-list").join(name)
    }

    /// Runs the program in its folder.
    async fn run(&self, arguments: &[&str]) -> Output {
        let mut program = program();
        program.args(arguments).current_dir(self.path(""));
        let ran = tokio::task::spawn_blocking(move || program.output().unwrap());
        ran.await.unwrap()
    }

    /// Runs its component `call-list.wasm` as its README says, where `https://calls.example` has the
    /// files `served`: the trial, an export, and the verification of the archive. Returns the media.
    async fn becomes_an_archive(&self, options: &str, served: &[(&str, String)]) -> Vec<String> {
        let trial = ["inspect", "--try", "answers", "call-list.wasm", "--options"];
        let ran = self.run(&[&trial[..], &[options]].concat()).await;
        assert!(ran.status.success(), "{ran:?}");
        let said = String::from_utf8(ran.stdout).unwrap();
        assert!(
            said.contains("artifact c-17/c-17 part 0 audio/ogg"),
            "{said}"
        );

        let url = serve_itself(served).await;
        let config = std::fs::read_to_string(self.path("config.yaml")).unwrap();
        let local = "type: component\n    allow_private_addresses: true";
        let config = config
            .replace("https://calls.example", &url)
            .replace("type: component", local);
        std::fs::write(self.path("config.yaml"), config).unwrap();
        for command in ["run", "verify"] {
            let ran = self.run(&[command, "--config", "config.yaml"]).await;
            let said = String::from_utf8_lossy(&ran.stderr);
            assert_eq!(ran.status.code(), Some(0), "{command}: {said}");
        }
        media(&files(&self.path("archive"))).into_keys().collect()
    }
}

/// Serves files in which `https://calls.example` stands for the server itself; returns its URL.
async fn serve_itself(files: &[(&str, String)]) -> String {
    let files: Arc<BTreeMap<String, String>> = Arc::new(
        files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), text.clone()))
            .collect(),
    );
    answering(move |request| {
        let own = format!("http://{}", request.headers()["host"].to_str().unwrap());
        let found = files.get(request.uri().path());
        let text = found.map(|text| text.replace("https://calls.example", &own));
        let mut answer = Response::new(Full::new(Bytes::new()));
        match text {
            Some(text) => *answer.body_mut() = Full::new(text.into()),
            None => *answer.status_mut() = StatusCode::NOT_FOUND,
        }
        async { answer }
    })
    .await
}

const ARCHIVE: &str =
    r#"{"base_url": "https://calls.example/archive", "interval": "2026-01-05/2026-01-06"}"#;

/// The files of a web server that the sources in JavaScript and Python read.
fn archive(new: &NewSource) -> [(&'static str, String); 3] {
    let answer = |name: &str| {
        let name = format!("answers/GET_calls.example_archive_2026-01-05_{name}");
        std::fs::read_to_string(new.path(&name)).unwrap()
    };
    [
        ("/archive/2026-01-05/index.json", answer("index.json")),
        ("/archive/2026-01-05/c-17.json", answer("c-17.json")),
        (
            "/archive/2026-01-05/c-17.ogg",
            "OggS of c-17, which is long enough".to_owned(),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs componentize-qjs, which tests/run installs"]
async fn a_new_source_in_javascript_becomes_a_verified_archive() {
    let new = NewSource::new("js", &[]).await;
    build(&new.path("source.js"), &new.path("call-list.wasm"));
    let stored = new.becomes_an_archive(ARCHIVE, &archive(&new)).await;
    assert_eq!(stored, ["recordings/2026/01/05/c-17/c-17.ogg"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs componentize-py, which tests/run installs"]
async fn a_new_source_in_python_becomes_a_verified_archive() {
    let new = NewSource::new("python", &[]).await;
    build_python(&new.path(""), &new.path("call-list.wasm"));
    let stored = new.becomes_an_archive(ARCHIVE, &archive(&new)).await;
    assert_eq!(stored, ["recordings/2026/01/05/c-17/c-17.ogg"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "builds a source with cargo, natively and for wasm32-unknown-unknown"]
async fn a_new_source_in_rust_becomes_a_verified_archive() {
    let sdk = format!("{ROOT}/component/sdk");
    let new = NewSource::new("rust", &["--sdk", &sdk]).await;
    // The dependencies of the example, in the versions that are tested.
    let lock = Path::new(ROOT).join("component/examples/csv/Cargo.lock");
    let lock = std::fs::read_to_string(lock).unwrap();
    let lock = lock.replace("csv-calls", "call-list");
    std::fs::write(new.path("Cargo.lock"), lock).unwrap();
    // Where tests/run has built the example: its dependencies are built already.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../example-csv");
    for arguments in [
        &["test"][..],
        &["build", "--release", "--target", "wasm32-unknown-unknown"],
    ] {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(arguments).arg("--target-dir").arg(&target);
        cargo.current_dir(new.path(""));
        let ran = cargo.output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
    }
    let module = target.join("wasm32-unknown-unknown/release/call_list.wasm");
    let module = module.display().to_string();
    let core = new.run(&["inspect", &module]).await;
    let said = String::from_utf8(core.stderr).unwrap();
    assert!(
        said.contains("`recording-host componentize FILE -o COMPONENT`"),
        "{said}"
    );
    let made = ["componentize", &module, "-o", "call-list.wasm"];
    let ran = new.run(&made).await;
    assert!(ran.status.success(), "{ran:?}");
    let component = std::fs::read(new.path("call-list.wasm")).unwrap();
    let digest = sha256(&component);
    let said = String::from_utf8(ran.stdout).unwrap();
    assert!(said.contains(&format!("sha256 {digest}")), "{said}");

    let options =
        r#"{"url": "https://calls.example/calls.csv", "interval": "2026-01-05/2026-01-06"}"#;
    let list = new.path("answers/GET_calls.example_calls.csv");
    let list = std::fs::read_to_string(list).unwrap();
    let served = [
        ("/calls.csv", list),
        (
            "/2026/c-17.ogg",
            "OggS of c-17, which is long enough".to_owned(),
        ),
        (
            "/2026/c-18.ogg",
            "OggS of c-18, which is long enough".to_owned(),
        ),
        (
            "/2026/c-20.ogg",
            "OggS of c-20, which is long enough".to_owned(),
        ),
    ];
    let stored = new.becomes_an_archive(options, &served).await;
    let expected = [("05", "c-17"), ("05", "c-18"), ("06", "c-20")]
        .map(|(day, id)| format!("recordings/2026/01/{day}/{id}/{id}.ogg"));
    assert_eq!(stored, expected);
}

#[tokio::test]
async fn what_is_no_core_module_of_a_source_is_no_component_either() {
    let folder = tempfile::tempdir().unwrap();
    let [module, output] = ["m.wasm", "c.wasm"].map(|name| folder.path().join(name));
    let empty = wat::parse_str("(module)").unwrap();
    let (_, component) = recording_host_source::BUILTIN[0];
    for (bytes, expected) in [
        (
            &empty[..],
            "does not export `recording:source/source@0.2.0`",
        ),
        (b"text", "is not WebAssembly; name the file"),
        (component, "is a component already"),
    ] {
        std::fs::write(&module, bytes).unwrap();
        let [module, output] = [&module, &output].map(|path| path.display().to_string());
        let ran = run_program(&["componentize", &module, "-o", &output]).await;
        let said = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(1), "{said}");
        assert!(said.contains(expected) && said.contains(&module), "{said}");
    }
    assert!(!output.exists());
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
