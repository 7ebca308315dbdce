//! The configuration: regions, and mistakes.

use super::*;

#[test]
fn wrong_options_are_named() {
    // Long: one table of mistakes.
    let cases = [
        ("{}", "region", "give either `region`"),
        (
            r#"{"region":"mypurecloud.ie","parallelism":0}"#,
            "parallelism",
            "not within",
        ),
        (
            r#"{"region":"mypurecloud.ie","parallelism":"x"}"#,
            "parallelism",
            "invalid type",
        ),
        (
            r#"{"region":"mypurecloud.ie","dialects":"cloud"}"#,
            "dialects",
            "unknown option `dialects`, did you mean `dialect`?",
        ),
        // A typo in a required option is reported as a typo.
        (
            r#"{"regoin":"mypurecloud.ie"}"#,
            "regoin",
            "unknown option `regoin`, did you mean `region`?",
        ),
        (
            r#"{"region":"mypurecloud.ie","search":"jobs"}"#,
            "search",
            "unknown value `jobs`, did you mean `job`?",
        ),
        (
            r#"{"region":"mypurecloud.ie","dialect":"guide","format":"ogg"}"#,
            "format",
            "`wav` and `mp3`",
        ),
        (
            r#"{"region":"mypurecloud.ie","dialect":"guide","format":"wav","channels":"split"}"#,
            "channels",
            "dialect: cloud",
        ),
        (
            r#"{"region":"mypurecloud.ie","channels":"split"}"#,
            "channels",
            "give a `format`",
        ),
        (
            r#"{"region":"mypurecloud.ie","dialect":"guide","restore_days":7}"#,
            "restore_days",
            "dialect: cloud",
        ),
        (
            r#"{"region":"mypurecloud.ie","restore_days":0}"#,
            "restore_days",
            "not within",
        ),
        (
            r#"{"region":"mypurecloud.ie","search":"retention","queues":["q"]}"#,
            "queues",
            "knows no filters",
        ),
        (
            r#"{"region":"mypurecloud.ie","media":["voice","voyce"]}"#,
            "media",
            "`voyce` is no media type; known are callback, chat",
        ),
        (
            r#"{"region":"mypurecloud.ie","queues":["Sales","Sal*"]}"#,
            "queues",
            "`Sal*` is neither an id nor a name",
        ),
        (
            r#"{"region":"mypurecloud.ie","divisions":[" "]}"#,
            "divisions",
            "neither an id nor a name",
        ),
        (
            r#"{"region":"mypurecloud.ie","users":["Ada Okafor"]}"#,
            "users",
            "`Ada Okafor` is no id",
        ),
        (r#"{"region":"nowhere"}"#, "region", "nowhere"),
        (
            r#"{"region":"mypurecloud.ie","media_origins":["https://a.example","foo"]}"#,
            "media_origins[1]",
            "`foo` does not begin with `https://`",
        ),
        (
            r#"{"region":"mypurecloud.ie","media_origins":["https://*"]}"#,
            "media_origins[0]",
            "`https://*` has a `*`",
        ),
        (
            r#"{"api_url":"https://a.example","login_url":"https://a.example:65536"}"#,
            "login_url",
            "has a port that is not within 1 and 65535",
        ),
        (
            r#"{"api_url":"https://a.example?x","login_url":"https://a.example"}"#,
            "api_url",
            "has a query",
        ),
    ];
    for (options, path, message) in cases {
        match TestDriver::start::<GenesysCloud>(options, week(), FROM + 30 * DAY) {
            Err(SourceError::Options(error)) => {
                assert_eq!(error.path, path, "{options}");
                assert!(
                    error.message.contains(message),
                    "{options}: {}",
                    error.message
                );
            }
            other => panic!("{options}: {other:?}"),
        }
    }
}

#[test]
fn the_schema_of_the_options_lists_those_that_are_accepted() {
    let schema: Value = serde_json::from_str(
        &<GenesysCloud as recording_source_sdk::Source>::describe().options_schema,
    )
    .unwrap();
    for (name, property) in schema["properties"].as_object().unwrap() {
        let wrong = json!({ "region": "mypurecloud.ie", name: {} }).to_string();
        match TestDriver::start::<GenesysCloud>(&wrong, week(), FROM + 30 * DAY) {
            Err(SourceError::Options(error)) => {
                assert!(
                    !error.message.contains("unknown option"),
                    "{name}: {}",
                    error.message
                );
            }
            other => panic!("{name}: {other:?}"),
        }
        for value in property["enum"].as_array().into_iter().flatten() {
            let mut options = json!({ "region": "mypurecloud.ie", name: value });
            if name == "channels" {
                options["format"] = json!("wav");
            }
            start(&options.to_string(), week());
        }
    }
}

#[test]
fn every_option_says_whether_it_belongs_to_what_an_export_is() {
    let described = <GenesysCloud as recording_source_sdk::Source>::describe();
    let schema: Value = serde_json::from_str(&described.options_schema).unwrap();
    // The table in docs/genesys.md says why.
    let none = [
        "login_url",
        "media_origins",
        "search",
        "recording_metadata",
        "names",
        "restore_days",
        "orphans",
        "page_size",
        "batch_size",
        "parallelism",
        "region",
        "api_url",
        "poll_seconds",
        "job_timeout_seconds",
        "job_attempts",
    ];
    let mut marked = BTreeMap::new();
    for (name, property) in schema["properties"].as_object().unwrap() {
        match property["x-identity"].as_str() {
            Some(mark) => {
                marked
                    .entry(mark)
                    .or_insert_with(Vec::new)
                    .push(name.as_str());
                assert!(!none.contains(&name.as_str()), "{name}");
            }
            None if property["deprecated"] == true => {}
            None => assert!(none.contains(&name.as_str()), "{name}"),
        }
    }
    let expected = BTreeMap::from([
        (
            "conversations",
            vec![
                "direction",
                "divisions",
                "export_orphans",
                "media",
                "queues",
                "users",
            ],
        ),
        ("recordings", vec!["channels", "dialect", "format", "mode"]),
    ]);
    assert_eq!(marked, expected);
}

#[test]
fn every_region_has_its_hosts_and_other_domains_may_be_given() {
    // The vendor's list of regions.
    let regions = [
        ("us-east-1", "mypurecloud.com"),
        ("us-east-2", "use2.us-gov-pure.cloud"),
        ("us-west-2", "usw2.pure.cloud"),
        ("ca-central-1", "cac1.pure.cloud"),
        ("mx-central-1", "mxc1.pure.cloud"),
        ("sa-east-1", "sae1.pure.cloud"),
        ("eu-west-1", "mypurecloud.ie"),
        ("eu-west-2", "euw2.pure.cloud"),
        ("eu-central-1", "mypurecloud.de"),
        ("eu-central-2", "euc2.pure.cloud"),
        ("eusc-de-east-1", "edee1.eusc-pure.cloud"),
        ("me-central-1", "mec1.pure.cloud"),
        ("ap-south-1", "aps1.pure.cloud"),
        ("ap-northeast-1", "mypurecloud.jp"),
        ("ap-northeast-2", "apne2.pure.cloud"),
        ("ap-northeast-3", "apne3.pure.cloud"),
        ("ap-southeast-1", "apse1.pure.cloud"),
        ("ap-southeast-2", "mypurecloud.com.au"),
        ("inindca.com", "inindca.com"),
        ("next.pure.cloud", "next.pure.cloud"),
    ];
    for (region, domain) in regions {
        let drive = start(&format!(r#"{{"region":"{region}"}}"#), week());
        let urls: Vec<&str> = drive
            .started
            .origins
            .iter()
            .map(|o| o.url.as_str())
            .collect();
        let (api, token) = (
            format!("https://api.{domain}"),
            format!("https://login.{domain}/oauth/token"),
        );
        assert_eq!(urls[0], api);
        assert_eq!(drive.started.token_url, Some(token));
    }
    let local = r#"{"api_url":"http://127.0.0.1:1/","login_url":"http://127.0.0.1:2"}"#;
    let drive = start(local, week());
    assert_eq!(drive.started.origins[0].url, "http://127.0.0.1:1");
}
