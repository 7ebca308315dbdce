//! The text that an archive carries about itself.

use bytes::Bytes;

use crate::transfer::SinkBinding;
use recording_host_sink::{PutOptions, SinkExt, StoreExt};
use recording_host_state::Ledger;

use super::CommitError;

/// The key of the text in each sink that can be read.
pub const README: &str = "README.txt";
/// The version of the text. A higher one replaces what an earlier program has put.
const VERSION: i64 = 2;
/// The beginning of a text of ours.
const TITLE: &str = "Call recordings, written by recording-host";
const TEXT: &str = include_str!("readme.txt");

/// Puts the text into a sink unless it is there already. A text of somebody else stays, and so does
/// one that the sink does not let us read or replace: nothing depends on it.
pub(super) async fn put(ledger: &dyn Ledger, binding: &SinkBinding) -> Result<(), CommitError> {
    let Some(store) = binding.sink.store() else {
        return Ok(());
    };
    if ledger.readme(binding.name.clone()).await? == VERSION {
        return Ok(());
    }
    let there = match store.read(README).await {
        Ok(there) => there,
        Err(error) if error.retryable => return Err(error.into()),
        // Who may write but not read does not see whose text it would replace.
        Err(_) => return Ok(()),
    };
    let ours = |there: &Vec<u8>| there.starts_with(TITLE.as_bytes());
    let stays = there.is_some_and(|there| !ours(&there) || there == TEXT.as_bytes());
    if !stays {
        let info = PutOptions {
            content_type: "text/plain; charset=utf-8".to_owned(),
            size: None,
            replace: true,
            plaintext: true,
        };
        match binding
            .sink
            .put_bytes(README, info, Bytes::from_static(TEXT.as_bytes()))
            .await
        {
            Ok(_) => {}
            Err(error) if error.retryable => return Err(error.into()),
            Err(_) => return Ok(()),
        }
    }
    Ok(ledger.set_readme(binding.name.clone(), VERSION).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_known_as_ours_and_names_its_version() {
        assert!(TEXT.starts_with(TITLE));
        assert!(TEXT.contains(&format!("This text has version {VERSION},")));
        assert!(TEXT.is_ascii() && TEXT.lines().all(|line| line.len() <= 100));
    }
}
