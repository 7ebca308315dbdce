//! A run ends well when it is told to, and continues with another configuration without losing anything.

use genesys_simulator::Settings;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    running::Running,
    support::{Harness, export, filed, files, media, same_media, within_deadline},
};

/// How much faster than real time these runs are.
const FAST: f64 = 600.0;

async fn harness(conversations: u64) -> Harness {
    let settings = Settings {
        conversations,
        days: 1,
        clock_start: Some("2026-01-06T00:00:00Z".parse().unwrap()),
        ..Settings::default()
    };
    Harness::fast(settings, FAST).await
}

fn following(harness: &Harness) -> Value {
    let mut config = harness.config();
    config["sources"]["calls"]["options"]["interval"] = json!("2026-01-05/..");
    config["sources"]["calls"]["late_hours"] = json!(1);
    config["sources"]["calls"]["follow"] =
        json!({ "settle_seconds": 60, "look_back_seconds": 60, "every_seconds": 60 });
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_takes_a_new_secret_and_loses_no_recording() {
    let harness = harness(200).await;
    let secrets = harness.folder.path().join("secrets");
    std::fs::create_dir(&secrets).unwrap();
    let secret = secrets.join("client_secret");
    std::fs::write(&secret, harness.simulator.client_secret()).unwrap();
    let mut config = following(&harness);
    config["secret"] = json!({ "files": { "type": "directory", "path": secrets } });
    config["sources"]["calls"]["auth"]["client_secret"] = json!("SECRET[files.client_secret]");
    let path = harness.write(&config).display().to_string();
    let mut run = Running::start(&harness, &["run", "--follow", "-v", "--config", &path]);
    run.until("artifact_stored").await;

    // A configuration that is wrong is named, and changes nothing.
    let mut wrong = config.clone();
    wrong["sinks"]["lake"]["pth"] = json!("x");
    harness.write(&wrong);
    run.signal("-HUP").await;
    let said = run.until("not reloaded").await;
    assert!(said.contains("sinks.lake.pth"), "{said}");
    // It goes on: it searches for more.
    run.until("request").await;
    // So is a secret that is refused, before anything depends on it.
    harness.write(&config);
    std::fs::write(&secret, "not the secret").unwrap();
    run.signal("-HUP").await;
    let said = run.until("not reloaded").await;
    assert!(
        said.contains("sources.calls: ") && said.contains("refused the client credentials"),
        "{said}"
    );
    run.until("request").await;

    // The secret changes: from here on the one before is refused.
    harness.simulator.set_client_secret("another secret");
    std::fs::write(&secret, "another secret\n").unwrap();
    run.signal("-HUP").await;
    run.until("reloading").await;
    // Its lines are read all the while: nobody writes to a full pipe.
    while filed(&harness.output()) < 200 {
        run.until("filed segment").await;
    }
    run.signal("-TERM").await;
    let (code, out, lines) = run.end().await;
    assert_eq!(code, Some(0), "{lines:#?}");
    assert!(out.contains("conversations  200"), "{out}");

    let mut again = following(&harness);
    again["sources"]["calls"]["options"]["interval"] = json!("2026-01-05/2026-01-06");
    let other = harness.folder.path().join("other");
    again["data_dir"] = json!(harness.folder.path().join("other-data"));
    again["sinks"]["lake"]["path"] = json!(other);
    assert_eq!(
        again["sources"]["calls"]["auth"]["client_secret"],
        "another secret"
    );
    let summary = export(again).await;
    assert_eq!(summary.conversations, 200);
    same_media(&media(&files(&harness.output())), &media(&files(&other)));
    let output = harness.output().display().to_string();
    let ran = harness.run_program(&["verify", "--full", &output]).await;
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_followed_export_ends_with_a_summary_whoever_stops_it() {
    for signal in ["-TERM", "-INT"] {
        let harness = harness(40).await;
        let path = harness.write(&following(&harness)).display().to_string();
        let mut run = Running::start(
            &harness,
            &["run", "--follow", "--json", "-v", "--config", &path],
        );
        run.until("artifact_stored").await;
        run.signal(signal).await;
        let (code, out, lines) = run.end().await;
        assert_eq!(code, Some(0), "{lines:#?}");
        let summary: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(summary["sources"]["calls"]["conversations"], 40, "{out}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_summary_counts_requests_and_time_since_the_start_whatever_was_reloaded() {
    let harness = harness(40).await;
    let path = harness.write(&following(&harness)).display().to_string();
    let arguments = ["run", "--follow", "--json", "-v", "--config", &path];
    let mut run = Running::start(&harness, &arguments);
    run.until("artifact_stored").await;
    let began = std::time::Instant::now();
    run.signal("-HUP").await;
    run.until("reloading").await;
    run.until("request").await;
    let after = began.elapsed();
    run.signal("-TERM").await;
    let (code, out, lines) = run.end().await;
    assert_eq!(code, Some(0), "{lines:#?}");
    let summary: Value = serde_json::from_str(&out).unwrap();
    let calls = &summary["sources"]["calls"];
    let counted = calls["api_calls"].as_object().unwrap().iter();
    let counted = counted.filter(|(kind, _)| *kind != "token");
    let counted: u64 = counted.map(|(_, count)| count.as_u64().unwrap()).sum();
    let requests = harness.simulator.stats().requests;
    let sent = requests
        .iter()
        .filter(|(path, _)| path.contains("/api/v2/"));
    assert_eq!(
        counted,
        sent.map(|(_, count)| count).sum::<u64>(),
        "{requests:?}"
    );
    assert!(
        calls["seconds"].as_f64().unwrap() > after.as_secs_f64(),
        "{out}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bounded_run_that_loses_its_terminal_or_its_reader_stops_and_says_so() {
    let harness = Harness::start(Settings {
        conversations: 300,
        ..Settings::default()
    })
    .await;
    let path = harness.write(&harness.config()).display().to_string();
    let arguments = ["run", "-v", "--config", &path];
    let mut run = Running::start(&harness, &arguments);
    run.until("request").await;
    run.signal("-HUP").await;
    run.until("stopping").await;
    let (code, out, lines) = run.end().await;
    assert_eq!(code, Some(1), "{lines:#?}");
    let last = lines.last().unwrap();
    let (time, text) = last.split_once(' ').unwrap();
    assert!(time.parse::<jiff::Timestamp>().is_ok(), "{last}");
    assert!(text.starts_with("error recording-host: "), "{last}");
    assert!(text.contains("run it again"), "{last}");
    assert!(out.contains("ended early    stopped; "), "{out}");
    assert!(out.contains("conversations  "), "{out}");

    let mut run = Running::start(&harness, &arguments);
    run.until("request").await;
    // Nobody reads any more.
    drop(run.lines);
    let code = within_deadline(run.child.wait()).await.unwrap().code();
    assert_eq!(code, Some(1));
    let ran = harness.run_program(&["run", "--config", &path]).await;
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
    assert_eq!(filed(&harness.output()), 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_names_the_configuration() {
    let harness = harness(20).await;
    let path = harness.write(&harness.config());
    for command in [&["validate"][..], &["status"], &["verify"]] {
        let mut program = Command::from(harness.program());
        program
            .args(command)
            .args(["--json"])
            .env("RECORDING_HOST_CONFIG", &path);
        let ran = program.output().await.unwrap();
        assert!(matches!(ran.status.code(), Some(0 | 4)), "{ran:?}");
        let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
        assert!(report.is_object(), "{report}");
    }
    // An archive on the command line is meant, whatever the environment says.
    let mut program = Command::from(harness.program());
    program
        .args(["verify", "/nowhere"])
        .env("RECORDING_HOST_CONFIG", &path);
    let ran = program.output().await.unwrap();
    assert_eq!(ran.status.code(), Some(4), "{ran:?}");
}
