//! Keeps the index up to date: what is new among the receipts is taken in, what is gone is taken out.

use std::{
    collections::HashSet,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use recording_host_engine::receipt::{ReceiptHeader, ReceiptReader};
use recording_host_metadata::restore::for_each_row;
use recording_host_sink::ObjectMeta;
use tokio::task::spawn_blocking;

use crate::{
    Archive, Index, Page, PageError,
    index::{NewSegment, Rows},
};

/// How long the index rests between two looks at least, while a run files one segment after another.
const REST: Duration = Duration::from_secs(2);
/// A look takes this part of the time at most: to list a bucket costs requests.
const PART: u32 = 10;

/// How fresh the index is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Freshness {
    /// Grows when the index has changed.
    pub(crate) version: u64,
    /// Receipts taken in, and how many there are to be taken in, while that goes on.
    pub(crate) indexing: Option<(usize, usize)>,
    /// Why the last look failed.
    pub(crate) problem: Option<String>,
}

/// Keeps the index of a page up to date: at once and as often as something is filed beside a run or another
/// archive is shown, and each `pause` anyway.
pub(crate) async fn keep(page: Arc<Page>, pause: Duration) {
    let mut is_due = page.live.is_some();
    loop {
        if !is_due {
            tokio::select! {
                () = page.turned.notified() => {}
                () = filed(&page) => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        let began = Instant::now();
        let shown = page.shown();
        let noted = |done, total| page.note(|now| now.indexing = Some((done, total)));
        let refreshed = tokio::select! {
            refreshed = shown.archive.refresh(&shown.index, noted) => refreshed,
            // The one of before may be out of reach, which is why there is another one.
            () = page.turned.notified() => {
                is_due = true;
                continue;
            }
        };
        page.note(|now| {
            now.indexing = None;
            match &refreshed {
                Ok(refreshed) => {
                    now.problem = None;
                    now.version += u64::from(refreshed.added + refreshed.removed > 0);
                }
                // What cannot be read now is looked for again; the overview names what stays unreadable.
                Err(error) => now.problem = Some(error.to_string()),
            }
        });
        is_due = false;
        if page.live.is_some() {
            tokio::select! {
                () = page.turned.notified() => is_due = true,
                () = tokio::time::sleep(REST.max(began.elapsed() * PART)) => {}
            }
        }
    }
}

/// Waits until a run beside the page has filed something in the archive.
async fn filed(page: &Page) {
    match &page.live {
        Some(live) => live.filed().await,
        None => std::future::pending().await,
    }
}

/// The changes that were made to the index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refreshed {
    /// Receipts that were taken in.
    pub added: usize,
    /// Receipts that were taken out.
    pub removed: usize,
    /// Rows that were read.
    pub rows: u64,
}

impl Archive {
    /// Brings an index up to date; `progress` hears how many receipts of how many are done.
    ///
    /// # Errors
    /// The receipts cannot be listed, or the index cannot be written. A receipt or a file of rows that
    /// cannot be read is noted in the index, and ends nothing.
    pub async fn refresh(
        &self,
        index: &Arc<Index>,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<Refreshed, PageError> {
        let _held = self.refreshing.lock().await;
        let there = self.receipts().await?;
        let known = index.receipts()?;
        let keys: HashSet<&str> = there.iter().map(|one| one.key.as_str()).collect();
        let gone: Vec<String> = known
            .keys()
            .filter(|key| !keys.contains(key.as_str()))
            .cloned()
            .collect();
        let new: Vec<ObjectMeta> = there
            .iter()
            .filter(|one| known.get(&one.key) != Some(&(one.size, one.etag.clone())))
            .cloned()
            .collect();
        let mut refreshed = Refreshed {
            added: new.len(),
            removed: gone.len(),
            rows: 0,
        };
        if new.is_empty() && gone.is_empty() {
            return Ok(refreshed);
        }
        let total = new.len();
        for (done, receipt) in new.into_iter().enumerate() {
            progress(done, total);
            let segment = self.segment(receipt).await;
            let index = Arc::clone(index);
            refreshed.rows += spawn_blocking(move || index.add(segment)).await??;
        }
        progress(total, total);
        let index = Arc::clone(index);
        spawn_blocking(move || {
            index.remove(&gone)?;
            index.settle()
        })
        .await??;
        Ok(refreshed)
    }

    /// A segment, as far as it can be read.
    async fn segment(&self, receipt: ObjectMeta) -> NewSegment {
        let mut segment = NewSegment {
            receipt,
            header: None,
            rows_key: String::new(),
            rows: Box::new(|_| Ok(())),
            problem: None,
        };
        match self.header(&segment.receipt.key).await {
            Ok(header) => {
                let rows = header.metadata.as_ref().map(|rows| rows.key.clone());
                segment.rows_key = rows.unwrap_or_default();
                segment.header = Some(header);
                match self.rows_of(&segment.rows_key).await {
                    Ok(rows) => segment.rows = rows,
                    Err(error) => segment.problem = Some(error.to_string()),
                }
            }
            Err(error) => segment.problem = Some(error.to_string()),
        }
        segment
    }

    async fn header(&self, key: &str) -> Result<ReceiptHeader, PageError> {
        let bytes = self.receipt(key).await?;
        let reader = ReceiptReader::new(&bytes[..])
            .map_err(|error| PageError::Receipt(key.to_owned(), error.to_string()))?;
        Ok(reader.header().clone())
    }

    /// The rows of a file, read as they are taken.
    async fn rows_of(&self, key: &str) -> Result<Rows, PageError> {
        if key.is_empty() {
            let none = io::Error::other("the receipt names no file of rows");
            return Err(PageError::Rows {
                key: "metadata/".to_owned(),
                source: none,
            });
        }
        let (plain, file) = self.rows(key).await?;
        let key = key.to_owned();
        Ok(Box::new(move |take| {
            for_each_row(&plain, file, take).map_err(|source| PageError::Rows { key, source })
        }))
    }
}
