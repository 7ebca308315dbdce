//! Proves an archive: reads a sink again and compares it with its own receipts.
//!
//! Nothing but the sink is needed: receipts are about what is stored, so that an encrypted archive
//! is proven without a secret. With one, what is encrypted is read, too, and compared with its rows.
//! Memory holds one day at a time.

mod sealed;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, btree_map::Entry};

use bytes::Bytes;
use futures_util::{StreamExt, stream, stream::BoxStream};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    encryption::{Identities, SUFFIX},
    sandbox::hex,
    sink::{Found, SinkError, Store},
};
use sealed::Digests;

/// Objects that are read at once.
const READS: usize = 8;

/// How an object differs from what its receipt says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Difference {
    /// A receipt names it, and it is not there.
    Missing,
    /// It has another length.
    Size,
    /// It has other bytes.
    Content,
    /// It is there, and no receipt names it.
    Surplus,
    /// A receipt, or a row that belongs to it, cannot be read or contradicts the other.
    Receipt,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What is wrong.
    pub difference: Difference,
    /// The object's key.
    pub key: String,
    /// Whose it is, if known.
    pub conversation: Option<String>,
    /// What was expected and what was found.
    pub detail: String,
}

/// What a verification has found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Receipts read.
    pub receipts: u64,
    /// Conversations in them.
    pub conversations: u64,
    /// Media objects in them.
    pub objects: u64,
    /// The bytes of these objects.
    pub bytes: u64,
    /// Receipts whose rows are encrypted, and were not read for want of an identity.
    pub unread: u64,
    /// All that is not as it should be.
    pub findings: Vec<Finding>,
}

#[derive(Deserialize)]
struct Head {
    metadata: Option<Expected>,
    catalog: Option<Expected>,
    media_in: Option<String>,
    #[serde(default)]
    encryption: Option<String>,
}

#[derive(Deserialize)]
struct Receipt {
    conversation_id: String,
    objects: Vec<Expected>,
    #[serde(default = "first")]
    attempt: u32,
}

/// Receipts that do not tell the attempt are those of the first one.
fn first() -> u32 {
    1
}

#[derive(Clone, Deserialize)]
struct Expected {
    key: String,
    size: u64,
    sha256: String,
    #[serde(default)]
    etag: Option<String>,
    #[serde(skip)]
    conversation: Option<String>,
    #[serde(skip)]
    attempt: u32,
    /// What other receipts say of it, if it is encrypted: each put of it has other bytes.
    #[serde(skip)]
    others: Vec<Expected>,
}

impl Expected {
    /// All that receipts say of it.
    fn claims(&self) -> impl Iterator<Item = &Expected> {
        std::iter::once(self).chain(&self.others)
    }

    /// Joins what two receipts say of an object: the later attempt counts, and for what is
    /// encrypted either.
    fn join(self, other: Expected, encrypted: bool) -> Expected {
        let (mut newer, mut older) = match self.attempt <= other.attempt {
            true => (other, self),
            false => (self, other),
        };
        if encrypted {
            let mut claims = std::mem::take(&mut older.others);
            claims.push(older);
            for claim in claims {
                if newer.claims().all(|known| known.sha256 != claim.sha256) {
                    newer.others.push(claim);
                }
            }
        }
        newer
    }
}

/// Compares a sink with its receipts: by length and entity tag, or, if `full`, by sha256, too. Files
/// of rows are always compared by sha256.
///
/// # Errors
/// What the sink says when it cannot be read.
pub async fn verify(store: &dyn Store, full: bool) -> Result<Report, SinkError> {
    with_identities(store, full, &Identities::default()).await
}

