//! Mistakes that whoever writes a first configuration makes: each is refused with the key, the value unless
//! it may be a secret, and what to do, in no words of Rust.

use serde_json::{Value, json};

use super::Config;
use recording_host_model::clock::Clock;

fn config() -> Value {
    json!({
        "data_dir": "d",
        "sources": { "calls": { "type": "genesys_cloud",
            "auth": { "client_id": "a", "client_secret": "b" },
            "options": { "region": "mypurecloud.ie", "interval": "2026-01-01/2026-02-01" } } },
        "sinks": { "files": { "type": "filesystem", "path": "out" } }
    })
}

/// The message about a configuration in which the value at `pointer` is another one.
fn refused(pointer: &str, value: Value) -> String {
    let mut config = config();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = config.pointer_mut(parent).unwrap();
    match value {
        Value::Null => {
            parent.as_object_mut().unwrap().remove(name);
        }
        value => parent[name] = value,
    }
    let checked = Config::new(config).and_then(|config| config.validate(Clock::default()));
    let error = checked.expect_err(pointer).to_string();
    for word in [
        "invalid type",
        "invalid value",
        "expected a ",
        "struct ",
        "variant",
        "usize",
        "u64",
    ] {
        assert!(!error.contains(word), "{word}: {error}");
    }
    error
}

#[test]
fn each_mistake_of_a_newcomer_is_refused_by_its_key_in_plain_words() {
    // Long: one table of mistakes.
    let calls = "/sources/calls";
    let at = |rest: &str| format!("{calls}/{rest}");
    for (pointer, value, message) in [
        (
            "/data_dir".to_owned(),
            json!(""),
            "data_dir: is empty; give the path",
        ),
        (
            "/data_dir".to_owned(),
            json!("~/data"),
            "data_dir: `~/data`: neither `~`",
        ),
        (
            "/data_dir".to_owned(),
            json!(["d"]),
            "data_dir: is a list; it must be a path",
        ),
        (
            "/sinks/files/path".to_owned(),
            json!(""),
            "sinks.files.path: is empty",
        ),
        (
            "/sinks/files/path".to_owned(),
            json!("~"),
            "sinks.files.path: `~`: neither",
        ),
        (
            "/data_dir".to_owned(),
            json!("$HOME/out"),
            "data_dir: `$HOME/out`: neither `~`",
        ),
        (
            "/sinks/files/path".to_owned(),
            json!("s3://bucket/x"),
            "sinks.files.path: is a URL (`s3://`)",
        ),
        (
            "/secret".to_owned(),
            json!({ "p": { "type": "exec", "command": ["pass", "{key}"], "timeout_seconds": u64::MAX } }),
            "secret.p.timeout_seconds: 18446744073709551615 is not within 1 and 86400",
        ),
        (
            "/secret".to_owned(),
            json!({ "p": { "type": "vault" } }),
            "secret.p.type: `vault` is none of `env`, `directory`, `file`, `exec`",
        ),
        (
            "/secret".to_owned(),
            json!({ "p": { "type": "file", "path": ["x"] } }),
            "secret.p.path: is a list; it must be a path",
        ),
        (
            at("auth/client_secret"),
            json!(""),
            "sources.calls.auth.client_secret: is empty; give",
        ),
        (
            at("options/media_origins"),
            json!(["127.0.0.1:18082"]),
            "sources.calls.options.media_origins[0]: `127.0.0.1:18082` does not begin",
        ),
        (
            at("options/media_origins"),
            json!([]),
            "sources.calls.options.media_origins: is empty, so no recording",
        ),
        (
            at("options/media_origins"),
            json!(["http://*.example.com"]),
            "sources.calls: http://*.example.com is not https",
        ),
        (
            at("options/region"),
            json!("api.mypurecloud.ie"),
            "sources.calls.options.region: `api.mypurecloud.ie` is the host of one service",
        ),
        (
            at("sha256"),
            json!("00"),
            "sources.calls.sha256: is for a component from a file",
        ),
        (
            at("allow"),
            json!(["https://api.mypurecloud.ie", "https://*.amazonaws.com"]),
            "sources.calls: https://login.mypurecloud.ie is not an origin that this run may reach; add it to `allow`",
        ),
        (
            at("allow"),
            json!({ "api": ["https://login.mypurecloud.ie"], "media": [] }),
            "sources.calls: https://api.mypurecloud.ie is not an origin that this run may reach; add it to `allow.api`",
        ),
        (
            at("allow"),
            json!({ "api": ["https://login.mypurecloud.ie", "https://api.mypurecloud.ie"], "media": [] }),
            "sources.calls: https://*.amazonaws.com is not an origin that this run may reach; add it to `allow.media`",
        ),
        (
            at("options/format"),
            json!(5),
            "sources.calls.options.format: is of the wrong type; it must be one of the words",
        ),
        (
            "/sinks/files/path".to_owned(),
            json!({}),
            "sinks.files.path: is a table; it must be a path",
        ),
        (
            "/sinks/files".to_owned(),
            json!("out"),
            "sinks.files: must be a table with a `type`",
        ),
        (
            calls.to_owned(),
            json!("genesys_cloud"),
            "sources.calls: must be a table with `type`",
        ),
        (
            "/concurrency".to_owned(),
            json!({ "splits": 0 }),
            "concurrency.splits: 0 is not within 1 and",
        ),
        (
            "/concurrency".to_owned(),
            json!({ "transfers": "8" }),
            "concurrency.transfers: is the text `8`",
        ),
        (
            at("auth"),
            Value::Null,
            "sources.calls.auth: missing; this source needs `client_id`",
        ),
        (
            at("auth/client_secret"),
            json!(77),
            "sources.calls.auth.client_secret: is a number (not shown)",
        ),
        (
            at("auth/client_secret"),
            json!("${SECRET}"),
            "sources.calls.auth.client_secret: looks like a secret reference",
        ),
        (
            at("auth/token_url"),
            json!("login"),
            "sources.calls.auth.token_url: must be a URL",
        ),
        (
            at("auth/token_url"),
            json!("https://u:hush@l.example/t"),
            "sources.calls.auth.token_url: the URL of l.example",
        ),
        (
            at("options/page_size"),
            json!("x"),
            "sources.calls.options.page_size: is the text `x`; it must be a whole number",
        ),
        (
            at("options/region"),
            json!([]),
            "sources.calls.options.region: is a list; it must be a text",
        ),
        (
            at("options/interval"),
            json!(2026),
            "sources.calls.options.interval: must be a text, such as",
        ),
        (
            at("late_hours"),
            json!(u64::MAX),
            "sources.calls.late_hours: 18446744073709551615 is more than",
        ),
        (
            at("follow"),
            json!({ "every_seconds": 0 }),
            "sources.calls.follow.every_seconds: 0 is not within",
        ),
        (
            at("allow_private_addresses"),
            json!("yes"),
            "sources.calls.allow_private_addresses: is the text `yes`; it must be true or false",
        ),
    ] {
        let error = refused(&pointer, value);
        assert!(error.starts_with(message), "{pointer}: {error}");
        assert!(!error.contains("hush") && !error.contains("77"), "{error}");
    }
    let mut urls = config();
    urls["sources"]["calls"]["options"] = json!({ "interval": "2026-01-01/2026-02-01",
        "api_url": "https://u:hush@a.example", "login_url": "https://l.example" });
    let error = Config::new(urls)
        .unwrap()
        .validate(Clock::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("the URL of a.example holds a user"),
        "{error}"
    );
    assert!(!error.contains("hush"), "{error}");
}

