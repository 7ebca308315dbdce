//! Somebody is told when an export fails, loses recordings, falls behind and is well again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use genesys_simulator::{Settings, Simulator};
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, body::Incoming};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    monitoring::eventually,
    observe::Running,
    support::{Harness, answering},
};

/// How much faster than real time runs.
const FAST: f64 = 1500.0;
/// The path of the receiver's URL, which nobody is to see.
const SECRET_PATH: &str = "/T0/B0/hidden-in-the-url";
const KEY: &str = "key of the signature";

/// A request as it came.
#[derive(Clone, Debug)]
struct Received {
    method: Method,
    signature: Option<String>,
    text: String,
    body: Value,
}

/// A receiver of webhooks and pings, which fails the first few times.
#[derive(Clone, Default)]
struct Receiver {
    received: Arc<Mutex<Vec<Received>>>,
    failures: Arc<Mutex<u32>>,
    url: String,
}

impl Receiver {
    async fn start(failures: u32) -> Self {
        let mut receiver = Receiver::default();
        *receiver.failures.lock().unwrap() = failures;
        let of = receiver.clone();
        let url = answering(move |request: Request<Incoming>| {
            let of = of.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let text = String::from_utf8(body.to_vec()).unwrap();
                let signature = parts.headers.get("x-recording-host-signature");
                assert_eq!(parts.uri.path(), SECRET_PATH);
                of.received.lock().unwrap().push(Received {
                    method: parts.method,
                    signature: signature.map(|value| value.to_str().unwrap().to_owned()),
                    body: serde_json::from_str(&text).unwrap_or_default(),
                    text,
                });
                let mut left = of.failures.lock().unwrap();
                let status = if *left > 0 { 500 } else { 200 };
                *left = left.saturating_sub(1);
                let mut response = Response::new(Full::new(Bytes::from("answer")));
                *response.status_mut() = status.try_into().unwrap();
                response
            }
        });
        receiver.url = url.await + SECRET_PATH;
        receiver
    }

    fn all(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Waits for a request whose body has this in it.
    async fn with(&self, part: &str) -> Received {
        eventually(part, || async {
            let all = self.all();
            all.into_iter().find(|one| one.text.contains(part))
        })
        .await
    }
}

fn settings() -> Settings {
    Settings {
        conversations: 100,
        days: 1,
        archived: 0.2,
        one_port: true,
        clock_start: Some("2026-01-06T00:00:00Z".parse().unwrap()),
        ..Settings::default()
    }
}

