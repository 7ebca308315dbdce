//! Readers of other makes find the partitions of `hive`, and in them what the rows say.

use std::collections::{BTreeMap, BTreeSet};

use genesys_simulator::Dialect;
use serde_json::{Value, json};

use super::{ORGANIZATION, exported};
use crate::support::{files, read_by, rows};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs DuckDB and PyArrow, which tests/run installs"]
async fn duckdb_and_pyarrow_read_hive_as_partitions() {
    let harness = exported(Dialect::Cloud, "unpack").await;
    let root = harness.output().join("hive");
    let rows = rows(&files(&root));
    let stored: Vec<&Value> = rows
        .iter()
        .filter(|row| row["object_key"].is_string())
        .collect();
    let number = |row: &Value, name: &str| row[name].as_u64().unwrap_or_default();
    let total = |name: &str| stored.iter().map(|row| number(row, name)).sum::<u64>();
    let ids: BTreeSet<&str> = stored
        .iter()
        .map(|row| row["conversation_id"].as_str().unwrap())
        .collect();
    let mut hours = BTreeMap::<String, u64>::new();
    for row in &stored {
        let start = row["start"].as_str().unwrap();
        let number = |range: std::ops::Range<usize>| start[range].parse::<u64>().unwrap();
        let (day, hour) = (number(8..10), number(11..13));
        let hour = format!("{}-{}-{day}-{hour}", number(0..4), number(5..7));
        *hours.entry(hour).or_default() += 1;
    }
    let expected = json!({
        "files": stored.len(),
        "bytes": total("size_bytes"),
        "duration_ms": total("duration_ms"),
        "conversations": ids,
        "hours": hours,
    });
    let found = read_by("hive.py", "READERS", &root.join(ORGANIZATION)).await;
    for reader in ["duckdb", "pyarrow"] {
        assert_eq!(found[reader], expected, "{reader}");
    }
}
