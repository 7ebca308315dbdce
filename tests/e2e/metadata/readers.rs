//! Readers of other makes find in Parquet what JSON Lines say.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::exported;
use crate::support::{read_by, rows, set};

/// The figures from the rows of JSON Lines, which the readers must find, too.
fn told(rows: &[Value]) -> Value {
    let number = |row: &Value, name: &str| row[name].as_u64().unwrap_or_default();
    let total = |name: &str| rows.iter().map(|row| number(row, name)).sum::<u64>();
    let length = |name: &str| -> usize {
        let lists = rows.iter().map(|row| match &row[name] {
            Value::Object(map) => map.len(),
            list => list.as_array().unwrap().len(),
        });
        lists.sum()
    };
    let instants = |name: &str| -> i64 {
        let texts = rows.iter().filter_map(|row| row[name].as_str());
        texts
            .map(|text| text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
            .sum()
    };
    let mut outcomes = BTreeMap::<&str, u64>::new();
    let mut days = BTreeMap::<&str, u64>::new();
    for row in rows {
        *outcomes
            .entry(row["outcome"].as_str().unwrap())
            .or_default() += 1;
        *days
            .entry(&row["start"].as_str().unwrap()[..10])
            .or_default() += 1;
    }
    let agents = rows
        .iter()
        .flat_map(|row| row["agents"].as_array().unwrap());
    let names: BTreeSet<&str> = agents.filter_map(|agent| agent["name"].as_str()).collect();
    json!({
        "rows": rows.len(),
        "keys": set(rows).len(),
        "size_bytes": total("size_bytes"),
        "duration_ms": total("duration_ms"),
        "attempt": total("attempt"),
        "start_ms": instants("start"),
        "end_ms": instants("end"),
        "agents": length("agents"),
        "agent_names": names,
        "queues": length("queues"),
        "wrap_up_codes": length("wrap_up_codes"),
        "tags": length("tags"),
        "attributes": length("attributes"),
        "outcomes": outcomes,
        "days": days,
    })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs DuckDB, PyArrow and Polars, which tests/run installs"]
async fn duckdb_pyarrow_and_polars_read_what_json_lines_say() {
    let (harness, folders) = exported(400).await;
    let (_, lines) = folders
        .iter()
        .find(|(name, _)| name == "jsonl_usual")
        .unwrap();
    let expected = told(&rows(lines));
    let objects: Vec<Value> = rows(lines)
        .into_iter()
        .filter(|row| row["object_key"].is_string())
        .collect();
    for (name, _) in folders
        .iter()
        .filter(|(name, _)| name.starts_with("parquet"))
    {
        let found = read_by("archive.py", "READERS", &harness.output().join(name)).await;
        for reader in ["duckdb", "pyarrow", "polars"] {
            assert_eq!(found[reader]["metadata"], expected, "{name}: {reader}");
            let catalog = &found[reader]["catalog"];
            assert_eq!(catalog["conversations"], 400, "{name}: {reader}");
            assert_eq!(catalog["objects"], objects.len(), "{name}: {reader}");
            assert_eq!(catalog["bytes"], expected["size_bytes"], "{name}: {reader}");
            assert_eq!(
                catalog["object_bytes"], expected["size_bytes"],
                "{name}: {reader}"
            );
        }
    }
}
