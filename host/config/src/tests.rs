use super::*;
use serde_json::json;

fn config() -> Value {
    json!({
        "data_dir": "d",
        "sources": { "calls": { "type": "genesys_cloud",
            "auth": { "client_id": "a", "client_secret": "b" },
            "options": { "region": "mypurecloud.ie", "interval": "2026-01-01/2026-02-01" } } },
        "sinks": { "files": { "type": "filesystem", "inputs": ["calls"], "path": "out" } }
    })
}

#[test]
fn each_mistake_is_named_by_its_key() {
    assert!(Config::new(config()).is_ok());
    let broken: [(&str, Value, &str); 6] = [
        (
            "/sinks/files/pth",
            json!("x"),
            "sinks.files.pth: unknown field `pth`",
        ),
        (
            "/sinks/files/inputs",
            json!(["cals"]),
            "sinks.files.inputs: there is no source `cals`",
        ),
        (
            "/sources/calls/options/interval",
            json!("2026"),
            "sources.calls.options.interval: `2026`",
        ),
        (
            "/sources/calls/type",
            json!("zoom"),
            "sources.calls.type: `zoom` is not known",
        ),
        (
            "/sources/calls/auth/client_id",
            json!("SECRET[v.x]"),
            "sources.calls.auth.client_id: there is no secret backend",
        ),
        ("/dta_dir", json!("x"), "unknown field `dta_dir`"),
    ];
    for (pointer, value, message) in broken {
        let mut config = config();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        config.pointer_mut(parent).unwrap()[name] = value;
        let error = Config::new(config).unwrap_err().to_string();
        assert!(error.contains(message), "{pointer}: {error}");
    }
}

#[test]
fn a_condition_on_what_privacy_takes_out_is_refused() {
    let mut config = config();
    config["sources"]["calls"]["privacy"] = json!({ "drop": ["queues.name", "tags"] });
    assert!(Config::new(config.clone()).is_ok());
    config["sinks"]["files"]["condition"] = json!({ "queues": ["billing"] });
    let error = Config::new(config).unwrap_err().to_string();
    let path = "sinks.files.condition.queues: `sources.calls.privacy` takes `queues` out";
    assert!(error.starts_with(path), "{error}");
}

#[test]
fn a_lag_that_there_always_is_is_warned_of() {
    let warnings = |interval: &str, notifier: Value| {
        let mut config = config();
        config["sources"]["calls"]["options"]["interval"] = json!(interval);
        config["sources"]["calls"]["follow"] =
            json!({ "settle_seconds": 600, "every_seconds": 300 });
        config["notify"]["ops"] = notifier;
        Config::new(config).unwrap().warnings()
    };
    let hook = |lag: u64, on: Value| json!({ "type": "webhook", "url": "https://hooks.example.com/x", "lag_seconds": lag, "on": on });
    let warned = warnings("2026-01-01/..", hook(900, json!(["lag"])));
    assert_eq!(warned.len(), 1, "{warned:?}");
    for part in ["notify.ops.lag_seconds: 900", "`sources.calls`", "(900)"] {
        assert!(warned[0].contains(part), "{part}: {warned:?}");
    }
    let none: [(&str, Value); 4] = [
        ("2026-01-01/..", hook(901, json!(["lag"]))),
        ("2026-01-01/..", hook(900, json!(["failure"]))),
        ("2026-01-01/2026-02-01", hook(900, json!(["lag"]))),
        (
            "2026-01-01/..",
            json!({ "type": "ping", "url": "https://hooks.example.com/x", "every_seconds": 60 }),
        ),
    ];
    for (interval, notifier) in none {
        let warned = warnings(interval, notifier);
        assert!(warned.is_empty(), "{warned:?}");
    }
}
