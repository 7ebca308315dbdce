//! Brings to sinks what they lack and others have: objects are copied from a sink that has them in the
//! same form, by the digests in its receipts, and rows are made of its rows. Only the rest is requested
//! from the source.

mod copy;

pub(crate) use copy::object as copy_object;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures_util::{StreamExt, stream};
use sha2::{Digest, Sha256};

use crate::{
    identity,
    receipt::{ReceiptEntry, ReceiptHeader, ReceiptObject, ReceiptReader, adds_up, by_day},
    recover::ReceiptOwnership,
    transfer::SinkBinding,
};
use recording_host_metadata::restore::{Restored, rows_of};
use recording_host_model::{Object, hex, layout::KeyFacts};
use recording_host_sink::{SinkError, Store, StoreExt};
use recording_host_state::{Backfilled, Ledger, QueueError};

/// How many conversations are asked about together.
const PAGE: usize = 1000;
/// How many conversations are copied at once.
const AT_ONCE: usize = 8;

/// A day in a sink that may have what others lack.
#[derive(Debug)]
pub(crate) struct Job {
    /// The sink, by its index among the bindings.
    pub(crate) donor: usize,
    /// The folder of the day's receipts.
    folder: String,
    /// True if objects are copied; otherwise the rows alone are read, for what must be fetched.
    pub(crate) copies: bool,
    /// The data read for it so far: where a sink fails now and then, each attempt gets further.
    read: Read,
}

/// The state of a day by the receipts and rows that have been read.
#[derive(Debug, Default)]
struct Read {
    /// The receipts.
    receipts: BTreeSet<String>,
    /// The conversations of them that sinks lack and that are not dealt with.
    wanted: BTreeMap<String, Wanted>,
    /// The files of rows, and what these say about conversations.
    rows: BTreeSet<String>,
    restored: BTreeMap<String, Restored>,
}

/// Why a job was not done; it can be done again.
#[derive(Debug)]
pub(crate) enum ReplicateError {
    /// A sink failed, by its index.
    Sink(usize, SinkError),
    Queue(QueueError),
}

impl From<QueueError> for ReplicateError {
    fn from(error: QueueError) -> Self {
        ReplicateError::Queue(error)
    }
}

/// The result of a job.
#[derive(Debug, Default)]
pub(crate) struct Replicated {
    pub(crate) found: Vec<Backfilled>,
    /// Conversations that a sink does not take.
    pub(crate) refused: Vec<(String, String)>,
    /// Why not all of it is done; the job can be done again.
    pub(crate) failed: Option<ReplicateError>,
}

/// The days of the sinks with these indexes, all of which can be read: first to copy, then to ask.
pub(crate) async fn jobs(
    bindings: &[Arc<SinkBinding>],
    donors: &[usize],
) -> Result<Vec<Job>, ReplicateError> {
    let mut jobs = Vec::new();
    for copies in [true, false] {
        for donor in donors {
            let Some(store) = bindings[*donor].sink.store() else {
                continue;
            };
            let days = by_day(store, "receipts/").await;
            let days = days.map_err(|error| ReplicateError::Sink(*donor, error))?;
            jobs.extend(days.into_keys().map(|folder| Job {
                donor: *donor,
                folder,
                copies,
                read: Read::default(),
            }));
        }
    }
    Ok(jobs)
}

/// An entry of a receipt about a conversation that sinks lack.
#[derive(Clone, Debug)]
struct Wanted {
    entry: ReceiptEntry,
    header: Arc<ReceiptHeader>,
    sinks: BTreeSet<String>,
}

