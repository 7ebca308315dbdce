//! The common mistakes of those who write a source each get a message that says what to change.

use std::path::{Path, PathBuf};

use http_body_util::Full;
use hyper::Response;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    foreign_source::build,
    support::{answering, run_program, run_program_fast},
};

/// A source that makes the mistake that it is told to make, and a folder with answers for it.
struct Mistaken {
    folder: TempDir,
}

impl Mistaken {
    /// Makes the component; `change` gets its text first.
    fn new(change: impl Fn(String) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let own =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/e2e/guest_mistakes/source.js");
        let script = folder.path().join("source.js");
        let text = std::fs::read_to_string(own).unwrap();
        std::fs::write(&script, change(text)).unwrap();
        let mistaken = Mistaken { folder };
        build(&script, &mistaken.component());
        std::fs::create_dir(mistaken.answers()).unwrap();
        let list = mistaken.answers().join("GET_calls.example_list");
        std::fs::write(list, r#"["c-1", "c-2"]"#).unwrap();
        mistaken
    }

    fn component(&self) -> PathBuf {
        self.folder.path().join("source.wasm")
    }

    fn answers(&self) -> PathBuf {
        self.folder.path().join("answers")
    }

    /// The output of `inspect --try` for a mistake; true if it ends well.
    async fn tried(&self, mistake: &str) -> (bool, String) {
        let options = json!({ "url": "https://calls.example", "mistake": mistake,
            "interval": "2026-01-05/2026-01-06" });
        let (component, answers) = (self.component(), self.answers());
        let ran = run_program(&[
            "inspect",
            "--try",
            &answers.display().to_string(),
            "--options",
            &options.to_string(),
            &component.display().to_string(),
        ])
        .await;
        let said = [ran.stdout, ran.stderr].concat();
        (ran.status.success(), String::from_utf8(said).unwrap())
    }

    /// The exit code of `command` with a source so configured, and what it says.
    async fn ran(&self, command: &str, source: Value) -> (Option<i32>, String) {
        let mut calls = json!({ "type": "component", "path": self.component(),
            "allow": ["http://127.0.0.1:1"], "allow_private_addresses": true });
        for (name, value) in source.as_object().unwrap() {
            calls[name] = value.clone();
        }
        let config = json!({
            "data_dir": self.folder.path().join("data"),
            "sources": { "calls": calls },
            "sinks": { "lake": { "type": "filesystem", "path": self.folder.path().join("out") } },
        });
        let path = self.folder.path().join("config.json");
        std::fs::write(&path, config.to_string()).unwrap();
        let ran = run_program_fast(&[command, "--config", &path.display().to_string()]).await;
        let said = String::from_utf8(ran.stderr).unwrap();
        assert!(!said.contains("s3cret"), "{said}");
        (ran.status.code(), said)
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs componentize-qjs, which tests/run installs"]
async fn a_trial_names_each_rule_that_a_source_breaks_and_what_it_takes() {
    let source = Mistaken::new(|text| text);
    let (good, said) = source.tried("").await;
    assert!(good, "{said}");
    for line in [
        "GET https://calls.example/list: 200",
        "conversation c-1 from 2026-01-05T09:00:00Z",
        "artifact c-2/c-2-r part 0 audio/ogg https://calls.example/c-2.ogg\n",
        "outcome of c-1: 1 artifacts",
        "keeps the rules of the interface",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    for (mistake, expected) in [
        ("endless", "it used the processor for more than 5 seconds"),
        ("memory", "it needs more than the 64 MiB of memory"),
        ("throws", "threw something other than a `source-error`"),
        ("recursion", "its calls are nested too deeply"),
        ("result", "in `start`: it needs more than the 64 MiB"),
        (
            "interval",
            "options.interval: missing; a component asks for no interval",
        ),
        ("size", "a state of 300"),
        ("state", "a state of 300"),
        (
            "unannounced",
            "a request goes to https://calls.example, which `start` does not announce; announce it with the role `api`",
        ),
        (
            "relative",
            "the URL of a request, `calls.example/x y`, is not an absolute http or https URL",
        ),
        (
            "authorization",
            "sets the header `Authorization`, which the host leaves out",
        ),
        ("header", "a header `x-name` that cannot be sent"),
        ("forgets", "does not send the same request again"),
        (
            "names",
            "does not begin with the name of its work, `find-0`",
        ),
        ("outcome", "the conversation c-1 has 0 outcomes"),
        ("count", "c-1 reports 2 artifacts, but 1 were returned"),
        (
            "key",
            "returns the artifact c-1/c-1-r part 7, which it was not asked for",
        ),
    ] {
        let (good, said) = source.tried(mistake).await;
        assert!(!good && said.contains(expected), "{mistake}: {said}");
        assert!(!said.contains("s3cret"), "{said}");
    }
    std::fs::remove_file(source.answers().join("GET_calls.example_list")).unwrap();
    let (good, said) = source.tried("").await;
    let named = "no answer: put one into";
    assert!(
        !good && said.contains(named) && said.contains("GET_calls.example_list"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs componentize-qjs, which tests/run installs"]
async fn a_run_says_what_of_a_source_the_host_does_not_take() {
    let source = Mistaken::new(|text| text);
    let url = answering(|request| async move {
        assert!(request.headers().get("authorization").is_none());
        let body = match request.uri().path() {
            "/list" => r#"["c-1", "c-2"]"#,
            _ => "OggS, and long enough to be a recording",
        };
        Response::new(Full::new(body.into()))
    })
    .await;
    let with = |more: Value| {
        let mut options = json!({ "url": url, "interval": "2026-01-05/2026-01-06" });
        for (name, value) in more.as_object().unwrap() {
            options[name] = value.clone();
        }
        json!({ "options": options, "allow": [url] })
    };
    for (wrong, expected) in [
        (
            with(json!({ "token": { "value": "SECRET[env.TOKEN]" } })),
            "sources.calls.options.token.value: names a secret, and options are handed to the component",
        ),
        (
            with(json!({ "mistake": "interval" })),
            "sources.calls.options.interval: missing; a component asks for no interval",
        ),
        (
            json!({ "interval": "2026-01-05/2026-01-06", "options": { "url": url } }),
            "sources.calls.interval: belongs in the options",
        ),
    ] {
        let (code, said) = source.ran("validate", wrong).await;
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let (code, said) = source
        .ran("run", with(json!({ "mistake": "header" })))
        .await;
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("a header `x-name` that cannot be sent"),
        "{said}"
    );

    let (code, said) = source
        .ran("run", with(json!({ "mistake": "authorization" })))
        .await;
    assert_eq!(code, Some(0), "{said}");
    let warning = "the source sets the header `authorization`, which is left out";
    assert_eq!(said.matches(warning).count(), 1, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs componentize-qjs, which tests/run installs"]
async fn a_schema_that_holds_what_is_the_hosts_or_is_no_json_is_named() {
    let with_interval = Mistaken::new(|text| text.replace("{ url: {", "{ interval: {}, url: {"));
    let options = json!({ "url": "http://127.0.0.1:1", "interval": "2026-01-05/2026-01-06" });
    let (code, said) = with_interval
        .ran("validate", json!({ "options": options }))
        .await;
    assert_eq!(code, Some(0), "{said}");
    let warning =
        "sources.calls: the component's schema has an option `interval`, which is the host's";
    assert!(said.contains(warning), "{said}");

    let broken = Mistaken::new(|text| text.replace("JSON.stringify({ type", "String({ type"));
    let path = broken.component().display().to_string();
    let ran = run_program(&["inspect", &path]).await;
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(!ran.status.success());
    assert!(
        said.contains("the component's JSON Schema of its options"),
        "{said}"
    );
}
