//! A sink knows itself: an object in it has an id, which queues remember. A sink that was moved or
//! emptied, or that belongs to another archive, is recognized by it.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use recording_host_sink::{PutOptions, Sink, SinkError, SinkExt, Store, StoreExt};

/// The key of the object.
pub(crate) const KEY: &str = ".recording-host.json";

/// The content of the object.
#[derive(Deserialize, Serialize)]
struct Marker {
    /// The version of this format.
    recording_host: u32,
    /// The archive's id, a random UUID.
    archive: String,
    /// The purpose of the object.
    #[serde(default)]
    about: String,
}

/// The id of the archive in a store; none if it has no marker.
///
/// # Errors
/// The store's error, or an error if the marker cannot be read.
pub(crate) async fn read(sink: &str, store: &dyn Store) -> Result<Option<String>, SinkError> {
    let Some(bytes) = store.read(KEY).await? else {
        return Ok(None);
    };
    let marker: Marker = serde_json::from_slice(&bytes).map_err(|error| SinkError::new(sink, KEY, format!(
            "the archive's marker cannot be read ({error}); restore it from a backup, or remove it and run with `--refill {sink}`"
        )))?;
    Ok(Some(marker.archive))
}

/// Gives a store without a marker one; returns the id that it has then, which may be another
/// writer's.
///
/// # Errors
/// The store's error.
pub(crate) async fn write(
    name: &str,
    sink: &dyn Sink,
    store: &dyn Store,
) -> Result<String, SinkError> {
    let marker = Marker {
        recording_host: 1,
        archive: uuid(),
        about: "The id of this archive of recordings. Do not remove it: without it, no export takes this for its archive.".to_owned(),
    };
    let text = serde_json::to_vec_pretty(&marker)
        .map_err(|error| SinkError::new(name, KEY, error.to_string()))?;
    let info = PutOptions {
        content_type: "application/json".to_owned(),
        size: None,
        replace: false,
        plaintext: true,
    };
    let put = sink.put_bytes(KEY, info, text.into()).await;
    // Another writer may have been faster: then its marker counts.
    match (read(name, store).await?, put) {
        (Some(id), _) => Ok(id),
        (None, Err(error)) => Err(error),
        (None, Ok(_)) => Err(SinkError::new(
            name,
            KEY,
            "it was written and cannot be found; see whether something else removes it",
        )
        .with_retryable(true)),
    }
}

/// A random UUID (version 4).
fn uuid() -> String {
    let mut bytes: [u8; 16] = rand::rng().random();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = recording_host_model::hex(&bytes);
    let [a, b, c, d] = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20]];
    format!("{a}-{b}-{c}-{d}-{}", &hex[20..])
}
