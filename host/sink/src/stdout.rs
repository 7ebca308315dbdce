//! Objects as lines of JSON on standard output, for a shell or Vector's source `exec`.
//!
//! Each object is one line with its key, size and sha256. Media are reported, not printed; files of
//! metadata rows are printed row by row before their line. Lines are whole: those of one object
//! are written together.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use super::{Body, Health, PutOptions, PutResult, Sink, SinkError};
use recording_host_model::hex;

/// The type of this sink.
const NAME: &str = "stdout";

/// The sink `stdout`.
#[derive(Clone)]
pub struct Stdout {
    out: Arc<Mutex<dyn Write + Send>>,
}

impl std::fmt::Debug for Stdout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stdout")
    }
}

impl Default for Stdout {
    fn default() -> Self {
        Stdout::to(io::stdout())
    }
}

impl Stdout {
    /// Prints to something else.
    pub fn to(out: impl Write + Send + 'static) -> Self {
        Stdout {
            out: Arc::new(Mutex::new(out)),
        }
    }

    fn failure(key: &str, reason: String, retryable: bool) -> SinkError {
        SinkError::new(NAME, key, reason).with_retryable(retryable)
    }
}

#[async_trait]
impl Sink for Stdout {
    fn name(&self) -> &str {
        NAME
    }

    async fn check(&self) -> Result<Health, SinkError> {
        Ok(Health {
            found: "one line of JSON for each object on standard output".into(),
        })
    }

    async fn put(
        &self,
        key: &str,
        info: PutOptions,
        mut body: Body,
    ) -> Result<PutResult, SinkError> {
        let rows = key.starts_with("metadata/") && info.content_type == "application/x-ndjson";
        let mut digest = Sha256::new();
        let mut size = 0;
        let mut text = Vec::new();
        while let Some(data) = body
            .next()
            .await
            .map_err(|broken| Self::failure(key, broken.to_string(), true))?
        {
            digest.update(&data);
            size += data.len() as u64;
            if rows {
                text.extend_from_slice(&data);
            }
        }
        let mut lines = String::new();
        for row in text
            .split(|byte| *byte == b'\n')
            .filter(|row| !row.is_empty())
        {
            let row: Value = serde_json::from_slice(row)
                .map_err(|error| Self::failure(key, format!("a row is no JSON: {error}"), false))?;
            lines += &format!("{}\n", json!({ "kind": "row", "key": key, "row": row }));
        }
        let object = json!({
            "kind": "object",
            "key": key,
            "size": size,
            "sha256": hex(&digest.finalize()),
            "content_type": info.content_type,
        });
        lines += &format!("{object}\n");
        let out = self.out.clone();
        let written = spawn_blocking(move || {
            let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
            out.write_all(lines.as_bytes())?;
            out.flush()
        });
        match written
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
        {
            Ok(()) => Ok(PutResult {
                size,
                etag: None,
                encrypted: None,
            }),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                let reason =
                    "standard output is closed: its reader has ended; run it again to resume"
                        .to_owned();
                Err(Self::failure(key, reason, false))
            }
            Err(error) => Err(Self::failure(key, error.to_string(), true)),
        }
    }
}
