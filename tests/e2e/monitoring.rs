//! A real Prometheus scrapes a real run: every expression of the dashboard and of the alerts has a result, and
//! the alert on the source fires while it is away and clears when it is back.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use genesys_simulator::{Settings, Simulator};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::{
    observe::Running,
    support::{Harness, files, media},
};

/// How much faster than real time runs.
const FAST: f64 = 1500.0;

/// A program of Debian's package `prometheus`.
fn tool(variable: &str) -> String {
    let named = std::env::var(variable);
    named.unwrap_or_else(|_| panic!("{variable} names no program; tests/run installs it"))
}

fn monitoring(file: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/monitoring");
    root.join(file).canonicalize().unwrap()
}

/// Waits for what takes a few scrapes.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(120), looking).await;
    found.unwrap_or_else(|_| panic!("{what}: not within two minutes"))
}

/// A Prometheus that scrapes one program every half second.
struct Prometheus {
    _child: Child,
    url: String,
    client: reqwest::Client,
}

impl Prometheus {
    async fn start(folder: &Path, target: &str) -> Self {
        // The alerts as they are, but that they do not wait.
        let rules = std::fs::read_to_string(monitoring("alerts.yaml")).unwrap();
        let hasty = rules.lines().map(|line| match line.trim_start() {
            wait if wait.starts_with("for: ") => "        for: 1s".to_owned(),
            _ => line.to_owned(),
        });
        let hasty: Vec<String> = hasty.collect();
        std::fs::write(folder.join("alerts.yaml"), hasty.join("\n")).unwrap();
        let config = format!(
            "global: {{ scrape_interval: 500ms, evaluation_interval: 500ms }}\n\
             rule_files: [alerts.yaml]\n\
             scrape_configs:\n\
             - job_name: recording-host\n  static_configs: [{{ targets: ['{target}'] }}]\n"
        );
        std::fs::write(folder.join("prometheus.yml"), config).unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let child = Command::new(tool("PROMETHEUS"))
            .current_dir(folder)
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("prometheus.log")).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Prometheus {
            _child: child,
            url: format!("http://{address}/api/v1"),
            client: reqwest::Client::new(),
        }
    }

    /// The data of an answer; none before it is ready.
    async fn get(&self, path: &str, query: &str) -> Option<Value> {
        let mut url = url::Url::parse(&format!("{}{path}", self.url)).unwrap();
        if !query.is_empty() {
            url.query_pairs_mut().append_pair("query", query);
        }
        let text = self.client.get(url).send().await.ok()?.text().await.ok()?;
        let answer: Value = serde_json::from_str(&text).ok()?;
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        Some(answer["data"].clone())
    }

    /// The values of an expression.
    async fn values(&self, expression: &str) -> Vec<f64> {
        let data = self.get("/query", expression).await.unwrap_or_default();
        let results = data["result"].as_array().cloned().unwrap_or_default();
        let value = |one: &Value| one["value"][1].as_str().unwrap().parse().unwrap();
        results.iter().map(value).collect()
    }

    /// The names of the alerts that fire.
    async fn firing(&self) -> Option<BTreeSet<String>> {
        let data = self.get("/alerts", "").await?;
        let alerts = data["alerts"].as_array()?.iter();
        let firing = alerts.filter(|alert| alert["state"] == "firing");
        let name = |alert: &Value| alert["labels"]["alertname"].as_str().unwrap().to_owned();
        Some(firing.map(name).collect())
    }
}

