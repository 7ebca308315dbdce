//! `test` tries routing, layout and privacy on samples, and what it says is what a run does.

use std::{collections::BTreeMap, path::Path};

use genesys_simulator::Settings;
use serde_json::{Value, json};

use crate::support::{Harness, export, files, rows, run_program, with_nulls};

const KEY: &str = "0123456789abcdefghijklmnopqrstuvwxyz";

/// A configuration with two sinks and with privacy, of which nothing is there.
fn config(folder: &Path) -> Value {
    json!({
        "data_dir": folder.join("data"),
        "sources": { "calls": {
            "type": "genesys_cloud",
            "auth": { "client_id": "id", "client_secret": "secret" },
            "privacy": {
                "key": KEY,
                "pseudonymise": ["ani", "agents.name"],
                "drop": ["tags", "attributes.customer_id", "reason"],
            },
            "options": { "region": "mypurecloud.ie", "interval": "2026-01-01/2026-02-01" },
        } },
        "sinks": {
            "lake": { "type": "s3", "bucket": "no-such-bucket", "region": "eu-west-1" },
            "sales": {
                "type": "filesystem",
                "path": folder.join("sales"),
                "condition": { "queues": ["Sales"], "none_of": [{ "direction": "outbound" }] },
                "layout": { "type": "template", "key": "sales/{queue}/{conversation}/{recording}{part}.{ext}" },
                "transcode": { "to": "flac", "original": "drop" },
            },
            "table": { "type": "filesystem", "path": folder.join("table"), "content": ["metadata"],
                "condition": { "has_audio": false } },
        },
    })
}

/// A call of a customer to a queue.
fn call(queue: &str) -> Value {
    json!({
        "conversation_id": "c-1", "recording_id": "r-1", "start": "2026-01-05T08:00:00Z",
        "end": "2026-01-05T08:03:00Z", "direction": "inbound", "ani": "tel:+4930123456",
        "dnis": "tel:+4940123456", "agents": [{ "id": "a-1", "name": "Ada Okafor" }],
        "queues": [{ "id": "q-1", "name": queue }], "tags": ["vip"], "media_types": ["voice"],
        "attributes": { "customer_id": "4711", "talk_ms": "1000" },
    })
}