/// Fails unless a signature is that of the body, as a receiver would judge it.
fn check_signature(received: &Received) {
    let signature = received.signature.as_deref().unwrap();
    let (seconds, hex) = signature.split_once(",v1=").unwrap();
    let seconds = seconds.strip_prefix("t=").unwrap();
    let age = jiff::Timestamp::now().as_second() - seconds.parse::<i64>().unwrap();
    assert!((0..600).contains(&age), "{signature}");
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    mac.update(format!("{seconds}.{}", received.text).as_bytes());
    let digest: Vec<u8> = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect();
    mac.verify_slice(&digest).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_losses_lag_and_recovery_are_received_in_each_form() {
    // Long: one scenario, told in its order.
    let harness = Harness::fast(settings(), FAST).await;
    let (generic, slack, teams, pinged) = (
        Receiver::start(0).await,
        Receiver::start(0).await,
        Receiver::start(0).await,
        Receiver::start(0).await,
    );
    let noted = harness.folder.path().join("noted");
    let mut config = harness.config();
    config["secret"] = json!({ "env": { "type": "env" } });
    let soonest = json!({ "failing_seconds": 1, "at_most_every_seconds": 1 });
    let hook = |receiver: &Receiver, more: Value| {
        let mut hook = json!({ "type": "webhook", "url": receiver.url });
        for keys in [&soonest, &more] {
            let keys = keys.as_object().unwrap().clone();
            hook.as_object_mut().unwrap().extend(keys);
        }
        hook
    };
    config["notify"] = json!({
        "generic": hook(&generic, json!({ "secret": "SECRET[env.HOOK_KEY]", "lag_seconds": 5 })),
        "slack": hook(&slack, json!({ "format": "slack" })),
        "teams": hook(&teams, json!({ "format": "teams", "on": ["failure"] })),
        "alive": { "type": "ping", "url": pinged.url, "every_seconds": 1 },
        "script": { "type": "exec", "on": ["losses"],
            "command": ["sh", "-c", format!("cat >> {}; echo >> {0}", noted.display())] },
    });
    let key = [("HOOK_KEY", KEY.to_owned())];
    let running = Running::follow_as(&harness, config, &[], &key).await;

    let losses = generic.with(r#""occasion":"losses""#).await;
    check_signature(&losses);
    assert_eq!(losses.body["source"], "calls");
    assert!(
        losses.body["losses"]["archived"].as_u64().unwrap() > 0,
        "{losses:?}"
    );
    let lag = generic.with(r#""occasion":"lag""#).await;
    assert!(lag.body["lag_seconds"].as_u64().unwrap() >= 5, "{lag:?}");
    let text = slack.with("unavailable").await.body["text"].clone();
    assert!(
        text.as_str()
            .unwrap()
            .starts_with("*recording-host: losses*\n"),
        "{text}"
    );
    eventually("the script", || async {
        let noted = std::fs::read_to_string(&noted).ok()?;
        let first: Value = serde_json::from_str(noted.lines().next()?).ok()?;
        (first["occasion"] == "losses").then_some(())
    })
    .await;
    eventually("two pings", || async {
        let pings = pinged.all();
        assert!(pings.iter().all(|ping| ping.method == Method::GET));
        (pings.len() >= 2).then_some(())
    })
    .await;

    let (api, now) = (harness.simulator.api_url(), harness.simulator.now());
    let Harness {
        simulator, folder, ..
    } = harness;
    simulator.shutdown().await;
    let failure = generic.with(r#""occasion":"failure""#).await;
    assert_eq!(
        failure.body["text"],
        "calls fails: the source does not answer"
    );
    check_signature(&failure);
    let card = teams.with("does not answer").await.body;
    let content = &card["attachments"][0]["content"];
    assert_eq!(content["type"], "AdaptiveCard");
    assert_eq!(content["body"][1]["text"], failure.body["text"]);
    let again = Settings {
        clock_start: Some(now),
        speed: FAST,
        ..settings()
    };
    let listen = api.trim_start_matches("http://").parse().unwrap();
    let _back = Simulator::start(listen, again).await.unwrap();
    let recovery = generic.with(r#""occasion":"recovery""#).await;
    assert_eq!(recovery.body["of"], "failure");
    slack.with("works again").await;
    assert!(
        teams
            .all()
            .iter()
            .all(|one| !one.text.contains("works again"))
    );

    let (_, metrics) = running.get("/metrics").await;
    let told = r#"recording_host_notifications_total{notifier="generic",result="delivered"}"#;
    assert!(metrics.contains(told), "{metrics}");
    let (code, lines) = running.stop().await;
    assert_eq!(code, Some(0), "{lines:?}");
    for secret in ["hidden-in-the-url", KEY] {
        assert!(!lines.join("\n").contains(secret) && !metrics.contains(secret));
    }
    drop(folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn losses_are_told_while_a_sink_is_unavailable() {
    let harness = Harness::fast(settings(), FAST).await;
    let ops = Receiver::start(0).await;
    let mut config = harness.config();
    // Nobody listens there.
    config["sinks"]["away"] = json!({ "type": "http", "url": "http://127.0.0.1:9/{key}" });
    config["notify"] = json!({ "ops": {
        "type": "webhook", "url": ops.url, "on": ["losses"], "at_most_every_seconds": 1 } });
    let running = Running::follow_as(&harness, config, &[], &[]).await;
    let losses = ops.with(r#""archived":"#).await;
    assert_eq!(losses.body["occasion"], "losses", "{losses:?}");
    let (code, lines) = running.stop().await;
    assert_eq!(code, Some(0), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_is_tried_again_then_named_and_stops_no_export() {
    let harness = Harness::fast(settings(), FAST).await;
    let (flaky, dead) = (Receiver::start(2).await, Receiver::start(u32::MAX).await);
    let mut config = harness.config();
    config["sources"]["calls"]["late_hours"] = json!(1);
    config["notify"] = json!({
        "flaky": { "type": "webhook", "url": flaky.url },
        "dead": { "type": "webhook", "url": dead.url },
        "gone": { "type": "exec", "command": ["/no/such/program"] },
        "wrong": { "type": "exec", "command": ["false"] },
    });
    let path = harness.write(&config);
    let ran = harness
        .run_program(&["run", "--config", path.to_str().unwrap()])
        .await;
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(3), "{said}");
    let tried = flaky.all();
    assert_eq!(tried.len(), 3, "twice in vain: {tried:?}");
    let count = |received: &[Received]| -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for one in received {
            *counts.entry(one.body["text"].to_string()).or_default() += 1;
        }
        counts
    };
    assert_eq!(count(&tried).len(), 1, "the same each time");
    assert_eq!(dead.all().len(), 4, "{:?}", count(&dead.all()));
    for part in [
        "notify.dead: not delivered: the answer has the status 500",
        "notify.gone: not delivered: the command: ",
        "notify.wrong: not delivered: the command ended with exit status: 1",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(
        !said.contains("notify.flaky") && !said.contains("hidden-in-the-url"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_cannot_begin_is_a_failure_and_sends_no_ping() {
    let harness = Harness::fast(settings(), FAST).await;
    let (ops, alive) = (Receiver::start(0).await, Receiver::start(0).await);
    let mut config = harness.config();
    config["sources"]["calls"]["auth"]["client_secret"] = json!("not the secret");
    config["notify"] = json!({
        "ops": { "type": "webhook", "url": ops.url },
        "alive": { "type": "ping", "url": alive.url },
    });
    let path = harness.write(&config).display().to_string();
    let ran = harness.run_program(&["run", "--config", &path]).await;
    assert_eq!(ran.status.code(), Some(1));
    let told = ops.all();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].body["occasion"], "failure");
    // A ping may have been sent before the log-in was refused, and none after it.
    assert!(alive.all().len() <= 1);

    config["sources"]["calls"]["auth"]["client_secret"] = json!("SECRET[env.NOT_SET_ANYWHERE]");
    config["secret"] = json!({ "env": { "type": "env" } });
    let path = harness.write(&config).display().to_string();
    let pings = alive.all().len();
    let ran = harness.run_program(&["run", "--config", &path]).await;
    assert_eq!(ran.status.code(), Some(2), "one that cannot be read");
    assert_eq!((ops.all().len(), alive.all().len()), (1, pings));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_tells_others_from_then_on_and_nobody_twice() {
    let [kept, dropped, added] = [
        Receiver::start(0).await,
        Receiver::start(0).await,
        Receiver::start(0).await,
    ];
    let harness = Harness::fast(settings(), FAST).await;
    let mut config = harness.config();
    let interval = json!("2026-01-05/..");
    config["sources"]["calls"]["options"]["interval"] = interval;
    let target =
        |of: &Receiver| json!({ "type": "webhook", "url": of.url, "at_most_every_seconds": 1 });
    config["notify"] = json!({ "kept": target(&kept), "dropped": target(&dropped) });
    let path = harness.write(&config).display().to_string();
    let arguments = ["run", "--follow", "--config", &path];
    let mut run = crate::running::Running::start(&harness, &arguments);
    // Archived recordings are losses.
    kept.with("losses").await;
    dropped.with("losses").await;
    config["notify"] = json!({ "kept": target(&kept), "added": target(&added) });
    harness.write(&config);
    run.signal("-HUP").await;
    run.until("reloading").await;
    // One who is new learns of all that there is, one who stays of nothing that it knows.
    added.with("losses").await;
    let sum = |of: &Receiver| -> u64 {
        let all = of.all();
        let losses = all.iter().filter_map(|one| one.body["losses"].as_object());
        losses
            .flat_map(|codes| codes.values())
            .filter_map(Value::as_u64)
            .sum()
    };
    eventually("all losses", || async {
        (sum(&added) == sum(&kept)).then_some(())
    })
    .await;
    assert!(sum(&dropped) <= sum(&kept));
    run.signal("-TERM").await;
    let (code, _, lines) = run.end().await;
    assert_eq!(code, Some(0), "{lines:#?}");
    assert_eq!(sum(&added), sum(&kept), "{:?}", kept.all());
}
