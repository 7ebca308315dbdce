use serde_json::json;

use super::*;

fn yaml(text: &str) -> Result<(Value, Positions), ConfigError> {
    parse(text, false, "config.yaml")
}

fn toml(text: &str) -> Result<(Value, Positions), ConfigError> {
    parse(text, true, "config.toml")
}

/// Checks that each text is refused with a message that begins so.
fn refused<'a>(
    read: fn(&str) -> Result<(Value, Positions), ConfigError>,
    cases: impl IntoIterator<Item = (&'a str, &'a str)>,
) {
    let mut wrong = Vec::new();
    for (text, message) in cases {
        let error = read(text).expect_err(text).to_string();
        if !error.starts_with(message) || error.contains('\n') {
            wrong.push((text, error));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_key_that_stands_twice_is_refused_at_any_depth_and_in_any_style() {
    refused(
        yaml,
        [
            (
                "a: 1\nb: 2\na: 3\n",
                "config.yaml:3:1: a: duplicate key, first in line 1",
            ),
            (
                "sinks:\n  lake:\n    path: a\n    mode: \"0640\"\n    path: b\n",
                "config.yaml:5:5: sinks.lake.path: duplicate key, first in line 3",
            ),
            (
                "sinks: { lake: { path: a, path: b } }",
                "config.yaml:1:27: sinks.lake.path: duplicate key, first in line 1",
            ),
            (
                "{\"sinks\": {\"lake\": {\"when\": [{\"a\": 1,\n \"a\": 2}]}}}",
                "config.yaml:2:2: sinks.lake.when[0].a: duplicate key",
            ),
            // As a text both are the same.
            ("1: a\n\"1\": b\n", "config.yaml:2:1: 1: duplicate key"),
            (
                "\"a\\x62\": 1\nab: 2\n",
                "config.yaml:2:1: ab: duplicate key",
            ),
            (
                "a: &x { b: 1 }\nc: *x\na: *x\n",
                "config.yaml:3:1: a: duplicate key",
            ),
        ],
    );
    refused(
        toml,
        [
            ("a = 1\na = 2\n", "config.toml:2:1: duplicate key"),
            ("[sinks.lake]\npath = 'a'\n[sinks.lake]\n", "config.toml:3:"),
            (
                "sinks = { lake = { path = 'a', path = 'b' } }\n",
                "config.toml:1:32: duplicate key",
            ),
        ],
    );
}

#[test]
fn what_is_no_configuration_is_refused_with_line_and_column() {
    refused(
        yaml,
        [
            ("a: 1\n  b: 2\n", "config.yaml:2:"),
            ("a: [1, 2\nb: 3\n", "config.yaml:2:"),
            ("a: 'x\n", "config.yaml:"),
            ("a: *missing\n", "config.yaml:1:4: "),
            ("a: .nan\n", "config.yaml:1:4: "),
            (
                "a: !secret x\n",
                "config.yaml:1:12: unsupported tag `!secret`",
            ),
            ("a: 1\n---\nb: 2\n", "config.yaml:3:1: a second document"),
            (
                "b: &b { c: 1 }\na:\n  <<: *b\n",
                "config.yaml:3:3: `<<` does not merge",
            ),
            ("? [1, 2]\n: a\n", "config.yaml:1:3: "),
            ("", "config.yaml: is empty"),
            ("\n  \n", "config.yaml: is empty"),
        ],
    );
    refused(
        toml,
        [
            ("a = 1\nb = \n", "config.toml:2:"),
            ("a = 99999999999999999999\n", "config.toml:1:5: "),
            ("a = inf\n", "config.toml:1:5: "),
        ],
    );
}

#[test]
fn size_and_depth_are_bounded() {
    let nested = |depth: usize| {
        let open = "[".repeat(depth);
        format!("a: {open}{}", "]".repeat(depth))
    };
    assert!(yaml(&nested(DEEPEST - 1)).is_ok());
    for deep in [nested(DEEPEST + 1), nested(100_000)] {
        let error = yaml(&deep).unwrap_err().to_string();
        assert!(error.starts_with("config.yaml:1:"), "{error}");
    }
    let mut block = String::new();
    for depth in 0..1000 {
        block.push_str(&format!("{:depth$}a:\n", ""));
    }
    assert!(yaml(&block).is_err());
    assert!(toml(&format!("a = {}{}", "[".repeat(5000), "]".repeat(5000))).is_err());
    // Nine aliases of nine aliases, nine times over, would be 9^9 texts.
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let inner = vec![format!("*a{}", level - 1); 9].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
    }
    let error = yaml(&bomb).unwrap_err().to_string();
    assert!(error.contains("than a configuration may be"), "{error}");
    let large = format!("a: {}\n", "x".repeat(LARGEST as usize));
    let error = yaml(&large).unwrap_err().to_string();
    assert!(error.starts_with("config.yaml: is larger than"), "{error}");
}

#[test]
fn yaml_is_read_by_the_core_schema() {
    let text = "\u{feff}# a comment\r\n\
        mode: 0640\r\nplus: +07\r\nlist:\r\n- no\r\n- on\r\n- y\r\n\
        yes: true\r\nlarge: TRUE\r\nnone: ~\r\nempty:\r\n\
        day: 2026-01-05\r\nrange: 2026-01-05/2026-01-06\r\ntime: 12:30:00\r\n\
        count: 18446744073709551615\r\nnegative: -3\r\nrate: 1.5\r\nhex: 0x10\r\nunder: 1_000\r\n\
        quoted: \"12\"\r\nfolded: >-\r\n  two\r\n  lines\r\n\
        base: &b [a]\r\nagain: *b\r\n7: seven\r\n";
    let (value, _) = yaml(text).unwrap();
    assert_eq!(
        value,
        json!({
            "mode": "0640", "plus": "+07", "list": ["no", "on", "y"],
            "yes": true, "large": true, "none": null, "empty": null,
            "day": "2026-01-05", "range": "2026-01-05/2026-01-06", "time": "12:30:00",
            "count": u64::MAX, "negative": -3, "rate": 1.5, "hex": 16, "under": "1_000",
            "quoted": "12", "folded": "two lines",
            "base": ["a"], "again": ["a"], "7": "seven",
        })
    );
}

#[test]
fn toml_means_the_same_as_yaml() {
    let text = "\u{feff}day = 2026-01-05\nwhen = 2035-01-01T00:00:00Z\nmode = '0640'\n\
        [sinks.lake]\ncount = 0x10\nrate = 1.5\nlist = [1, { a = true }]\n";
    let (value, positions) = toml(text).unwrap();
    assert_eq!(
        value,
        json!({
            "day": "2026-01-05", "when": "2035-01-01T00:00:00Z", "mode": "0640",
            "sinks": { "lake": { "count": 16, "rate": 1.5, "list": [1, { "a": true }] } },
        })
    );
    let error = super::super::key("sinks.lake.list[1].a", "wrong");
    let error = positions.locate(error).to_string();
    assert_eq!(error, "config.toml:7:14: sinks.lake.list[1].a: wrong");
}

#[test]
fn an_error_about_a_key_tells_where_that_key_or_its_table_stands() {
    let (_, positions) =
        yaml("sinks:\n  lake:\n    when:\n      - a\n      - { b: 1 }\n  my.lake: 1\n").unwrap();
    for (path, position) in [
        ("sinks", "config.yaml:1:1"),
        ("sinks.lake", "config.yaml:2:3"),
        ("sinks.lake.when[0]", "config.yaml:4:9"),
        ("sinks.lake.when[1].b", "config.yaml:5:11"),
        ("sinks.lake.missing", "config.yaml:2:3"),
        ("sinks.my.lake", "config.yaml:6:3"),
        ("sources.calls.type", "config.yaml"),
    ] {
        let error = positions.locate(super::super::key(path, "wrong"));
        assert_eq!(error.to_string(), format!("{position}: {path}: wrong"));
    }
}