/// Runs `test` with a configuration; gives the exit code and what it prints.
async fn tested(folder: &Path, config: &Value, arguments: &[&str]) -> (Option<i32>, String) {
    let path = folder.join("config.yaml");
    std::fs::write(&path, config.to_string()).unwrap();
    let path = path.display().to_string();
    let ran = run_program(&[&["test", "--config", &path], arguments].concat()).await;
    let said = String::from_utf8(ran.stdout).unwrap() + &String::from_utf8(ran.stderr).unwrap();
    assert!(!folder.join("data").exists() && !folder.join("sales").exists());
    (ran.status.code(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_are_as_expected_or_each_difference_is_told() {
    // Long: one configuration, and all that is told of it.
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut right = config(folder);
    right["tests"] = json!([
        { "name": "a call to Sales goes to both", "conversation": call("Sales"), "expect": {
            "sinks": ["lake", "sales"],
            "keys": {
                "lake": ["recordings/2026/01/05/c-1/r-1.ogg"],
                "sales": ["sales/q-1/c-1/r-1.flac"],
            },
            "row": { "direction": "inbound", "duration_ms": 180_000, "tags": [], "outcome": "stored" },
            "removed": ["tags", "attributes.customer_id"],
            "masked": ["ani", "agents.name"],
        } },
        { "name": "another queue does not", "conversation": call("Claims"),
          "expect": { "sinks": ["lake"], "keys": { "sales": [] } } },
    ]);
    let (code, said) = tested(folder, &right, &[]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("ok      a call to Sales goes to both"),
        "{said}"
    );
    assert!(
        said.contains("2 as expected, 0 not, 0 without an expectation"),
        "{said}"
    );
    // No value of the sample is shown that a run would take out.
    let (code, said) = tested(folder, &right, &["--show"]).await;
    assert_eq!(code, Some(0));
    for shown in [
        "sales: sales/q-1/c-1/r-1.flac",
        "table: not taken",
        "privacy: ani is masked",
    ] {
        assert!(said.contains(shown), "{shown}: {said}");
    }
    for hidden in ["4930123456", "Ada Okafor", "4711", "vip", KEY] {
        assert!(!said.contains(hidden), "{hidden}: {said}");
    }
    let mut wrong = right.clone();
    wrong["tests"][0]["expect"] = json!({
        "sinks": ["lake", "table"],
        "keys": { "sales": ["sales/q-1/c-1/r-1.ogg"] },
        "row": { "direction": "outbound", "queue": null },
        "removed": ["ani", "dnis", "attributes.other"],
        "masked": ["agents"],
    });
    let (code, said) = tested(folder, &wrong, &[]).await;
    assert_eq!(code, Some(1), "{said}");
    for told in [
        "FAILED  a call to Sales goes to both",
        "sinks: lake, sales take it, not lake, table",
        "keys.sales: sales/q-1/c-1/r-1.flac, not sales/q-1/c-1/r-1.ogg",
        "row.direction: \"inbound\", not \"outbound\"",
        "row.queue: there is no such column",
        "removed: `ani` is masked",
        "removed: `dnis` is kept",
        "removed: the sample has no `attributes.other` of which that could be seen",
        "masked: `agents.id` is kept",
        "1 as expected, 1 not, 0 without an expectation",
        "1 of 2 samples are not as expected",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    let (code, said) = tested(folder, &wrong, &["--json", "--quiet"]).await;
    assert_eq!(code, Some(1));
    let told: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert_eq!(told["tests"][0]["met"], false);
    assert_eq!(told["tests"][0]["sinks"]["sales"]["takes"], true);
    assert_eq!(told["tests"][0]["privacy"]["ani"], "masked");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_samples_are_named_by_their_keys() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut none = config(folder);
    let (code, said) = tested(folder, &none, &[]).await;
    assert_eq!(code, Some(4), "{said}");
    let file = folder.join("samples.yaml");
    for (sample, told) in [
        (
            json!({ "name": "a", "conversation": {} }),
            "tests[0].conversation.start: missing",
        ),
        (
            json!({ "name": "a", "conversation": { "start": "2026-01-05T08:00:00Z", "anni": "1" } }),
            "tests[0].conversation.anni: unknown field `anni`",
        ),
        (
            json!({ "name": "a", "conversation": call("Sales"), "expect": {} }),
            "tests[0].expect: expects nothing",
        ),
        (
            json!({ "name": "a", "conversation": call("Sales"), "expect": { "sinks": ["lak"] } }),
            "tests[0].expect.sinks: no sink `lak` takes the source `calls`",
        ),
        (
            json!({ "name": "a", "source": "call", "conversation": call("Sales") }),
            "tests[0].source: there is no source `call`",
        ),
    ] {
        none["tests"] = json!([sample]);
        let (code, said) = tested(folder, &none, &[]).await;
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(told), "{told}: {said}");
        // A file of samples is checked alike, and errors tell where in it.
        std::fs::write(&file, json!({ "tests": [sample] }).to_string()).unwrap();
        let path = file.display().to_string();
        let (code, said) = tested(folder, &config(folder), &["--samples", &path]).await;
        assert_eq!(code, Some(2), "{said}");
        assert!(
            said.contains(told) && said.contains("samples.yaml:1:"),
            "{told}: {said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_says_of_the_rows_of_an_archive_is_what_the_run_did() {
    // Long: one archive, compared in all that both tell.
    let harness = Harness::start(Settings {
        conversations: 60,
        ..Settings::default()
    })
    .await;
    let mut config = harness.config();
    config["sources"]["calls"]["privacy"] =
        json!({ "key": KEY, "pseudonymise": ["ani"], "drop": ["tags"] });
    let sales = harness.folder.path().join("sales");
    config["sinks"]["sales"] = json!({ "type": "filesystem", "path": sales, "layout": "flat",
        "condition": { "queues": ["Sales"] } });
    export(config.clone()).await;
    // The rows as they were before personal values were taken out of them.
    let all = rows(&files(&harness.output()));
    let samples = harness.folder.path().join("samples.jsonl");
    let output = files(&harness.output());
    let lines = output
        .iter()
        .filter(|(key, _)| key.starts_with("metadata/"));
    let lines: Vec<&[u8]> = lines.map(|(_, lines)| lines.as_slice()).collect();
    std::fs::write(&samples, lines.concat()).unwrap();
    config["sources"]["calls"]
        .as_object_mut()
        .unwrap()
        .remove("privacy");
    let path = harness.write(&config).display().to_string();
    let samples = samples.display().to_string();
    let ran = run_program(&["test", "--config", &path, "--samples", &samples, "--json"]).await;
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    let told: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let told = told["tests"].as_array().unwrap();
    assert_eq!(told.len(), all.len());
    let keys = |rows: &[Value]| -> BTreeMap<String, String> {
        let keys = rows.iter().filter_map(|row| {
            let key = row["object_key"].as_str()?;
            let member = row["archive_member"].as_str().unwrap_or_default();
            Some((format!("{}{member}", row["recording_id"]), key.to_owned()))
        });
        keys.collect()
    };
    let (of_lake, of_sales) = (keys(&all), keys(&rows(&files(&sales))));
    let (mut taken, mut compared) = (0, 0);
    for (row, told) in all.iter().zip(told) {
        assert_eq!(told["sinks"]["lake"]["takes"], true);
        let sales = row["queues"][0]["name"] == "Sales";
        assert_eq!(told["sinks"]["sales"]["takes"], sales, "{row}");
        taken += u32::from(sales);
        // The numbers of parts and the files of archives are known to the run alone.
        let kind = row["content_type"].as_str().unwrap_or_default();
        let id = row["recording_id"].to_string();
        if kind == "audio/ogg"
            && all
                .iter()
                .filter(|one| one["recording_id"] == row["recording_id"])
                .count()
                == 1
        {
            compared += 1;
            assert_eq!(told["sinks"]["lake"]["keys"], json!([of_lake[&id]]));
            if sales {
                assert_eq!(told["sinks"]["sales"]["keys"], json!([of_sales[&id]]));
            }
            let mut row = row.clone();
            let mut said = with_nulls(told["sinks"]["lake"]["row"].clone());
            for both in [&mut row, &mut said] {
                for column in ["outcome", "reason", "attempt"] {
                    both.as_object_mut().unwrap().remove(column);
                }
            }
            assert_eq!(said, row);
        }
    }
    assert!(taken > 0 && compared > 20, "{taken}, {compared}");
}
