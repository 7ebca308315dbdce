//! The archive that is shown: receipts, rows and media, read from its sink and decrypted on the way.

use std::{
    io::{self, Read},
    ops::Range,
    sync::Arc,
};

use bytes::Bytes;
use futures_util::StreamExt;
use recording_host_engine::receipt::{ReceiptEntry, ReceiptHeader, ReceiptReader};
use recording_host_metadata::restore::{Row, rows_of};
use recording_host_sink::{Body, Decrypt, ObjectMeta, Sink, SinkError, Store, StoreExt};
use tokio::task::spawn_blocking;

use crate::PageError;

/// How the names of encrypted objects end.
const ENCRYPTED: &str = ".age";

/// An archive: one sink, and whoever can decrypt what is in it.
#[derive(Clone, Debug)]
pub struct Archive {
    /// Its name for people: a folder, a bucket, a sink's name.
    pub name: String,
    sink: Arc<dyn Sink>,
    decryptor: Option<Arc<dyn Decrypt>>,
    /// Held while an index is brought up to date: it is done once, not by each who waits for it.
    pub(crate) refreshing: Arc<tokio::sync::Mutex<()>>,
}

/// A receipt's line about a conversation, and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct ReceiptLine {
    /// The number of the line; the header's is 1.
    pub(crate) number: u64,
    pub(crate) entry: ReceiptEntry,
    /// False if the receipt's lines are not those that its header counts.
    pub(crate) adds_up: bool,
    pub(crate) header: ReceiptHeader,
}

impl Archive {
    /// An archive in a sink.
    ///
    /// # Errors
    /// [`PageError::Unreadable`] if the sink cannot be read.
    pub fn new(
        name: &str,
        sink: Arc<dyn Sink>,
        decryptor: Option<Arc<dyn Decrypt>>,
    ) -> Result<Self, PageError> {
        if sink.store().is_none() {
            return Err(PageError::Unreadable(name.to_owned()));
        }
        Ok(Archive {
            name: name.to_owned(),
            sink,
            decryptor,
            refreshing: Arc::default(),
        })
    }

    /// True if somebody can decrypt what is encrypted.
    pub(crate) fn can_decrypt(&self) -> bool {
        self.decryptor.is_some()
    }

    fn store(&self) -> Result<&dyn Store, PageError> {
        self.sink
            .store()
            .ok_or_else(|| PageError::Unreadable(self.name.clone()))
    }

    /// The receipts that are there.
    pub(crate) async fn receipts(&self) -> Result<Vec<ObjectMeta>, PageError> {
        let mut list = self.store()?.list("receipts/");
        let mut found = Vec::new();
        while let Some(one) = list.next().await.transpose()? {
            found.push(one);
        }
        Ok(found)
    }

    /// A receipt's bytes.
    pub(crate) async fn receipt(&self, key: &str) -> Result<Bytes, PageError> {
        let read = self.store()?.read(key).await?;
        read.map(Bytes::from)
            .ok_or_else(|| PageError::Missing(key.to_owned()))
    }

    /// A file of rows in clear text, and the key by which its format is known.
    pub(crate) async fn rows(&self, key: &str) -> Result<(String, Bytes), PageError> {
        let mut body = self
            .open(key)
            .await?
            .ok_or_else(|| PageError::Missing(key.to_owned()))?;
        let mut file = Vec::new();
        while let Some(data) = body.next().await.map_err(|_| broken(key))? {
            file.extend_from_slice(&data);
        }
        let plain = key.strip_suffix(ENCRYPTED).unwrap_or(key);
        Ok((plain.to_owned(), file.into()))
    }

    /// The rows of a conversation in a file, those of its highest attempt.
    pub(crate) async fn conversation(&self, key: &str, id: &str) -> Result<Vec<Row>, PageError> {
        let (plain, file) = self.rows(key).await?;
        let (id, key) = (id.to_owned(), key.to_owned());
        let rows = spawn_blocking(move || {
            let mut rows = rows_of(&plain, file, &[id.clone()].into())?;
            let mut rows = rows.remove(&id).unwrap_or_default();
            let latest = rows.iter().map(|row| row.attempt).max();
            rows.retain(|row| Some(row.attempt) == latest);
            Ok::<_, io::Error>(rows)
        });
        rows.await?
            .map_err(|source| PageError::Rows { key, source })
    }

