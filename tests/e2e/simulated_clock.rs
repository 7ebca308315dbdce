//! A simulator has a time of its own, and a client beside it goes by it.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
};

use genesys_simulator::{Faults, Settings};
use serde_json::Value;

use crate::support::{Harness, SIMULATED_CLOCK, program, run_program};

fn few() -> Settings {
    Settings {
        conversations: 3,
        ..Settings::default()
    }
}

/// The simulator's report of its clock: milliseconds since the epoch, and its speed.
async fn told(harness: &Harness) -> (u64, f64) {
    let answer = reqwest::get(harness.simulator.clock_url()).await.unwrap();
    let told: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    (
        told["now_ms"].as_u64().unwrap(),
        told["speed"].as_f64().unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_is_told_whatever_else_goes_wrong_and_is_no_request_to_the_vendor() {
    let settings = Settings {
        clock_start: Some("2026-01-05T21:00:00Z".parse().unwrap()),
        faults: Faults::parse("all=1").unwrap(),
        ..few()
    };
    let harness = Harness::fast(settings, 20.0).await;
    for _ in 0..20 {
        let before = harness.simulator.now().as_millisecond();
        let (now, speed) = told(&harness).await;
        let after = harness.simulator.now().as_millisecond();
        assert!((before..=after).contains(&i64::try_from(now).unwrap()));
        assert!((speed - 20.0).abs() < f64::EPSILON);
    }
    assert!(harness.simulator.stats().requests.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_a_simulator_that_is_a_thousand_times_as_fast_is_not_a_minute_off() {
    let settings = Settings {
        clock_start: Some("2026-01-05T21:00:00Z".parse().unwrap()),
        ..few()
    };
    let harness = Harness::fast(settings, 1000.0).await;
    let config = harness.write(&harness.config()).display().to_string();
    let mut best = u64::MAX;
    // A busy machine may hold an answer up for long; it is that time which is reported then.
    for _ in 0..5 {
        let ran = harness
            .run_program(&["check", "--json", "--config", &config])
            .await;
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(said.contains("clock: simulated, 2026-01-"), "{said}");
        assert!(said.contains("1000 times as fast"), "{said}");
        let told: Value = serde_json::from_slice(&ran.stdout).unwrap();
        let findings = told["sources"]["calls"].as_array().unwrap();
        let clock = findings.iter().find(|one| one["subject"] == "clock");
        let text = clock.unwrap()["text"].as_str().unwrap().to_owned();
        let seconds: u64 = text.split(' ').next().unwrap().parse().unwrap();
        best = best.min(seconds);
        if best < 60 {
            break;
        }
    }
    println!("{best} s off");
    assert!(best < 60, "{best} s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_elsewhere_is_refused_and_options_of_the_simulator_are_none_of_a_run() {
    let harness = Harness::start(few()).await;
    let config = harness.write(&harness.config()).display().to_string();
    for elsewhere in ["http://192.0.2.1/simulator/clock", "https://127.0.0.1/", ""] {
        let mut command = program();
        command
            .args(["run", "--config", &config])
            .env(SIMULATED_CLOCK, elsewhere);
        let ran = tokio::task::spawn_blocking(move || command.output().unwrap());
        let ran = ran.await.unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(2), "{said}");
        assert!(said.contains("not the address of a simulator"), "{said}");
    }
    for option in ["--speed=20", "--clock-start=2026-01-05T00:00:00Z"] {
        for command in ["run", "plan", "check", "reconcile", "status"] {
            let ran = run_program(&[command, "--config", &config, option]).await;
            let said = String::from_utf8_lossy(&ran.stderr).into_owned();
            assert_eq!(ran.status.code(), Some(2), "{command}: {said}");
        }
    }
    assert!(harness.simulator.stats().requests.is_empty());
}

/// A simulator that the program serves, until it is dropped.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_simulate_prints_is_a_configuration_that_runs_in_the_time_that_it_tells() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program();
    command.args([
        "simulate",
        "--listen",
        "127.0.0.1:0",
        "--one-port",
        "--speed",
        "40",
    ]);
    command.args([
        "--conversations",
        "30",
        "--orphans",
        "3",
        "--sensitive",
        "0.1",
    ]);
    command.args(["--denied", "recording:annotation:view", "--nameless"]);
    let mut served = Served(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut said = String::new();
    for line in BufReader::new(served.0.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        said += &format!("{line}\n");
        if line.starts_with("# serving") {
            break;
        }
    }
    let config = folder.path().join("simulated.yaml");
    std::fs::write(&config, &said).unwrap();
    let after = |mark: &str| {
        let rest = said.split_once(mark).unwrap().1;
        rest.split_whitespace().next().unwrap().to_owned()
    };
    let clock = after(&format!("export {SIMULATED_CLOCK}="));
    let ran = |arguments: &[&str]| {
        let mut command = program();
        command.args(arguments).arg("--config").arg(&config);
        command
            .env(SIMULATED_CLOCK, &clock)
            .current_dir(folder.path());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), said, format!("{output:?}"))
    };
    let (code, told, whole) = ran(&["check"]);
    assert_eq!(code, Some(0), "{whole}");
    assert!(told.contains("clock"), "{told}");
    // Sensitive recordings are left out, which is a loss.
    let (code, told, whole) = ran(&["run"]);
    assert_eq!(code, Some(3), "{whole}");
    assert!(told.contains("left-out"), "{told}");
    let integration = after("--integration ");
    let (code, _, whole) = ran(&["push", "start", "--integration", &integration]);
    assert!(matches!(code, Some(0 | 3)), "{whole}");
    assert_eq!(ran(&["verify"]).0, Some(0));
}
