//! Proves an archive: reads a sink again and compares it with its own receipts.
//!
//! Nothing but the sink is needed: receipts are about what is stored, so that an encrypted archive
//! is proven without a secret. With one, what is encrypted is read, too, and compared with its rows.
//! The receipts say what must be there, in whatever order the sink lists it; that is kept on disk, so
//! that memory does not grow with the archive.

mod claims;
mod encrypted;
mod expected;
mod expected_objects;
mod finding;
mod receipts;
mod rows;
mod segments;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use sha2::{Digest, Sha256};

use crate::{
    examined::Examined,
    receipt::{by_day, segment_of},
};
use recording_host_model::{
    Error, Events, hex,
    layout::{BUNDLES, Layout},
};
use recording_host_sink::{Decrypt, ObjectMeta, SinkError, Store};

use encrypted::Digests;
use expected::Expected;
use expected_objects::{ExpectedObjects, ExpectedState};
pub use finding::{
    CountedDay, Coverage, Difference, ObjectKind, SegmentId, VerifyFinding, VerifyReport,
};

/// Objects that are read at once.
const READS: usize = 8;
/// Objects that are compared together.
const PAGE: usize = 1000;
/// Where lies what was delivered in the place of a recording and is none.
const ASIDE: &str = "aside/";

/// Compares a sink of the default layout with its receipts, as [`verify_with`] does.
///
/// # Errors
/// The sink's error if it cannot be read.
pub async fn verify(store: &dyn Store, full: bool) -> Result<VerifyReport, Error> {
    let options = VerifyOptions {
        full,
        ..VerifyOptions::default()
    };
    verify_with(store, options).await
}

/// How a sink is compared with its receipts.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// Where media are put: what no receipt names is looked for there, and where receipts say that
    /// media are put.
    pub layout: Layout,
    /// True if the layout is not known: where media lie is taken from the receipts alone.
    pub any_layout: bool,
    /// True if every object is read and compared by sha256, not only where its length or entity tag
    /// leaves a doubt. Files of rows are always compared by sha256.
    pub full: bool,
    /// Decrypts what is encrypted: files of rows, and, if `full`, every object, whose plain bytes are
    /// compared with the sha256 in its row.
    pub decryptor: Option<Arc<dyn Decrypt>>,
    /// The keys of what exports have stored here and not filed yet: [`Pipeline::not_filed`](crate::Pipeline::not_filed),
    /// asked before the sink is read, since what is filed in between is named by its receipt. It must be there, and
    /// is no finding.
    pub not_filed: BTreeSet<String>,
    /// Get told how far it is.
    pub events: Events,
}

/// Compares a sink with its receipts: by length and entity tag, or as the options say.
///
/// # Errors
/// The sink's error if it cannot be read.
pub async fn verify_with(store: &dyn Store, options: VerifyOptions) -> Result<VerifyReport, Error> {
    Ok(try_verify(store, options).await?)
}

pub(crate) async fn try_verify(
    store: &dyn Store,
    options: VerifyOptions,
) -> Result<VerifyReport, SinkError> {
    let VerifyOptions {
        layout,
        any_layout,
        full,
        decryptor,
        not_filed,
        events,
    } = options;
    let mut check = Check {
        store,
        full,
        decryptor,
        report: VerifyReport::default(),
        rows: listed(store, "metadata/").await?,
        catalog: listed(store, "catalog/").await?,
        replaced: HashSet::new(),
        ledger: ExpectedObjects::new()?,
        claims: claims::HeaderClaims::default(),
        prefixes: BTreeSet::new(),
        not_filed,
        events,
    };
    let days = by_day(store, "receipts/").await?;
    let events = check.events.clone();
    let examined = Examined::new(&events, "days of receipts read", days.len());
    for (folder, keys) in days {
        check.day(&folder, keys).await?;
        examined.one();
    }
    let claims = std::mem::take(&mut check.claims);
    check.segments(claims).await?;
    (check.report.objects, check.report.bytes) = check.ledger.sums().await?;
    let prefixes = check.all_prefixes((!any_layout).then_some(&layout)).await?;
    let listed = Some(check.report.objects);
    let listed = Examined::of(&events, "objects listed", listed);
    for (at, prefix) in prefixes.iter().enumerate() {
        let listed_before = prefixes[..at]
            .iter()
            .any(|before| prefix.starts_with(before));
        if !listed_before {
            check.list(prefix, &listed).await?;
        }
    }
    check.elsewhere(&prefixes).await?;
    check.contents().await?;
    check.finish().await
}