/// As [`verify`], and reads what is encrypted: files of rows, and, if `full`, every object, whose
/// plain bytes are compared with the sha256 in its row.
///
/// # Errors
/// What the sink says when it cannot be read.
pub async fn with_identities(
    store: &dyn Store,
    full: bool,
    identities: &Identities,
) -> Result<Report, SinkError> {
    let mut check = Check {
        store,
        full,
        identities,
        plain: HashMap::new(),
        report: Report::default(),
        rows: listed(store, "metadata/").await?,
        catalog: listed(store, "catalog/").await?,
        bundles: listed(store, "bundles/").await?,
        seen_bundles: HashSet::new(),
    };
    let mut receipts = BTreeMap::<String, Vec<String>>::new();
    let mut list = store.list("receipts/");
    while let Some(found) = list.next().await.transpose()? {
        let day = found.key.split('/').nth(1).unwrap_or_default();
        let day = day.trim_start_matches("date=").to_owned();
        receipts.entry(day).or_default().push(found.key);
    }
    let mut days = Days::new(store);
    let mut stored = days.next().await?;
    loop {
        let receipt_day = receipts.first_key_value().map(|(day, _)| day.clone());
        let stored_day = stored.as_ref().map(|(day, _)| day.clone());
        let Some(day) = [receipt_day, stored_day].into_iter().flatten().min() else {
            break;
        };
        let keys = receipts.remove(&day).unwrap_or_default();
        let objects = match stored.take_if(|(there, _)| *there == day) {
            Some((_, objects)) => {
                stored = days.next().await?;
                objects
            }
            None => HashMap::new(),
        };
        check.day(&keys, objects).await?;
    }
    Ok(check.finish())
}

struct Check<'a> {
    store: &'a dyn Store,
    full: bool,
    identities: &'a Identities,
    /// What the rows of a day say of the plain bytes of its objects.
    plain: HashMap<String, BTreeSet<String>>,
    report: Report,
    rows: HashMap<String, Found>,
    catalog: HashMap<String, Found>,
    bundles: HashMap<String, Found>,
    seen_bundles: HashSet<String>,
}

