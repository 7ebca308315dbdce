//! What reads lakes reads the rows as they lie in the sink, and finds in them what JSON Lines say.

use genesys_simulator::Settings;
use serde_json::{Value, json};

use crate::support::{Harness, export, files, read_by, rows};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs DataFusion, deltalake and pyiceberg, which tests/run installs"]
async fn datafusion_delta_and_iceberg_read_the_files_where_they_are() {
    let harness = Harness::start(Settings {
        conversations: 120,
        days: 31,
        archived: 0.05,
        ..Settings::default()
    })
    .await;
    let mut config = harness.config();
    let table = harness.folder.path().join("table");
    config["sinks"]["table"] = json!({ "type": "filesystem", "path": table,
        "content": ["metadata"], "metadata": { "format": "parquet" } });
    export(config).await;
    let rows = rows(&files(&harness.output()));
    let count = |name: &str| rows.iter().filter(|row| !row[name].is_null()).count();
    let length = |name: &str| -> usize {
        let lengths = rows.iter().map(|row| match &row[name] {
            Value::Object(map) => map.len(),
            list => list.as_array().unwrap().len(),
        });
        lengths.sum()
    };
    let bytes = rows.iter().filter_map(|row| row["size_bytes"].as_u64());
    let started = rows.iter().map(|row| {
        let text = row["start"].as_str().unwrap();
        text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
    });
    let expected = json!({
        "rows": rows.len(),
        "recordings": count("recording_id"),
        "reasons": count("reason"),
        "ended": count("end"),
        "bytes": bytes.sum::<u64>(),
        "agents": length("agents"),
        "tags": length("tags"),
        "attributes": length("attributes"),
        "started_ms": started.sum::<i64>(),
    });
    assert!(expected["reasons"].as_u64() > Some(0), "{expected}");
    let found = read_by("lakes.py", "LAKES", &table).await;
    for reader in ["datafusion", "deltalake", "pyiceberg"] {
        assert_eq!(found[reader], expected, "{reader}");
    }
}