struct Check<'a> {
    store: &'a dyn Store,
    full: bool,
    decryptor: Option<Arc<dyn Decrypt>>,
    report: VerifyReport,
    rows: HashMap<String, ObjectMeta>,
    catalog: HashMap<String, ObjectMeta>,
    /// The segments whose prefix others have taken, as their files are named.
    replaced: HashSet<String>,
    ledger: ExpectedObjects,
    claims: claims::HeaderClaims,
    /// The prefixes of the keys of media, as headers say.
    prefixes: BTreeSet<String>,
    /// What a queue has stored here and not filed yet, and was not found so far.
    not_filed: BTreeSet<String>,
    events: Events,
}

impl Check<'_> {
    /// Where media are listed: where the layout puts them, if it is known, and where receipts say.
    async fn all_prefixes(&mut self, layout: Option<&Layout>) -> Result<Vec<String>, SinkError> {
        let mut prefixes = vec![BUNDLES.to_owned(), ASIDE.to_owned()];
        prefixes.extend(layout.map(|layout| layout.prefix().to_owned()));
        prefixes.extend(std::mem::take(&mut self.prefixes));
        // What an export left that had another layout, or whose receipts do not say which.
        let before = Layout::default();
        if layout.is_none() || self.ledger.expects(before.prefix()).await? {
            prefixes.push(before.prefix().to_owned());
        }
        if layout.is_none() {
            prefixes.extend(self.ledger.prefixes().await?);
        }
        // Shorter ones first: what begins with one of them is listed with it.
        prefixes.sort();
        prefixes.dedup();
        Ok(prefixes)
    }

    /// Returns true if it is a file of a segment whose prefix another one has taken.
    fn is_void(&self, key: &str) -> bool {
        segment_of(key).is_some_and(|segment| self.replaced.contains(segment))
    }

    fn find(&mut self, difference: Difference, expected: &Expected, detail: String) {
        self.report.findings.push(VerifyFinding {
            difference,
            key: expected.key.clone(),
            kind: expected.kind,
            conversation: expected.conversation.clone(),
            segment: expected.segment.clone(),
            other: None,
            conversations: Vec::new(),
            detail,
        });
    }

    /// Names what is wrong with a receipt.
    fn find_in(
        &mut self,
        receipt: &str,
        segment: Option<SegmentId>,
        difference: Difference,
        conversation: Option<String>,
        detail: String,
    ) {
        self.report.findings.push(VerifyFinding {
            difference,
            key: receipt.to_owned(),
            kind: ObjectKind::Receipt,
            conversation,
            segment,
            other: None,
            conversations: Vec::new(),
            detail,
        });
    }

    /// Compares what is below a prefix with the receipts.
    async fn list(&mut self, prefix: &str, listed: &Examined<'_>) -> Result<(), SinkError> {
        let store = self.store;
        let mut pages = store.list(prefix).chunks(PAGE);
        while let Some(page) = pages.next().await {
            let page = page.into_iter().collect::<Result<Vec<_>, _>>()?;
            let length = page.len() as u64;
            self.compare(page).await?;
            listed.more(length);
        }
        Ok(())
    }

    async fn compare(&mut self, page: Vec<ObjectMeta>) -> Result<(), SinkError> {
        for (found, expected) in self.ledger.found(page, self.full).await? {
            match expected {
                None => self.unexpected(found.key, found.size),
                Some(expected) if !expected.has_size(found.size) => {
                    let size = found.size;
                    let detail = format!("{size} bytes, {} in the receipt", expected.size);
                    self.find(Difference::Size, &expected, detail);
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Looks, one by one, for what was not found below prefixes that were listed: it is missing, or lies
    /// where another layout put it.
    async fn elsewhere(&mut self, prefixes: &[String]) -> Result<(), SinkError> {
        let mut after = String::new();
        loop {
            let page = self
                .ledger
                .page(ExpectedState::Unseen, &after, PAGE)
                .await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after.clone_from(&last.key);
            let store = self.store;
            let mut looks = stream::iter(page)
                .map(|expected| async move {
                    let missing = prefixes
                        .iter()
                        .any(|prefix| expected.key.starts_with(prefix));
                    let found = match missing {
                        true => None,
                        false => one(store, &expected.key).await?,
                    };
                    Ok::<_, SinkError>((expected, found))
                })
                .buffered(READS);
            let mut there = Vec::new();
            while let Some((expected, found)) = looks.next().await.transpose()? {
                match found {
                    Some(found) => there.push(found),
                    None => self.find(Difference::Missing, &expected, "it is not there".into()),
                }
            }
            drop(looks);
            self.compare(there).await?;
        }
    }

    /// Reads what has the right length, where that is not enough.
    async fn contents(&mut self) -> Result<(), SinkError> {
        let mut after = String::new();
        let events = self.events.clone();
        let total = self.full.then_some(self.report.objects);
        let examined = Examined::of(&events, "objects read", total);
        loop {
            let page = self
                .ledger
                .page(ExpectedState::Unread, &after, PAGE)
                .await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after.clone_from(&last.key);
            let (store, decryptor) = (self.store, self.decryptor.clone());
            let decryptor = decryptor.as_ref();
            let mut reads = stream::iter(page)
                .map(|expected| async move {
                    let key = &expected.key;
                    let digests = match decryptor.filter(|_| expected.encrypted) {
                        Some(decryptor) => encrypted::digests(store, key, decryptor).await,
                        None => digest(store, key).await,
                    };
                    digests.map(|digests| (expected, digests))
                })
                .buffer_unordered(READS);
            while let Some((expected, found)) = reads.next().await.transpose()? {
                examined.one();
                if let Some(detail) = unlike(&expected, found) {
                    self.find(Difference::Content, &expected, detail);
                }
            }
        }
    }

    fn unexpected(&mut self, key: String, size: u64) {
        if self.not_filed.remove(&key) {
            self.report.not_filed += 1;
            return;
        }
        let folder = key.split('/').next().unwrap_or_default();
        let kind = match folder {
            "receipts" => ObjectKind::Receipt,
            "metadata" => ObjectKind::Rows,
            "catalog" => ObjectKind::Catalog,
            "aside" => ObjectKind::Aside,
            _ => ObjectKind::Recording,
        };
        let segment = SegmentId::of_file(&key);
        self.report.findings.push(VerifyFinding {
            difference: Difference::Unexpected,
            key,
            kind,
            conversation: None,
            segment,
            other: None,
            conversations: Vec::new(),
            detail: format!("{size} bytes that no receipt names"),
        });
    }

    async fn finish(mut self) -> Result<VerifyReport, SinkError> {
        let rows = std::mem::take(&mut self.rows);
        let catalog = std::mem::take(&mut self.catalog);
        for (key, found) in rows.into_iter().chain(catalog) {
            // What is void may have been removed since it was listed.
            if !self.is_void(&key) || one(self.store, &key).await?.is_some() {
                self.unexpected(key, found.size);
            }
        }
        for key in std::mem::take(&mut self.not_filed) {
            // What was filed since has a receipt now, and is there all the same.
            if one(self.store, &key).await?.is_none() {
                let detail = "stored but not filed yet, and now missing; once it is filed, `run --repair` restores it";
                self.report.findings.push(VerifyFinding {
                    difference: Difference::Missing,
                    key,
                    kind: ObjectKind::Recording,
                    conversation: None,
                    segment: None,
                    other: None,
                    conversations: Vec::new(),
                    detail: detail.to_owned(),
                });
            }
        }
        let mut findings = std::mem::take(&mut self.report.findings);
        findings.retain(|it| it.difference != Difference::Missing || !self.is_void(&it.key));
        findings.sort_by(|a, b| (a.difference, &a.key).cmp(&(b.difference, &b.key)));
        self.report.findings = findings;
        Ok(self.report)
    }
}

/// How an object's bytes differ from what its receipts and its row say, if they do.
fn unlike(expected: &Expected, found: Option<Digests>) -> Option<String> {
    let stored = found.as_ref().map(|found| found.stored.as_str());
    if !stored.is_some_and(|stored| expected.has_sha256(stored)) {
        let stored = stored.unwrap_or("nothing");
        return Some(format!(
            "sha256 {stored}, {} in the receipt",
            expected.sha256
        ));
    }
    match found?.plain? {
        Err(error) => Some(error.to_string()),
        Ok(plain) if expected.plain.is_empty() || expected.plain.contains(&plain) => None,
        Ok(plain) => Some(format!(
            "decrypted, it has the sha256 {plain}, and another in its row"
        )),
    }
}

/// The object of this very key.
async fn one(store: &dyn Store, key: &str) -> Result<Option<ObjectMeta>, SinkError> {
    let mut list = store.list(key);
    while let Some(found) = list.next().await.transpose()? {
        if found.key == key {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

async fn listed(store: &dyn Store, prefix: &str) -> Result<HashMap<String, ObjectMeta>, SinkError> {
    let mut found = HashMap::new();
    let mut list = store.list(prefix);
    while let Some(one) = list.next().await.transpose()? {
        found.insert(one.key.clone(), one);
    }
    Ok(found)
}

fn broken(key: &str) -> SinkError {
    SinkError::new("verify", key, "reading it was interrupted; verify again").with_retryable(true)
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