impl Check<'_> {
    fn find(&mut self, difference: Difference, expected: &Expected, detail: String) {
        self.report.findings.push(Finding {
            difference,
            key: expected.key.clone(),
            conversation: expected.conversation.clone(),
            detail,
        });
    }

    /// Checks the receipts of a day against the objects of that day.
    async fn day(
        &mut self,
        receipts: &[String],
        mut objects: HashMap<String, Found>,
    ) -> Result<(), SinkError> {
        self.plain.clear();
        let mut expected = BTreeMap::<String, Expected>::new();
        let mut conversations = HashSet::new();
        for key in receipts {
            self.receipt(key, &mut expected, &mut conversations).await?;
        }
        self.report.conversations += conversations.len() as u64;
        let mut to_read = Vec::new();
        for (key, expected) in expected {
            self.report.objects += 1;
            self.report.bytes += expected.size;
            let found = if key.starts_with("bundles/") {
                self.seen_bundles.insert(key.clone());
                self.bundles.get(&key).cloned()
            } else {
                objects.remove(&key)
            };
            match found {
                None => self.find(Difference::Missing, &expected, "it is not there".into()),
                Some(found) if expected.claims().all(|claim| claim.size != found.size) => {
                    let size = found.size;
                    let detail = format!("{size} bytes, {} in the receipt", expected.size);
                    self.find(Difference::Size, &expected, detail);
                }
                // Another tag may be that of a copy: the bytes decide.
                Some(found)
                    if self.full || expected.claims().all(|claim| claim.etag != found.etag) =>
                {
                    to_read.push(expected);
                }
                Some(_) => {}
            }
        }
        for (key, found) in objects {
            self.surplus(key, found.size);
        }
        if !to_read.is_empty() {
            let (store, identities, plain) = (self.store, self.identities, &self.plain);
            let mut reads = stream::iter(to_read)
                .map(|expected| async move {
                    let key = &expected.key;
                    let digests = match plain.contains_key(key) {
                        true => sealed::digests(store, key, identities).await,
                        false => digest(store, key).await,
                    };
                    digests.map(|digests| (expected, digests))
                })
                .buffer_unordered(READS);
            let mut changed = Vec::new();
            while let Some(read) = reads.next().await.transpose()? {
                changed.push(read);
            }
            drop(reads);
            for (expected, found) in changed {
                let stored = found.as_ref().map(|found| &found.stored);
                if expected.claims().all(|claim| stored != Some(&claim.sha256)) {
                    let found = stored.map_or("nothing", String::as_str);
                    let detail = format!("sha256 {found}, {} in the receipt", expected.sha256);
                    self.find(Difference::Content, &expected, detail);
                    continue;
                }
                let told = self.plain.get(&expected.key);
                let detail = match (found.and_then(|found| found.plain), told) {
                    (Some(Err(error)), _) => error.to_string(),
                    (Some(Ok(plain)), Some(told)) if !told.contains(&plain) => {
                        format!("decrypted, it has the sha256 {plain}, and another in its row")
                    }
                    _ => continue,
                };
                self.find(Difference::Content, &expected, detail);
            }
        }
        Ok(())
    }

    /// Reads a receipt and its rows.
    async fn receipt(
        &mut self,
        key: &str,
        expected: &mut BTreeMap<String, Expected>,
        conversations: &mut HashSet<String>,
    ) -> Result<(), SinkError> {
        let itself = Expected {
            key: key.to_owned(),
            size: 0,
            sha256: String::new(),
            etag: None,
            conversation: None,
            attempt: 0,
            others: Vec::new(),
        };
        let bytes = whole(self.store, key).await?.unwrap_or_default();
        // Bytes that are no UTF-8 cannot be right and are replaced.
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.lines();
        let head: Head = match lines.next().map(serde_json::from_str) {
            Some(Ok(head)) => head,
            _ => {
                let detail = "its first line is not that of a receipt".to_owned();
                self.find(Difference::Receipt, &itself, detail);
                return Ok(());
            }
        };
        self.report.receipts += 1;
        let encrypted = head.encryption.is_some();
        let mut proven = HashMap::new();
        for (number, line) in lines.enumerate() {
            let Ok(receipt) = serde_json::from_str::<Receipt>(line) else {
                let detail = format!("line {} cannot be read", number + 2);
                self.find(Difference::Receipt, &itself, detail);
                continue;
            };
            let conversation = receipt.conversation_id;
            for mut object in receipt.objects {
                let owner = (conversation.clone(), object.key.clone());
                proven.insert(owner, (object.sha256.clone(), false));
                object.conversation = Some(conversation.clone());
                object.attempt = receipt.attempt;
                match expected.entry(object.key.clone()) {
                    Entry::Vacant(place) => {
                        place.insert(object);
                    }
                    Entry::Occupied(place) => {
                        let (key, known) = place.remove_entry();
                        expected.insert(key, known.join(object, encrypted));
                    }
                }
            }
            conversations.insert(conversation);
        }
        if let Some(catalog) = &head.catalog {
            self.catalog.remove(&catalog.key);
            self.proven(catalog).await?;
        }
        let Some(metadata) = &head.metadata else {
            return Ok(());
        };
        self.rows.remove(&metadata.key);
        let Some((rows, right)) = self.proven(metadata).await? else {
            return Ok(());
        };
        let (key, rows) = if encrypted {
            if self.identities.is_empty() {
                self.report.unread += 1;
                return Ok(());
            }
            match sealed::rows(self.identities, &rows) {
                Ok(plain) => (metadata.key.trim_end_matches(SUFFIX), plain),
                Err(error) => {
                    if right {
                        let detail = format!("its rows cannot be read: {error}");
                        self.find(Difference::Receipt, metadata, detail);
                    }
                    return Ok(());
                }
            }
        } else {
            (metadata.key.as_str(), rows)
        };
        let rows = match crate::metadata::read(key, rows) {
            Ok(rows) => rows,
            Err(error) => Box::new(std::iter::once(Err(error))),
        };
        for row in rows {
            let row = match row {
                Ok(row) => row,
                Err(error) => {
                    // Of a file that was changed that is known already.
                    if right {
                        let detail = format!("its rows cannot be read: {error}");
                        self.find(Difference::Receipt, metadata, detail);
                    }
                    continue;
                }
            };
            // Of what another sink has, this one proves nothing.
            let (Some(object), None) = (row.object_key, &head.media_in) else {
                continue;
            };
            let known = proven.get_mut(&(row.conversation_id, object.clone()));
            match known {
                // The receipt is about what is stored, the row about what that decrypts to.
                Some((_, seen)) if encrypted => {
                    *seen = true;
                    self.plain.entry(object).or_default().extend(row.sha256);
                }
                Some((sha256, seen)) if row.sha256.as_ref() == Some(sha256) => *seen = true,
                _ => {
                    let detail = format!("it contradicts the row of {object}");
                    self.find(Difference::Receipt, &itself, detail);
                }
            }
        }
        for ((_, object), (_, seen)) in proven {
            if !seen {
                let detail = format!("{object} has no row that agrees with it");
                self.find(Difference::Receipt, &itself, detail);
            }
        }
        Ok(())
    }

    /// A file that belongs to a receipt, and whether it is the one that the receipt names.
    async fn proven(&mut self, expected: &Expected) -> Result<Option<(Bytes, bool)>, SinkError> {
        let Some(file) = whole(self.store, &expected.key).await? else {
            let detail = "the file is not there".to_owned();
            self.find(Difference::Missing, expected, detail);
            return Ok(None);
        };
        let right = hex(&Sha256::digest(&file)) == expected.sha256;
        if !right {
            let detail = format!(
                "the file is not the one in the receipt: {} bytes, {} expected",
                file.len(),
                expected.size
            );
            self.find(Difference::Content, expected, detail);
        }
        Ok(Some((file, right)))
    }

    fn surplus(&mut self, key: String, size: u64) {
        self.report.findings.push(Finding {
            difference: Difference::Surplus,
            key,
            conversation: None,
            detail: format!("{size} bytes that no receipt names"),
        });
    }

    fn finish(mut self) -> Report {
        let rows = std::mem::take(&mut self.rows);
        let catalog = std::mem::take(&mut self.catalog);
        let bundles = std::mem::take(&mut self.bundles);
        let seen = std::mem::take(&mut self.seen_bundles);
        for (key, found) in rows.into_iter().chain(catalog).chain(bundles) {
            if !seen.contains(&key) {
                self.surplus(key, found.size);
            }
        }
        let findings = &mut self.report.findings;
        findings.sort_by(|a, b| (a.difference, &a.key).cmp(&(b.difference, &b.key)));
        self.report
    }
}

