//! Whoever looks at a terminal sees how far a command is, whatever the width; nobody's log holds bars.

#[path = "terminal/screens.rs"]
mod screens;

use std::{path::Path, process::Stdio};

use genesys_simulator::Settings;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
};

use crate::support::{Harness, filed, in_time};

/// Lines of the terminals.
const ROWS: u16 = 24;

/// A program on a terminal of its own.
struct OnTerminal {
    child: Child,
    screen: vt100::Parser,
    /// All that was written.
    raw: Vec<u8>,
}

impl OnTerminal {
    fn start(harness: &Harness, columns: u16, arguments: &[&str], stdout: Option<&Path>) -> Self {
        Self::start_with(&[], harness, columns, arguments, stdout)
    }

    fn start_with(
        environment: &[(&str, &str)],
        harness: &Harness,
        columns: u16,
        arguments: &[&str],
        stdout: Option<&Path>,
    ) -> Self {
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/clients/terminal.py"
        );
        let program = harness.program();
        let mut python = Command::new("python3");
        python
            .arg(script)
            .args([columns.to_string(), ROWS.to_string()])
            .arg(program.get_program())
            .args(arguments)
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        for (name, value) in program.get_envs() {
            python.env(name, value.unwrap_or_default());
        }
        if let Some(path) = stdout {
            python.env("STDOUT", path);
        }
        OnTerminal {
            child: python.spawn().unwrap(),
            screen: vt100::Parser::new(ROWS, columns, 0),
            raw: Vec::new(),
        }
    }

    /// The lines on the screen once there is more on it; none at the end.
    async fn next(&mut self) -> Option<Vec<String>> {
        let mut data = [0; 4096];
        let output = self.child.stdout.as_mut().unwrap();
        let length = in_time(output.read(&mut data)).await.unwrap();
        if length == 0 {
            return None;
        }
        self.raw.extend_from_slice(&data[..length]);
        self.screen.process(&data[..length]);
        Some(self.lines())
    }

    fn lines(&self) -> Vec<String> {
        let (_, columns) = self.screen.screen().size();
        let lines = self.screen.screen().rows(0, columns);
        let lines: Vec<String> = lines.map(|line| line.trim_end().to_owned()).collect();
        let last = lines.iter().rposition(|line| !line.is_empty());
        lines[..last.map_or(0, |last| last + 1)].to_vec()
    }

    /// The lines once one of them has this text.
    async fn until(&mut self, text: &str) -> Vec<String> {
        while let Some(lines) = self.next().await {
            if lines.iter().any(|line| line.contains(text)) {
                return lines;
            }
        }
        panic!("{text:?} is not in {:#?}", self.lines());
    }

    async fn ask(&mut self, word: &str) {
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(word.as_bytes()).await.unwrap();
    }

    async fn code(&mut self) -> Option<i32> {
        in_time(self.child.wait()).await.unwrap().code()
    }
}

async fn harness(conversations: u64) -> Harness {
    Harness::start(Settings {
        conversations,
        days: 1,
        ..Settings::default()
    })
    .await
}