/// The expressions of the dashboard as Grafana would send them.
fn dashboard() -> Vec<String> {
    let text = std::fs::read_to_string(monitoring("dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().cloned().unwrap_or_default());
    let asked: Vec<String> = targets
        .map(|asked| asked["expr"].as_str().unwrap().to_owned())
        .map(|expr| expr.replace("$__rate_interval", "30s"))
        .map(|expr| expr.replace("$source", ".*"))
        .collect();
    assert!(asked.len() > 30 && asked.iter().all(|expr| !expr.contains('$')));
    asked
}

/// The comparison of each alert, by its name.
fn alerts() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(monitoring("alerts.yaml")).unwrap();
    let rules: Value = serde_saphyr::from_str(&text).unwrap();
    let rules = rules["groups"][0]["rules"].as_array().unwrap().iter();
    let compared = rules.map(|rule| {
        let expr = rule["expr"].as_str().unwrap();
        let (value, _) = expr.split_once(" > ").or(expr.rsplit_once(" == ")).unwrap();
        (rule["alert"].as_str().unwrap().to_owned(), value.to_owned())
    });
    compared.collect()
}

fn settings() -> Settings {
    Settings {
        conversations: 150,
        days: 1,
        archived: 0.1,
        one_port: true,
        clock_start: Some("2026-01-06T00:00:00Z".parse().unwrap()),
        ..Settings::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Prometheus, which tests/run installs"]
async fn prometheus_sees_a_run_and_an_alert_fires_while_the_source_is_away() {
    // Long: one scenario, told in its order.
    let harness = Harness::fast(settings(), FAST).await;
    let mut config = harness.config();
    config["sources"]["calls"]["limits"] = json!({ "requests_per_month": 1_000_000 });
    let running = Running::follow_as(&harness, config, &[], &[]).await;
    let prometheus = Prometheus::start(harness.folder.path(), &running.address).await;
    // Found, filed and searched: the whole export has been seen.
    let filed = r#"sum(recording_host_conversations{outcome!="found"})"#;
    eventually(filed, || async {
        (prometheus.values(filed).await == [150.0]).then_some(())
    })
    .await;
    let stored = files(&harness.output());
    let stored = media(&stored);
    let bytes: u64 = stored.values().map(|(length, _)| length).sum();
    for (series, value) in [
        (
            "recording_host_component_sent_events_total",
            stored.len() as f64,
        ),
        ("recording_host_component_sent_bytes_total", bytes as f64),
        (r#"recording_host_conversations{outcome="found"}"#, 150.0),
        ("recording_host_api_budget_limit", 300.0),
        ("recording_host_api_month_limit", 1_000_000.0),
        (
            r#"recording_host_buffer_size_events{buffer_id="backlog"}"#,
            0.0,
        ),
        ("recording_host_source_available", 1.0),
    ] {
        assert_eq!(prometheus.values(series).await, [value], "{series}");
    }
    let losses = prometheus.values("sum(recording_host_losses_total)").await;
    assert!(losses[0] > 0.0, "archived recordings are losses");
    for expression in dashboard() {
        let values = eventually(&expression, || async {
            let values = prometheus.values(&expression).await;
            (!values.is_empty()).then_some(values)
        })
        .await;
        let sane = |value: &f64| value.is_finite() && *value >= 0.0;
        assert!(values.iter().all(sane), "{expression}: {values:?}");
    }
    for (name, compared) in alerts() {
        let values = eventually(&compared, || async {
            let values = prometheus.values(&compared).await;
            (!values.is_empty()).then_some(values)
        })
        .await;
        assert!(
            values.iter().all(|value| value.is_finite()),
            "{name}: {values:?}"
        );
    }
    let source = "RecordingHostSourceUnavailable".to_owned();
    assert!(!prometheus.firing().await.unwrap().contains(&source));

    let (api, now) = (harness.simulator.api_url(), harness.simulator.now());
    let Harness {
        simulator, folder, ..
    } = harness;
    simulator.shutdown().await;
    eventually("fires", || async {
        prometheus.firing().await?.contains(&source).then_some(())
    })
    .await;
    let again = Settings {
        clock_start: Some(now),
        speed: FAST,
        ..settings()
    };
    let listen = api.trim_start_matches("http://").parse().unwrap();
    let _back = Simulator::start(listen, again).await.unwrap();
    eventually("clears", || async {
        (!prometheus.firing().await?.contains(&source)).then_some(())
    })
    .await;
    let (code, lines) = running.stop().await;
    assert_eq!(code, Some(0), "{lines:?}");
    drop(folder);
}

/// Metrics in the older text format, the only one that `promtool check metrics` reads: there a counter's name
/// has its suffix, and what is only told is a gauge.
fn classic(text: &str) -> String {
    let typed = |kind: &str| {
        let lines = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let names = lines.filter_map(|line| line.strip_suffix(kind));
        names.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let (counters, infos) = (typed(" counter"), typed(" info"));
    let lines = text.lines().filter(|line| *line != "# EOF").map(|line| {
        let Some((mark, name, rest)) = line
            .strip_prefix("# ")
            .and_then(|line| line.split_once(' '))
            .and_then(|(mark, line)| {
                Some((mark, line.split_once(' ')?.0, line.split_once(' ')?.1))
            })
        else {
            return format!("{line}\n");
        };
        let (suffix, rest) = match (counters.contains(name), infos.contains(name)) {
            (true, _) => ("_total", rest),
            (_, true) => ("_info", rest.strip_prefix("info").map_or(rest, |_| "gauge")),
            _ => ("", rest),
        };
        format!("# {mark} {name}{suffix} {rest}\n")
    });
    lines.collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs promtool, which tests/run installs"]
async fn promtool_accepts_the_metrics_and_the_alerts_fire_when_they_should() {
    let harness = Harness::fast(settings(), FAST).await;
    let running = Running::follow(&harness, &[]).await;
    let sent = "recording_host_component_sent_events_total";
    let text = eventually(sent, || async {
        let (_, text) = running.get("/metrics").await;
        text.contains("recording_host_losses_total").then_some(text)
    })
    .await;
    let folder = monitoring("alerts.yaml");
    let folder = folder.parent().unwrap();
    let classic = classic(&text);
    for (arguments, input) in [
        (&["check", "rules", "alerts.yaml"][..], ""),
        (&["test", "rules", "alerts.test.yaml"][..], ""),
        (&["check", "metrics"][..], classic.as_str()),
    ] {
        let mut promtool = std::process::Command::new(tool("PROMTOOL"))
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut to = promtool.stdin.take().unwrap();
        std::io::Write::write_all(&mut to, input.as_bytes()).unwrap();
        drop(to);
        let ran = promtool.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout) + String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{arguments:?}: {said}");
    }
    drop(running);
}