/// The media objects of a sink, a day at a time.
struct Days<'a> {
    list: BoxStream<'a, Result<Found, SinkError>>,
    ahead: Option<Found>,
}

impl<'a> Days<'a> {
    fn new(store: &'a dyn Store) -> Self {
        Days {
            list: store.list("recordings/").fuse().boxed(),
            ahead: None,
        }
    }

    async fn next(&mut self) -> Result<Option<(String, HashMap<String, Found>)>, SinkError> {
        let first = match self.ahead.take() {
            Some(found) => Some(found),
            None => self.list.next().await.transpose()?,
        };
        let Some(first) = first else { return Ok(None) };
        let day = day(&first.key);
        let mut objects = HashMap::from([(first.key.clone(), first)]);
        while let Some(found) = self.list.next().await.transpose()? {
            if self::day(&found.key) != day {
                self.ahead = Some(found);
                break;
            }
            objects.insert(found.key.clone(), found);
        }
        Ok(Some((day, objects)))
    }
}

/// The day in `recordings/2026/01/05/...`, as receipts write it.
fn day(key: &str) -> String {
    let parts: Vec<&str> = key.split('/').skip(1).take(3).collect();
    parts.join("-")
}

async fn listed(store: &dyn Store, prefix: &str) -> Result<HashMap<String, Found>, SinkError> {
    let mut found = HashMap::new();
    let mut list = store.list(prefix);
    while let Some(one) = list.next().await.transpose()? {
        found.insert(one.key.clone(), one);
    }
    Ok(found)
}

fn broken(key: &str) -> SinkError {
    SinkError {
        sink: "verify".to_owned(),
        key: key.to_owned(),
        reason: "reading it broke off; verify again".to_owned(),
        retryable: true,
    }
}

async fn whole(store: &dyn Store, key: &str) -> Result<Option<Bytes>, SinkError> {
    let Some(mut body) = store.get(key).await? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    while let Some(data) = body.next().await.map_err(|_| broken(key))? {
        bytes.extend_from_slice(&data);
    }
    Ok(Some(bytes.into()))
}

async fn digest(store: &dyn Store, key: &str) -> Result<Option<Digests>, SinkError> {
    let Some(mut body) = store.get(key).await? else {
        return Ok(None);
    };
    let mut digest = Sha256::new();
    while let Some(data) = body.next().await.map_err(|_| broken(key))? {
        digest.update(&data);
    }
    Ok(Some(Digests {
        stored: hex(&digest.finalize()),
        plain: None,
    }))
}