#[test]
fn files_and_folders_that_are_the_other_way_round_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text.wasm");
    std::fs::write(&file, "(component)").unwrap();
    let error = refused("/data_dir", json!(file));
    assert!(
        error.starts_with("data_dir: ") && error.contains("is a file"),
        "{error}"
    );
    let error = refused("/sinks/files/path", json!(file));
    assert!(
        error.starts_with("sinks.files.path: ") && error.contains("is a file"),
        "{error}"
    );
    let below = file.join("sub");
    for (pointer, at) in [
        ("/data_dir", "data_dir"),
        ("/sinks/files/path", "sinks.files.path"),
    ] {
        let error = refused(pointer, json!(below));
        let words = format!("{at}: {} is a file, and must be", file.display());
        assert!(error.starts_with(&words), "{error}");
    }
    let mut pinned = json!({ "type": "component", "path": "x.wasm", "allow": [],
        "options": { "interval": "2026-01-01/2026-02-01" } });
    pinned["sha256"] = json!("abc");
    let error = refused("/sources/calls", pinned);
    assert!(
        error.starts_with("sources.calls.sha256: `abc` is no sha256"),
        "{error}"
    );
    let component = |path: &std::path::Path| {
        json!({ "type": "component", "path": path, "allow": [],
            "options": { "interval": "2026-01-01/2026-02-01" } })
    };
    for (path, words) in [
        (file.as_path(), "is no WebAssembly component"),
        (folder.path(), "is a folder; name the component's file"),
        #[cfg(unix)]
        (
            "/dev/zero".as_ref(),
            "is no file, but a pipe, a socket or a device",
        ),
    ] {
        let error = refused("/sources/calls", component(path));
        assert!(
            error.starts_with("sources.calls.path: ") && error.contains(words),
            "{error}"
        );
    }
    let error = Config::load(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("is a folder; name the configuration's file"),
        "{error}"
    );
}

#[test]
fn a_configuration_of_another_system_is_read_as_any() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = "\u{feff}data_dir: d\nsources:\n  calls:\n    type: genesys_cloud\n    auth: { client_id: a, client_secret: b }\n    options: { region: mypurecloud.ie, interval: 2026-01-01/.. }\nsinks:\n  files: { type: filesystem, path: out }\n";
    let toml = "\u{feff}data_dir = \"d\"\n[sources.calls]\ntype = \"genesys_cloud\"\nauth = { client_id = \"a\", client_secret = \"b\" }\noptions = { region = \"mypurecloud.ie\", interval = \"2026-01-01/..\" }\n[sinks.files]\ntype = \"filesystem\"\npath = \"out\"\n";
    for (name, text) in [("c.yaml", yaml), ("c.toml", toml)] {
        let path = folder.path().join(name);
        std::fs::write(&path, text.replace('\n', "\r\n")).unwrap();
        let config = Config::load(&path).unwrap();
        assert_eq!(config.data_dir.to_str(), Some("d"), "{name}");
        config.validate(Clock::default()).unwrap();
    }
}

#[test]
fn credentials_of_a_component_from_a_file_need_a_token_endpoint_of_the_operators() {
    let error = refused(
        "/sources/calls",
        json!({ "type": "component", "path": "x.wasm",
        "allow": { "api": ["https://a.example"], "media": [] },
        "auth": { "client_id": "a", "client_secret": "b" },
        "options": { "interval": "2026-01-01/2026-02-01" } }),
    );
    assert!(
        error.starts_with("sources.calls.auth.token_url: missing"),
        "{error}"
    );
}
