//! Proves an archive: reads a sink again and compares it with its own receipts.
//!
//! Nothing but the sink is needed. The receipts say what must be there, in whatever order the sink
//! lists it; that is kept on disk, so that memory does not grow with the archive.

mod ledger;

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    layout::{BUNDLES, Layout},
    sandbox::hex,
    sink::{Found, SinkError, Store},
};

use ledger::{Ledger, State};

/// Objects that are read at once.
const READS: usize = 8;
/// Objects that are compared together.
const PAGE: usize = 1000;

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
    /// All that is not as it should be.
    pub findings: Vec<Finding>,
}

#[derive(Deserialize)]
struct Head {
    metadata: Option<Expected>,
    catalog: Option<Expected>,
    media_in: Option<String>,
}

#[derive(Deserialize)]
struct Receipt {
    conversation_id: String,
    objects: Vec<Expected>,
    #[serde(default)]
    sidecars: Vec<Expected>,
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
    /// Whether it is a recording, and not a file of metadata.
    #[serde(skip)]
    media: bool,
}

/// Compares a sink of the default layout with its receipts, as [`verify_layout`] does.
///
/// # Errors
/// What the sink says when it cannot be read.
pub async fn verify(store: &dyn Store, full: bool) -> Result<Report, SinkError> {
    verify_layout(store, &Layout::default(), full).await
}

/// Compares a sink with its receipts: by length and entity tag, or, if `full`, by sha256, too. Files
/// of rows are always compared by sha256. What no receipt names is looked for where `layout` puts
/// media.
///
/// # Errors
/// What the sink says when it cannot be read.
pub async fn verify_layout(
    store: &dyn Store,
    layout: &Layout,
    full: bool,
) -> Result<Report, SinkError> {
    let mut check = Check {
        store,
        full,
        report: Report::default(),
        rows: listed(store, "metadata/").await?,
        catalog: listed(store, "catalog/").await?,
        ledger: Ledger::new()?,
    };
    let mut receipts = BTreeMap::<String, Vec<String>>::new();
    let mut list = store.list("receipts/");
    while let Some(found) = list.next().await.transpose()? {
        let day = found.key.split('/').nth(1).unwrap_or_default();
        receipts.entry(day.to_owned()).or_default().push(found.key);
    }
    for keys in receipts.into_values() {
        let mut conversations = HashSet::new();
        for key in keys {
            check.receipt(&key, &mut conversations).await?;
        }
        check.report.conversations += conversations.len() as u64;
    }
    (check.report.objects, check.report.bytes) = check.ledger.sums().await?;
    let mut places = vec![layout.prefix().to_owned(), BUNDLES.to_owned()];
    // What an export left that had another layout.
    let before = Layout::default();
    if layout.prefix() != before.prefix() && check.ledger.expects(before.prefix()).await? {
        places.push(before.prefix().to_owned());
    }
    for (at, place) in places.iter().enumerate() {
        let listed_before = places[..at].iter().any(|before| place.starts_with(before));
        if !listed_before {
            check.list(place).await?;
        }
    }
    check.elsewhere(&places).await?;
    check.contents().await?;
    Ok(check.finish())
}

struct Check<'a> {
    store: &'a dyn Store,
    full: bool,
    report: Report,
    rows: HashMap<String, Found>,
    catalog: HashMap<String, Found>,
    ledger: Ledger,
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

    /// Compares what is below a prefix with the receipts.
    async fn list(&mut self, place: &str) -> Result<(), SinkError> {
        let store = self.store;
        let mut pages = store.list(place).chunks(PAGE);
        while let Some(page) = pages.next().await {
            let page = page.into_iter().collect::<Result<_, _>>()?;
            self.compare(page).await?;
        }
        Ok(())
    }

    async fn compare(&mut self, page: Vec<Found>) -> Result<(), SinkError> {
        for (found, expected) in self.ledger.found(page, self.full).await? {
            match expected {
                None => self.surplus(found.key, found.size),
                Some(expected) if found.size != expected.size => {
                    let size = found.size;
                    let detail = format!("{size} bytes, {} in the receipt", expected.size);
                    self.find(Difference::Size, &expected, detail);
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Looks, one by one, for what was not found in places that were listed: it is missing, or lies
    /// where another layout put it.
    async fn elsewhere(&mut self, places: &[String]) -> Result<(), SinkError> {
        let mut after = String::new();
        loop {
            let page = self.ledger.page(State::Unseen, &after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after.clone_from(&last.key);
            let store = self.store;
            let mut looks = stream::iter(page)
                .map(|expected| async move {
                    let missing = places.iter().any(|place| expected.key.starts_with(place));
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
        loop {
            let page = self.ledger.page(State::Unread, &after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after.clone_from(&last.key);
            let store = self.store;
            let mut reads = stream::iter(page)
                .map(|expected| async move {
                    let digest = digest(store, &expected.key).await;
                    digest.map(|digest| (expected, digest))
                })
                .buffer_unordered(READS);
            while let Some((expected, found)) = reads.next().await.transpose()? {
                if found.as_ref() != Some(&expected.sha256) {
                    let found = found.unwrap_or_else(|| "nothing".to_owned());
                    let detail = format!("sha256 {found}, {} in the receipt", expected.sha256);
                    self.find(Difference::Content, &expected, detail);
                }
            }
        }
    }

    /// Reads a receipt and its rows.
    async fn receipt(
        &mut self,
        key: &str,
        conversations: &mut HashSet<String>,
    ) -> Result<(), SinkError> {
        let itself = Expected {
            key: key.to_owned(),
            size: 0,
            sha256: String::new(),
            etag: None,
            conversation: None,
            attempt: 0,
            media: false,
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
        let mut proven = HashMap::new();
        let mut expected = Vec::new();
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
                object.media = true;
                expected.push(object);
            }
            for mut sidecar in receipt.sidecars {
                sidecar.conversation = Some(conversation.clone());
                sidecar.attempt = receipt.attempt;
                expected.push(sidecar);
            }
            conversations.insert(conversation);
        }
        self.ledger.expect(expected).await?;
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
        let rows = match crate::metadata::read(&metadata.key, rows) {
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
        for (key, found) in rows.into_iter().chain(catalog) {
            self.surplus(key, found.size);
        }
        let findings = &mut self.report.findings;
        findings.sort_by(|a, b| (a.difference, &a.key).cmp(&(b.difference, &b.key)));
        self.report
    }
}

/// The object of this very key.
async fn one(store: &dyn Store, key: &str) -> Result<Option<Found>, SinkError> {
    let mut list = store.list(key);
    while let Some(found) = list.next().await.transpose()? {
        if found.key == key {
            return Ok(Some(found));
        }
    }
    Ok(None)
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

async fn digest(store: &dyn Store, key: &str) -> Result<Option<String>, SinkError> {
    let Some(mut body) = store.get(key).await? else {
        return Ok(None);
    };
    let mut digest = Sha256::new();
    while let Some(data) = body.next().await.map_err(|_| broken(key))? {
        digest.update(&data);
    }
    Ok(Some(hex(&digest.finalize())))
}