fn count(lines: &[String], text: &str) -> usize {
    lines.iter().filter(|line| line.contains(text)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_shows_each_stage_once_at_any_width_and_leaves_totals_alone() {
    let harness = harness(300).await;
    for columns in [40, 80, 200] {
        let mut config = harness.config();
        let folder = harness.folder.path().join(columns.to_string());
        config["data_dir"] = json!(folder.join("data"));
        config["sinks"]["lake"]["path"] = json!(folder.join("output"));
        let path = harness.write(&config).display().to_string();
        let arguments = ["run", "--config", &path];
        let mut run = OnTerminal::start(&harness, columns, &arguments, None);
        let mut stages = [0; 4];
        while let Some(lines) = run.next().await {
            for (shown, stage) in
                stages
                    .iter_mut()
                    .zip(["discovered", "fetched  ", "stored  ", "committed"])
            {
                let now = count(&lines, stage);
                assert!(now <= 1, "{columns}: an old picture is left: {lines:#?}");
                *shown += now;
            }
        }
        assert!(
            stages.iter().all(|shown| *shown > 0),
            "{columns}: {stages:?}"
        );
        let code = run.code().await;
        let lines = run.lines();
        assert!(matches!(code, Some(0 | 3)), "{code:?} {lines:#?}");
        assert_eq!(count(&lines, "discovered"), 0, "{lines:#?}");
        assert_eq!(count(&lines, "conversations  300"), 1, "{lines:#?}");
        assert!(lines.last().unwrap().contains("recordings"), "{lines:#?}");
        let raw = String::from_utf8_lossy(&run.raw);
        assert!(raw.contains("\x1b[32m"), "the bars are green");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_checks_verifications_and_reconciliations_show_how_far_they_are() {
    let harness = harness(150).await;
    let path = harness.write(&harness.config()).display().to_string();
    let ran = harness.run_program(&["run", "--config", &path, "-q"]).await;
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
    assert!(ran.stderr.is_empty(), "{ran:?}");
    for (arguments, word) in [
        (&["plan"][..], "files measured"),
        (&["check"], "parts tried"),
        (&["reconcile"], "days compared"),
        (&["verify", "--full"], "objects read"),
        (&["run", "--repair"], "objects read"),
    ] {
        let mut all = arguments.to_vec();
        all.extend(["--config", &path]);
        let mut run = OnTerminal::start(&harness, 80, &all, None);
        while run.next().await.is_some() {}
        let code = run.code().await;
        let raw = String::from_utf8_lossy(&run.raw);
        assert!(matches!(code, Some(0 | 3)), "{arguments:?}: {raw}");
        // The last picture may be gone before anybody reads.
        assert!(raw.contains(word), "{arguments:?}: {raw}");
        let left = run.lines();
        assert_eq!(count(&left, "waits:"), 0, "{arguments:?}: {left:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_color_is_heeded_and_a_log_has_no_bars() {
    let harness = harness(60).await;
    let path = harness.write(&harness.config()).display().to_string();
    let plan = ["plan", "--config", &path];
    let mut run = OnTerminal::start_with(&[("NO_COLOR", "1")], &harness, 80, &plan, None);
    while run.next().await.is_some() {}
    assert_eq!(run.code().await, Some(0));
    let raw = String::from_utf8_lossy(&run.raw);
    assert!(raw.contains('━') || raw.contains('─'), "{raw}");
    assert!(!raw.contains("\x1b[3"), "{raw}");
    for command in [&["plan"][..], &["check"], &["verify"]] {
        let mut arguments = command.to_vec();
        arguments.extend(["--log-format", "json", "-v", "--json", "--config", &path]);
        let ran = harness.run_program(&arguments).await;
        let said = String::from_utf8(ran.stderr).unwrap();
        for line in said.lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
            assert!(line["time"].is_string(), "{line}");
        }
        let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
        assert!(report.is_object(), "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_terminal_is_closed_ends_as_at_a_sigterm() {
    let harness = harness(400).await;
    let mut config = harness.config();
    let path = harness.write(&config).display().to_string();
    let stdout = harness.folder.path().join("stdout");
    let arguments = ["run", "--config", &path];
    let mut run = OnTerminal::start(&harness, 80, &arguments, Some(&stdout));
    run.until("discovered").await;
    run.ask("close\n").await;
    // A signal would be a negative number; a panic 101.
    assert_eq!(run.code().await, Some(1));
    let ran = harness.run_program(&arguments).await;
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
    assert_eq!(filed(&harness.output()), 400);

    // One that follows would take SIGHUP for a request to reload.
    let begin = harness.organization().interval().0;
    config["sources"]["calls"]["options"]["interval"] = json!(format!("{begin}/.."));
    let path = harness.write(&config).display().to_string();
    let arguments = ["run", "--follow", "--json", "--config", &path];
    let mut run = OnTerminal::start(&harness, 80, &arguments, Some(&stdout));
    run.until("discovered").await;
    run.ask("close\n").await;
    assert_eq!(run.code().await, Some(0));
    let summary: Value = serde_json::from_slice(&std::fs::read(&stdout).unwrap()).unwrap();
    assert!(
        summary["sources"]["calls"]["seconds"].is_number(),
        "{summary}"
    );
}
