//! A run takes no more from the vendor and from the network than the configuration allows, and says so.

use serde_json::{Value, json};

use crate::{
    monitoring::eventually,
    running::Running,
    support::{Harness, SPEED, filed},
};

/// Requests to the API that the contact center has seen: downloads and tokens are none.
fn seen(harness: &Harness) -> u64 {
    let stats = harness.simulator.stats();
    let api = stats
        .requests
        .iter()
        .filter(|(kind, _)| kind.contains("/api/"));
    api.map(|(_, count)| count).sum()
}

async fn status(harness: &Harness, path: &str) -> Value {
    let ran = harness
        .run_program(&["status", "--json", "--config", path])
        .await;
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
    report["sources"]["calls"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_requests_a_minute_are_sent_than_the_ceiling() {
    let speed = 20.0;
    let harness = Harness::of_a_day(300, speed).await;
    let mut config = harness.config();
    config["sources"]["calls"]["limits"] = json!({ "requests_per_minute": 2 });
    let path = harness.write(&config).display().to_string();
    let ran = harness
        .run_program(&["run", "--json", "--config", &path])
        .await;
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
    let summary: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let seconds = summary["sources"]["calls"]["seconds"].as_f64().unwrap() * speed;
    let requests = seen(&harness);
    assert!(requests > 5, "{requests}");
    // One every half minute, the first one at once.
    let least = (requests - 1) as f64 * 30.0;
    assert!(seconds >= least, "{requests} requests in {seconds} s");
    assert_eq!(filed(&harness.output()), 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_holds_its_ceiling_whoever_asks_and_another_run_resumes() {
    let harness = Harness::of_a_day(300, 120.0).await;
    let mut config = harness.config();
    config["sources"]["calls"]["limits"] = json!({ "requests_per_month": 6 });
    let path = harness.write(&config).display().to_string();
    let run = async || harness.run_program(&["run", "--config", &path]).await;
    let ran = run().await;
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(6), "{said}");
    let words = "all 6 requests of this month have been made (`limits.requests_per_month`): none is sent before 2026-02-01T00:00:00Z";
    assert!(said.contains(words), "{said}");
    // A request that was counted may have been cut off by the end of the run.
    let sent = seen(&harness);
    assert!((1..=6).contains(&sent), "{sent}");
    let told = status(&harness, &path).await;
    assert_eq!(
        (&told["month_requests"], &told["month_allowed"]),
        (&json!(6), &json!(6))
    );

    // What else asks is held to it, too, and says so.
    assert_eq!(run().await.status.code(), Some(6));
    for (command, code) in [("plan", 6), ("check", 1), ("reconcile", 6)] {
        let ran = harness.run_program(&[command, "--config", &path]).await;
        let said = String::from_utf8_lossy(&ran.stderr).into_owned()
            + &String::from_utf8_lossy(&ran.stdout);
        assert_eq!(ran.status.code(), Some(code), "{command}: {said}");
        assert!(
            said.contains("requests of this month have been made"),
            "{command}: {said}"
        );
    }
    assert_eq!(seen(&harness), sent);

    config["sources"]["calls"]["limits"] = json!({ "requests_per_month": 5000 });
    harness.write(&config);
    let ran = run().await;
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
    assert_eq!(filed(&harness.output()), 300);
    let told = status(&harness, &path).await;
    assert_eq!(told["month_requests"], seen(&harness) + 6 - sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_run_has_counted_what_it_sent() {
    let harness = Harness::of_a_day(1500, 60.0).await;
    let mut config = harness.config();
    config["sources"]["calls"]["limits"] = json!({ "requests_per_month": 100_000 });
    let path = harness.write(&config).display().to_string();
    for kill in 1..=3 {
        let mut run = Running::start(&harness, &["run", "-v", "--config", &path]);
        run.until("request kind=token").await;
        for _ in 0..4 {
            run.until("request kind=").await;
        }
        run.child.kill().await.unwrap();
        let counted = status(&harness, &path).await["month_requests"]
            .as_u64()
            .unwrap();
        let seen = seen(&harness);
        // One that was counted may not have been sent any more, for each of those that begin at once.
        assert!(
            (seen..=seen + 64 * kill).contains(&counted),
            "{counted} of {seen}"
        );
        assert!(seen >= 4 * kill, "{seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_that_cannot_be_read_lets_nothing_pass() {
    let harness = Harness::of_a_day(20, 120.0).await;
    let mut config = harness.config();
    config["sources"]["calls"]["limits"] = json!({ "requests_per_month": 1 });
    let path = harness.write(&config).display().to_string();
    let run = async || harness.run_program(&["run", "--config", &path]).await;
    assert_eq!(run().await.status.code(), Some(6));
    let counts = std::fs::read_dir(harness.folder.path().join("data")).unwrap();
    let mut counts = counts.map(|entry| entry.unwrap().path());
    let count = counts.find(|path| path.extension().is_some_and(|it| it == "count"));
    std::fs::write(count.unwrap(), "damaged").unwrap();
    let before = seen(&harness);
    let ran = run().await;
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(said.contains("no count of requests; remove it"), "{said}");
    assert_eq!(seen(&harness), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_follows_waits_for_the_next_month_and_a_reload_raises_the_ceiling() {
    let harness = Harness::of_a_day(60, 600.0).await;
    let mut config = harness.config();
    config["sources"]["calls"]["options"]["interval"] = json!("2026-01-05/..");
    config["sources"]["calls"]["limits"] = json!({ "requests_per_month": 2 });
    let path = harness.write(&config).display().to_string();
    let mut run = Running::start(&harness, &["run", "--follow", "-v", "--config", &path]);
    let said = run.until("requests of this month have been made").await;
    assert!(said.contains("this run waits until then"), "{said}");
    // One that is counted may still be on its way.
    eventually("the second request", async || {
        (seen(&harness) == 2).then_some(())
    })
    .await;
    config["sources"]["calls"]["limits"] = json!({ "requests_per_month": 100_000 });
    harness.write(&config);
    run.signal("-HUP").await;
    run.until("artifact_stored").await;
    run.signal("-TERM").await;
    let (code, _, lines) = run.end().await;
    assert_eq!(code, Some(0), "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_come_no_faster_than_the_bandwidth_allows() {
    let speed = 40.0;
    let harness = Harness::of_a_day(60, speed).await;
    let mut config = harness.config();
    config["limits"] = json!({ "bandwidth": "20kB" });
    let path = harness.write(&config).display().to_string();
    let ran = harness
        .run_program(&["run", "--json", "--config", &path])
        .await;
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
    let summary: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let summary = &summary["sources"]["calls"];
    let seconds = summary["seconds"].as_f64().unwrap() * speed;
    let bytes = summary["bytes"].as_f64().unwrap();
    // What comes last is not waited for; a piece has 1 MB at most.
    let least = (bytes - 1e6) / 20e3;
    assert!(least > 60.0, "{bytes} bytes tell nothing");
    assert!(seconds >= least, "{bytes} bytes in {seconds} s");
    assert_eq!(filed(&harness.output()), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_for_in_closed_hours_until_a_reload_opens_them() {
    let harness = Harness::of_a_day(60, 600.0).await;
    let mut config = harness.config();
    config["limits"] = json!({ "bandwidth": "pause", "time_zone": "Europe/Berlin" });
    let path = harness.write(&config).display().to_string();
    let arguments = ["run", "--max-time", "2s", "--config", &path];
    let ran = harness.run_program(&arguments).await;
    assert_eq!(ran.status.code(), Some(5), "{ran:?}");
    assert_eq!(seen(&harness), 0);

    config["sources"]["calls"]["options"]["interval"] = json!("2026-01-05/..");
    harness.write(&config);
    let mut run = Running::start(&harness, &["run", "--follow", "-v", "--config", &path]);
    run.until("found").await;
    config["limits"]["bandwidth"] = json!("00:00,1GB 12:00,off");
    harness.write(&config);
    run.signal("-HUP").await;
    run.until("artifact_stored").await;
    assert!(seen(&harness) > 0);
    run.signal("-TERM").await;
    let (code, _, lines) = run.end().await;
    assert_eq!(code, Some(0), "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_prices_that_mean_nothing_are_refused_by_their_keys() {
    let harness = Harness::of_a_day(1, 1.0).await;
    for (at, value, words) in [
        (
            "/limits",
            json!({ "bandwidth": "8 MB" }),
            "limits.bandwidth: `MB`",
        ),
        (
            "/limits",
            json!({ "bandwidth": "25:00,1MB" }),
            "limits.bandwidth",
        ),
        (
            "/limits",
            json!({ "time_zone": "Middle/Earth" }),
            "limits.time_zone: `Middle/Earth`",
        ),
        (
            "/sources/calls/limits",
            json!({ "requests_per_month": 0 }),
            "sources.calls.limits.requests_per_month: 0",
        ),
        (
            "/prices",
            json!({ "currency": "EUR", "traffic_gb": -1 }),
            "prices.traffic_gb",
        ),
    ] {
        let mut config = harness.config();
        let (table, key) = at.rsplit_once('/').unwrap();
        config.pointer_mut(table).unwrap()[key] = value;
        let path = harness.write(&config).display().to_string();
        let ran = harness.run_program(&["validate", "--config", &path]).await;
        let said = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(2), "{at}: {said}");
        assert!(said.contains(words), "{at}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_shows_how_the_cost_was_computed() {
    let harness = Harness::of_a_day(300, 600.0).await;
    let mut config = harness.config();
    config["prices"] = json!({
        "currency": "EUR", "thousand_requests": 20, "included_requests": 3,
        "traffic_gb": 90, "storage_gb_month": 23,
    });
    let path = harness.write(&config).display().to_string();
    let ran = harness
        .run_program(&["plan", "--json", "--config", &path])
        .await;
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let (plan, cost) = (
        &report["sources"]["calls"],
        &report["sources"]["calls"]["cost"],
    );
    let number = |value: &Value| value.as_f64().unwrap();
    let gb = number(&plan["total"]["bytes"]) / 1e9;
    let requests = (number(&plan["total"]["requests"]) - 3.0) / 1000.0 * 20.0;
    assert!(requests > 0.0 && gb > 0.0, "{plan}");
    let near = |value: &Value, expected: f64| (number(value) - expected).abs() < 1e-9;
    assert!(near(&cost["requests"]["amount"], requests), "{cost}");
    assert!(near(&cost["once"], requests + gb * 90.0), "{cost}");
    assert!(near(&cost["storage"]["amount"], gb * 23.0), "{cost}");
    let ran = harness.run_program(&["plan", "--config", &path]).await;
    let said = String::from_utf8(ran.stdout).unwrap();
    assert!(
        said.contains("- 3 included, at least 0) / 1000 x 20 EUR = "),
        "{said}"
    );
    assert!(
        said.contains("GB x 23 EUR = ") && said.contains(" EUR a month"),
        "{said}"
    );
    // Without prices nothing is said of money.
    config.as_object_mut().unwrap().remove("prices");
    harness.write(&config);
    let ran = harness.run_program(&["plan", "--config", &path]).await;
    assert!(!String::from_utf8(ran.stdout).unwrap().contains("cost"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_beyond_the_month_is_warned_of() {
    let harness = Harness::of_a_day(300, SPEED).await;
    let mut config = harness.config();
    let mut plan = async |ceiling: u64| {
        config["sources"]["calls"]["limits"] = json!({ "requests_per_month": ceiling });
        let path = harness.write(&config).display().to_string();
        let ran = harness.run_program(&["plan", "--config", &path]).await;
        assert_eq!(ran.status.code(), Some(0), "{ran:?}");
        let said = String::from_utf8(ran.stdout).unwrap();
        (said, seen(&harness))
    };
    let warning = "`requests_per_month` allows";
    let (said, used) = plan(100_000).await;
    assert!(!said.contains(warning), "{said}");
    // Enough for another plan, and for nothing else.
    let (said, _) = plan(2 * used + 2).await;
    assert!(said.contains(warning), "{said}");
}
