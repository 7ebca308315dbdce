//! A component that means harm: whatever ids, times, texts and results it reports cost itself alone, and no
//! other source, no file elsewhere and no terminal.

use std::{collections::BTreeSet, path::Path};

use http_body_util::Full;
use hyper::Response;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    foreign_source::build,
    support::{answering, files, receipts, run_program_fast},
};

/// The component, a server with files for it, and a folder.
struct Hostile {
    folder: TempDir,
    url: String,
}

/// How a command ended.
struct Ran {
    code: Option<i32>,
    said: String,
}

impl Hostile {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/e2e/hostile_source/source.js");
        build(&script, &folder.path().join("source.wasm"));
        let url = answering(|request| async move {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let mut answer =
                Response::new(Full::from(format!("OggS {}of {query}", "-".repeat(99))));
            if request.uri().path() == "/gone" {
                *answer.status_mut() = hyper::StatusCode::FORBIDDEN;
            }
            answer
        });
        let url = url.await;
        Hostile { folder, url }
    }

    /// A source that has these options.
    fn source(&self, options: Value) -> Value {
        let mut all = json!({ "url": self.url, "interval": "2026-01-05/2026-01-06" });
        let fields = options.as_object().unwrap().clone();
        all.as_object_mut().unwrap().extend(fields);
        json!({ "type": "component", "path": self.folder.path().join("source.wasm"),
            "allow": [self.url], "allow_private_addresses": true, "confirm_hours": 0, "late_hours": 0, "options": all })
    }

    /// Runs a command in the folder `name`, in which nothing has been exported before the first one.
    async fn command(&self, name: &str, sources: &Value, command: &[&str]) -> Ran {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let config = json!({ "data_dir": folder.join("data"), "sources": sources,
            "sinks": { "lake": { "type": "filesystem", "path": folder.join("out") } } });
        let path = folder.join("config.json");
        std::fs::write(&path, config.to_string()).unwrap();
        let path = path.display().to_string();
        let mut arguments = command.to_vec();
        arguments.extend(["--config", &path]);
        let ran = run_program_fast(&arguments).await;
        let said = String::from_utf8([ran.stdout, ran.stderr].concat()).unwrap();
        let steers = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!said.contains(steers), "{name}: {said:?}");
        assert!(!said.contains("panicked at"), "{name}: {said}");
        assert!(said.len() < 200_000, "{name}: {} bytes", said.len());
        Ran {
            code: ran.status.code(),
            said,
        }
    }

    async fn run(&self, name: &str, options: Value) -> Ran {
        let sources = json!({ "evil": self.source(options) });
        let ran = self.command(name, &sources, &["run"]).await;
        assert!(
            matches!(ran.code, Some(0 | 1 | 3)),
            "{name}: {:?} {}",
            ran.code,
            ran.said
        );
        if ran.code != Some(1) {
            let proven = self.command(name, &sources, &["verify", "--full"]).await;
            assert!(
                matches!(proven.code, Some(0 | 4)),
                "{name}: {}",
                proven.said
            );
            let more = self.command(name, &sources, &["status", "--losses"]).await;
            assert_eq!(more.code, Some(0), "{name}: {}", more.said);
        }
        ran
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs componentize-qjs, which tests/run installs"]
async fn ids_of_any_form_are_files_of_their_own_and_lead_nowhere_else() {
    let hostile = Hostile::new().await;
    let ids = json!([
        "../../../etc/x", "..", ".", "/abs", "a/b", "a\\b", "nul\u{0}x", "line\nbreak", "tab\t", "CON",
        "éééé", "%2e%2e%2f", "receipts", "-rf", "\u{202e}rtl", "\u{1b}[31mred", "2026/17", "2027/17",
        "x:1", "x;1", { "$repeat": ["y", 300] },
    ]);
    let number = ids.as_array().unwrap().len();
    let ran = hostile.run("ids", json!({ "ids": ids })).await;
    let out = files(&hostile.folder.path().join("ids/out"));
    let media: Vec<&Vec<u8>> = out
        .iter()
        .filter(|(key, _)| key.starts_with("recordings/"))
        .map(|(_, body)| body)
        .collect();
    // Each that was taken has its own file, with the bytes that are its own.
    let different: BTreeSet<&&Vec<u8>> = media.iter().collect();
    assert_eq!(different.len(), media.len(), "{:?}", out.keys());
    let told: BTreeSet<String> = receipts(&out)
        .iter()
        .filter_map(|line| Some(line["conversation_id"].as_str()?.to_owned()))
        .collect();
    assert!(
        media.len() >= 15 && media.len() <= number,
        "{:?} {}",
        out.keys(),
        ran.said
    );
    assert!(told.is_empty() || told.len() >= media.len(), "{told:?}");
    for folder in ["etc", "abs", "x"] {
        assert!(!hostile.folder.path().join(folder).exists());
    }

    let recordings: Vec<Value> = [
        "../../x",
        "..",
        "/abs",
        "a/b",
        "line\nbreak",
        "CON",
        "",
        "a",
        "A",
    ]
    .iter()
    .map(|id| json!({ "recording": id, "contentType": "audio/ogg\r\nX-Evil: 1" }))
    .collect();
    hostile
        .run(
            "recordings",
            json!({ "ids": ["c"], "artifacts": recordings }),
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs componentize-qjs, which tests/run installs"]
async fn a_source_that_ends_badly_costs_itself_and_no_other() {
    let hostile = Hostile::new().await;
    for mode in ["trap", "loop", "memory"] {
        let sources = json!({
            "evil": hostile.source(json!({ "ids": ["bad-1", "good-2"], "mode": mode })),
            "good": hostile.source(json!({ "ids": ["g-1", "g-2"] })),
        });
        let ran = hostile.command(mode, &sources, &["run"]).await;
        assert!(
            matches!(ran.code, Some(1 | 3)),
            "{mode}: {:?} {}",
            ran.code,
            ran.said
        );
        let out = files(&hostile.folder.path().join(mode).join("out"));
        let stored = |id: &str| {
            let part = format!("of={id}r");
            out.values()
                .any(|body| String::from_utf8_lossy(body).ends_with(&part))
        };
        assert!(stored("g-1") && stored("g-2"), "{mode}: {}", ran.said);
        assert!(stored("good-2"), "{mode}: {}", ran.said);
        assert!(!stored("bad-1"), "{mode}: {}", ran.said);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs componentize-qjs, which tests/run installs"]
async fn a_source_that_fails_before_it_begins_costs_itself_and_no_other() {
    let hostile = Hostile::new().await;
    let evil = hostile.source(json!({ "mode": "start" }));
    let sources = json!({ "evil": evil, "good": hostile.source(json!({ "ids": ["g-1"] })) });
    let ran = hostile.command("start", &sources, &["run"]).await;
    assert_eq!(ran.code, Some(1), "{}", ran.said);
    assert!(ran.said.contains("sources.evil"), "{}", ran.said);
    assert!(ran.said.contains("failed in `start`"), "{}", ran.said);
    let out = files(&hostile.folder.path().join("start/out"));
    assert!(
        out.values().any(|body| body.ends_with(b"of=g-1r")),
        "{}",
        ran.said
    );
    let alone = json!({ "evil": evil });
    let ran = hostile.command("alone", &alone, &["run"]).await;
    assert_eq!(ran.code, Some(2), "{}", ran.said);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs componentize-qjs, which tests/run installs"]
async fn texts_times_sizes_and_results_of_any_kind_are_bounded_and_told() {
    let hostile = Hostile::new().await;
    let notes = json!(["\u{1b}[31mred\u{7}x\nerror: sources.good: all recordings are lost\r\rok",
        { "$repeat": ["A", 5_000_000] }]);
    let ran = hostile
        .run("notes", json!({ "ids": ["c"], "notes": notes }))
        .await;
    assert!(!ran.said.contains("\nerror: sources.good"), "{}", ran.said);
    for (name, start) in [
        ("year-10000", 253_402_300_800_000_u64),
        ("far", 9_007_199_254_740_991),
        ("past", 0),
    ] {
        hostile
            .run(name, json!({ "ids": ["c"], "start": start, "end": start }))
            .await;
    }
    for (name, artifact) in [
        ("a-size-that-is-none", json!({ "size": 99_999 })),
        (
            "a-digest-that-is-none",
            json!({ "sha256": "00".repeat(32) }),
        ),
        ("no-digest", json!({ "sha256": "hush" })),
        ("a-link-that-is-gone", json!({ "path": "gone" })),
    ] {
        let ran = hostile
            .run(name, json!({ "ids": ["a\nb"], "artifacts": [artifact] }))
            .await;
        assert_ne!(ran.code, Some(0), "{name}: {}", ran.said);
    }
    // It reports more than it hands over.
    let result = json!({ "tag": "handed-over", "val": { "artifacts": 7, "missing": [] } });
    let ran = hostile
        .run("more", json!({ "ids": ["c"], "result": result }))
        .await;
    assert_ne!(ran.code, Some(0), "{}", ran.said);
}
