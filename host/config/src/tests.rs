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