/// Does a job, or the rest of it. Where a sink fails during it, what was done until then counts, and
/// what was read is kept for the next attempt.
///
/// # Errors
/// [`ReplicateError`], if nothing was done.
pub(crate) async fn replicate(
    ledger: &dyn Ledger,
    claim: &ReceiptOwnership,
    bindings: &[Arc<SinkBinding>],
    job: &mut Job,
) -> Result<Replicated, ReplicateError> {
    let donor = &bindings[job.donor];
    let Some(store) = donor.sink.store() else {
        return Ok(Replicated::default());
    };
    let failed = |error| ReplicateError::Sink(job.donor, error);
    let Job { folder, read, .. } = job;
    read_receipts(ledger, claim, store, folder, read)
        .await
        .map_err(|error| error.of(job.donor))?;
    read_rows(store, read).await.map_err(failed)?;
    let known: Vec<(Wanted, Restored)> = read
        .wanted
        .iter()
        .filter_map(|(id, wanted)| Some((wanted.clone(), read.restored.get(id)?.clone())))
        .collect();
    let mut all = Replicated::default();
    let mut dealt_with = Vec::new();
    let of = (job.donor, job.copies);
    let mut copies = stream::iter(known)
        .map(|(wanted, restored)| one(bindings, of, wanted, restored))
        .buffer_unordered(AT_ONCE);
    while let Some((id, done)) = copies.next().await {
        match done {
            Ok((found, refused)) => {
                dealt_with.push(id);
                all.refused.extend(refused);
                all.found.extend(found);
            }
            Err(error) => all.failed = Some(error),
        }
    }
    drop(copies);
    for id in dealt_with {
        job.read.wanted.remove(&id);
        job.read.restored.remove(&id);
    }
    // What another sink may have in the right form is not fetched yet.
    if job.copies {
        all.found.retain(|one| !one.filled.is_empty());
    }
    Ok(all)
}

/// Why receipts were not read.
enum ReadError {
    Sink(SinkError),
    Queue(QueueError),
}

impl ReadError {
    fn of(self, donor: usize) -> ReplicateError {
        match self {
            ReadError::Sink(error) => ReplicateError::Sink(donor, error),
            ReadError::Queue(error) => ReplicateError::Queue(error),
        }
    }
}

/// Reads the receipts of a day that have not been read: what of it sinks lack, by conversation, the
/// latest that the donor says of it.
async fn read_receipts(
    ledger: &dyn Ledger,
    claim: &ReceiptOwnership,
    store: &dyn Store,
    folder: &str,
    read: &mut Read,
) -> Result<(), ReadError> {
    let keys = by_day(store, folder).await.map_err(ReadError::Sink)?;
    for key in keys.into_values().flatten() {
        if read.receipts.contains(&key) {
            continue;
        }
        let bytes = store.read(&key).await.map_err(ReadError::Sink)?;
        read.receipts.insert(key);
        let Some(bytes) = bytes else {
            continue;
        };
        // A receipt that cannot be read is for `verify` to name.
        let Ok(mut reader) = ReceiptReader::new(bytes.as_slice()) else {
            continue;
        };
        // Of a receipt that was changed, any line may be: nothing is made of it in another sink.
        if !claim.covers(reader.header()) || !adds_up(&bytes) {
            continue;
        }
        let header = Arc::new(reader.header().clone());
        loop {
            let page: Vec<ReceiptEntry> = reader
                .by_ref()
                .take(PAGE)
                .filter_map(Result::ok)
                .map(|(_, entry)| entry)
                .collect();
            if page.is_empty() {
                break;
            }
            let ids = page.iter().map(|entry| entry.conversation_id.clone());
            let lackers = ledger.lackers(ids.collect()).await;
            let mut lackers = lackers.map_err(ReadError::Queue)?;
            for entry in page {
                let Some(sinks) = lackers.remove(&entry.conversation_id) else {
                    continue;
                };
                let before = read.wanted.get(&entry.conversation_id);
                if before.is_none_or(|before| before.entry.attempt < entry.attempt) {
                    let header = Arc::clone(&header);
                    let id = entry.conversation_id.clone();
                    // Its rows may be others than those of an earlier attempt.
                    read.restored.remove(&id);
                    read.wanted.insert(
                        id,
                        Wanted {
                            entry,
                            header,
                            sinks,
                        },
                    );
                }
            }
        }
    }
    Ok(())
}

/// Reads the rows of what sinks lack, file by file, as far as they have not been read.
async fn read_rows(store: &dyn Store, read: &mut Read) -> Result<(), SinkError> {
    let mut files = BTreeMap::<String, (Arc<ReceiptHeader>, BTreeSet<String>)>::new();
    for (id, one) in &read.wanted {
        if let Some(rows) = &one.header.metadata
            && !read.rows.contains(&rows.key)
        {
            let of = files.entry(rows.key.clone());
            let (_, ids) = of.or_insert_with(|| (Arc::clone(&one.header), BTreeSet::new()));
            ids.insert(id.clone());
        }
    }
    for (key, (header, ids)) in files {
        let restored = restore(store, &key, &header, ids).await?;
        read.restored.extend(restored);
        read.rows.insert(key);
    }
    Ok(())
}

