//! Readers of other makes find the same in the JSON Lines of a month, with the types that `schema` prints and
//! with those that they guess.

use std::path::Path;

use genesys_simulator::Settings;
use serde_json::{Value, json};

use crate::support::{Harness, export, files, read_by_with, rows, run_program};

/// Writes what `schema --rows` prints for each tool into a folder.
async fn print_schemas(root: &Path, folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    let root = root.display().to_string();
    for (tool, format, name) in [
        ("duckdb", "jsonl", "duckdb.sql"),
        ("duckdb", "parquet", "parquet.sql"),
        ("polars", "jsonl", "polars.py"),
        ("pyarrow", "jsonl", "pyarrow.py"),
        ("json-schema", "jsonl", "schema.json"),
        ("athena", "jsonl", "athena-jsonl.sql"),
        ("athena", "parquet", "athena-parquet.sql"),
        ("trino", "jsonl", "trino-jsonl.sql"),
        ("trino", "parquet", "trino-parquet.sql"),
    ] {
        let arguments = [
            "schema",
            "--rows",
            tool,
            "--format",
            format,
            "--location",
            &root,
        ];
        let ran = run_program(&arguments).await;
        assert!(ran.status.success(), "{ran:?}");
        std::fs::write(folder.join(name), ran.stdout).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs DuckDB, Polars, PyArrow, pandas and sqlglot, which tests/run installs"]
async fn a_month_of_json_lines_has_the_same_types_on_every_day() {
    // Few conversations a day: on some nothing is lost, on some nothing is recorded.
    let harness = Harness::start(Settings {
        conversations: 240,
        days: 31,
        archived: 0.03,
        ..Settings::default()
    })
    .await;
    let mut config = harness.config();
    config["sources"]["calls"]["options"]["recording_metadata"] = json!(true);
    export(config).await;
    let rows = rows(&files(&harness.output()));
    let count = |name: &str| rows.iter().filter(|row| !row[name].is_null()).count();
    let length = |name: &str| -> usize {
        let lists = rows.iter().map(|row| row[name].as_array().unwrap().len());
        lists.sum()
    };
    let bytes: u64 = rows
        .iter()
        .filter_map(|row| row["size_bytes"].as_u64())
        .sum();
    let expected = json!({
        "rows": rows.len(),
        "recordings": count("recording_id"),
        "reasons": count("reason"),
        "ended": count("end"),
        "bytes": bytes,
        "agents": length("agents"),
        "tags": length("tags"),
    });
    assert!(expected["reasons"].as_u64() > Some(3), "{expected}");
    let schemas = harness.folder.path().join("schemas");
    print_schemas(&harness.output(), &schemas).await;
    let packages = ["READERS", "FRAMES", "JSON_SCHEMA"];
    let found = read_by_with("lines.py", &packages, &[&harness.output(), &schemas]).await;
    let found: &serde_json::Map<String, Value> = found.as_object().unwrap();
    assert_eq!(found.len(), 9);
    for (reader, found) in found {
        assert_eq!(*found, expected, "{reader}");
    }
}
