//! The rows of a package, as they lie in the archive.

use std::{collections::BTreeSet, io};

use bytes::Bytes;
use recording_host_metadata::restore::{Row, for_each_line};
use tokio::task::spawn_blocking;

use crate::PageError;

/// The rows of some conversations in a file, each with its line.
pub(crate) async fn picked(
    key: String,
    file: Bytes,
    wanted: BTreeSet<String>,
) -> Result<io::Result<Vec<(Row, String)>>, PageError> {
    let reading = spawn_blocking(move || {
        let mut picked = Vec::new();
        for_each_line(&key, file, &mut |row, line| {
            if wanted.contains(&row.conversation_id) {
                picked.push((row, line));
            }
        })?;
        Ok(picked)
    });
    Ok(reading.await?)
}