/// The data of conversations from their rows; nothing if these are not the rows that the receipt names,
/// or cannot be read.
async fn restore(
    store: &dyn Store,
    key: &str,
    header: &ReceiptHeader,
    ids: BTreeSet<String>,
) -> Result<BTreeMap<String, Restored>, SinkError> {
    let digest = header.metadata.as_ref().map(|rows| rows.sha256.as_str());
    let Some(file) = store.read(key).await? else {
        return Ok(BTreeMap::new());
    };
    if header.encryption.is_some() || digest != Some(hex(&Sha256::digest(&file)).as_str()) {
        return Ok(BTreeMap::new());
    }
    let key = key.to_owned();
    let reading = tokio::task::spawn_blocking(move || rows_of(&key, file.into(), &ids)).await;
    let rows = reading.ok().and_then(Result::ok).unwrap_or_default();
    let restored = rows.into_iter();
    Ok(restored
        .filter_map(|(id, rows)| Some((id, Restored::of(&rows)?)))
        .collect())
}

type Done = (Option<Backfilled>, Vec<(String, String)>);

/// Brings a conversation to the sinks that lack it, as far as it can be copied.
async fn one(
    bindings: &[Arc<SinkBinding>],
    of: (usize, bool),
    wanted: Wanted,
    restored: Restored,
) -> (String, Result<Done, ReplicateError>) {
    let id = wanted.entry.conversation_id.clone();
    (id, brought(bindings, of, wanted, restored).await)
}

async fn brought(
    bindings: &[Arc<SinkBinding>],
    (donor_index, copies): (usize, bool),
    wanted: Wanted,
    restored: Restored,
) -> Result<Done, ReplicateError> {
    let donor = &bindings[donor_index];
    let Wanted { entry, sinks, .. } = wanted;
    let id = entry.conversation_id.clone();
    let about = KeyFacts::of(&restored.record);
    let mut found = Backfilled {
        conversation: id.clone(),
        outcome: entry.outcome(),
        extent: entry.extent,
        objects: Vec::new(),
        filled: BTreeSet::new(),
        record: None,
    };
    let mut refused = Vec::new();
    for (sink_index, binding) in bindings.iter().enumerate() {
        if !sinks.contains(&binding.name) {
            continue;
        }
        if !binding.route.condition.holds(&restored.record) {
            refused.push((id.clone(), binding.name.clone()));
            continue;
        }
        if !copies || sink_index == donor_index {
            continue;
        }
        let copied = copy::copy(donor, (sink_index, binding), &about, &entry, &restored).await;
        let copied = copied.map_err(|(sink_index, error)| {
            let sink_index = sink_index.unwrap_or(donor_index);
            ReplicateError::Sink(sink_index, error)
        })?;
        if let Some(objects) = copied {
            found.filled.insert(binding.name.clone());
            found.objects.extend(
                objects
                    .into_iter()
                    .map(|object| (binding.name.clone(), object)),
            );
        }
    }
    if sinks
        .iter()
        .all(|sink| refused.iter().any(|(_, name)| name == sink))
    {
        return Ok((None, refused));
    }
    // Rows of a sink without media describe the objects in the donor.
    let all = entry.objects.iter().map(|object| (object, false));
    let all = all.chain(entry.aside.iter().map(|object| (object, true)));
    for (reported, aside) in all {
        let object = as_object(&id, reported, aside, &restored);
        found.objects.push((donor.name.clone(), object));
    }
    found.record = Some(restored.record);
    Ok((Some(found), refused))
}

/// An object of the donor's as the ledger knows objects.
pub(crate) fn as_object(
    id: &str,
    reported: &ReceiptObject,
    aside: bool,
    restored: &Restored,
) -> Object {
    let key = (reported.key.clone(), reported.member.clone());
    Object {
        conversation: id.to_owned(),
        recording: reported.recording.clone(),
        key: reported.key.clone(),
        member: reported.member.clone(),
        content_type: reported.content_type.clone(),
        size: reported.size,
        sha256: reported.sha256.clone(),
        etag: reported.etag.clone(),
        stored: None,
        note: reported.note.clone(),
        aside,
        file: String::new(),
        index_metadata: restored.objects.get(&key).cloned(),
    }
}

/// Returns true if a donor holds objects as another sink is to hold them, but for their keys.
fn same_form(donor: &SinkBinding, binding: &SinkBinding) -> bool {
    let form = |binding: &SinkBinding| {
        let text = identity::sink(binding);
        let mut keys: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        if let Some(keys) = keys.as_object_mut() {
            keys.remove("layout");
            keys.remove("encrypt");
        }
        keys
    };
    !donor.sink.encrypts() && donor.route.content.media && form(donor) == form(binding)
}