    /// The line of a conversation in a receipt.
    pub(crate) async fn line(&self, receipt: &str, id: &str) -> Result<ReceiptLine, PageError> {
        let bytes = self.receipt(receipt).await?;
        let mut reader = ReceiptReader::new(&bytes[..])
            .map_err(|error| PageError::Receipt(receipt.to_owned(), error.to_string()))?;
        let (mut found, mut readable) = (None, true);
        for line in reader.by_ref() {
            match line {
                Ok((number, entry)) if entry.conversation_id == id => {
                    found = Some((number, entry));
                }
                Ok(_) => {}
                Err(_) => readable = false,
            }
        }
        let (header, totals) = (reader.header().clone(), reader.totals());
        let reported = header.entries_sha256.as_ref();
        let adds_up = readable
            && totals.entries == header.conversations
            && reported.is_none_or(|reported| *reported == totals.sha256);
        let (number, entry) = found.ok_or_else(|| PageError::NoLine(receipt.to_owned()))?;
        Ok(ReceiptLine {
            number,
            entry,
            adds_up,
            header,
        })
    }

    /// An object as it is stored.
    pub(crate) async fn stored(&self, key: &str) -> Result<Option<Body>, PageError> {
        Ok(self.store()?.get(key).await?)
    }

    /// The bytes of an object in clear text that are in a range, or none if there is no such object. What is
    /// encrypted is read from its beginning.
    pub(crate) async fn range(
        &self,
        key: &str,
        range: Range<u64>,
    ) -> Result<Option<Body>, PageError> {
        if !key.ends_with(ENCRYPTED)
            && let Some(body) = self.store()?.get_range(key, range.clone()).await?
        {
            return Ok(Some(body));
        }
        Ok(self.open(key).await?.map(|body| body.range(range)))
    }

    /// An object in clear text, or none if there is no such object.
    pub(crate) async fn open(&self, key: &str) -> Result<Option<Body>, PageError> {
        let store = self.store()?;
        let (key, body) = match (store.get(key).await?, &self.decryptor) {
            (Some(body), _) => (key.to_owned(), body),
            (None, None) => return Ok(None),
            (None, Some(_)) => {
                let key = format!("{key}{ENCRYPTED}");
                let Some(body) = store.get(&key).await? else {
                    return Ok(None);
                };
                (key, body)
            }
        };
        if !key.ends_with(ENCRYPTED) {
            return Ok(Some(body));
        }
        let Some(decryptor) = self.decryptor.clone() else {
            return Err(PageError::Encrypted(key));
        };
        let (feed, plain) = Body::channel();
        spawn_blocking(move || {
            let from = Box::new(BodyRead {
                body,
                rest: Bytes::new(),
            });
            // Whoever reads learns of a failure from the body that breaks off.
            let Ok(mut from) = decryptor.decrypt(from) else {
                return;
            };
            loop {
                let mut buffer = vec![0; 64 << 10];
                match from.read(&mut buffer) {
                    Ok(0) => return feed.end_blocking(),
                    Ok(length) => buffer.truncate(length),
                    Err(_) => return,
                }
                if feed.send_blocking(buffer.into()).is_err() {
                    return;
                }
            }
        });
        Ok(Some(plain))
    }
}

/// The error of an object whose reading was interrupted.
pub(crate) fn broken(key: &str) -> SinkError {
    SinkError::new("archive", key, "reading it was interrupted; try again").with_retryable(true)
}

/// A body on a thread that may block.
struct BodyRead {
    body: Body,
    rest: Bytes,
}

impl Read for BodyRead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.body.next_blocking().map_err(io::Error::other)? {
                Some(data) => self.rest = data,
                None => return Ok(0),
            }
        }
        let length = self.rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.rest.split_to(length));
        Ok(length)
    }
}
