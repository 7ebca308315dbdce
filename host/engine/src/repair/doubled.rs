//! Removes rows that stand twice in a sink, as exports of an earlier version of the program left them,
//! which began anew with each change of the configuration.

use std::collections::{BTreeMap, BTreeSet};

use super::{Repair, RepairError};
use crate::{
    receipt::{ReceiptEntry, ReceiptHeader, ReceiptReader},
    verify::VerifyFinding,
};
use recording_host_sink::{Store, StoreExt};

/// A receipt whose conversations another one has, too.
struct Doubled {
    header: ReceiptHeader,
    entries: Vec<ReceiptEntry>,
    /// The conversations that others have.
    twice: BTreeSet<String>,
}

impl Repair<'_> {
    /// Removes the files of segments all of whose conversations another export has filed with the same
    /// objects; returns how many. Those of this export stay.
    pub(super) async fn remove_doubled(
        &self,
        store: &dyn Store,
        findings: &[VerifyFinding],
    ) -> Result<u64, RepairError> {
        let mut receipts = BTreeMap::<String, Option<Doubled>>::new();
        for finding in findings {
            for key in [Some(&finding.key), finding.other.as_ref()]
                .into_iter()
                .flatten()
            {
                if !receipts.contains_key(key) {
                    receipts.insert(key.clone(), read(store, key).await?);
                }
            }
        }
        for finding in findings {
            let Some(other) = &finding.other else {
                continue;
            };
            // That of another export goes; of two others, the one that was written first.
            let goes = match (receipts.get(&finding.key), receipts.get(other)) {
                (Some(Some(one)), Some(Some(two))) => {
                    // The exports of another source are its own affair.
                    let related = |it: &Doubled| it.header.export.starts_with(self.claim.prefix());
                    if !related(one) || !related(two) {
                        continue;
                    }
                    let mine = |it: &Doubled| it.header.export == self.claim.label();
                    let (a, b) = (mine(one), mine(two));
                    let later = one.header.written_at > two.header.written_at;
                    if a || (!b && later) {
                        other
                    } else {
                        &finding.key
                    }
                }
                _ => continue,
            };
            let (goes, stays) = (
                goes.clone(),
                match goes == other {
                    true => finding.key.clone(),
                    false => other.clone(),
                },
            );
            let same = same(&receipts, &goes, &stays, &finding.conversations);
            if let Some(Some(doubled)) = receipts.get_mut(&goes) {
                doubled.twice.extend(same);
            }
        }
        let mut removed = 0;
        for (key, doubled) in receipts {
            let Some(doubled) = doubled else { continue };
            let all = !doubled.entries.is_empty()
                && doubled
                    .entries
                    .iter()
                    .all(|entry| doubled.twice.contains(&entry.conversation_id));
            if all {
                removed += remove(store, &key, &doubled.header).await?;
            }
        }
        Ok(removed)
    }
}

/// The conversations of which two receipts name the same objects: what one says is said by the other.
fn same(
    receipts: &BTreeMap<String, Option<Doubled>>,
    goes: &str,
    stays: &str,
    conversations: &[String],
) -> Vec<String> {
    let objects = |key: &str| {
        let of = receipts.get(key).and_then(Option::as_ref);
        let entries = of.into_iter().flat_map(|it| &it.entries);
        let each = entries.map(|entry| {
            let objects = entry.objects.iter();
            let objects: BTreeSet<(&str, &str)> = objects
                .map(|object| (object.key.as_str(), object.sha256.as_str()))
                .collect();
            (entry.conversation_id.as_str(), objects)
        });
        each.collect::<BTreeMap<_, _>>()
    };
    let (goes, stays) = (objects(goes), objects(stays));
    let alike = |id: &&String| {
        let (one, other) = (goes.get(id.as_str()), stays.get(id.as_str()));
        one.zip(other)
            .is_some_and(|(one, other)| one.is_subset(other))
    };
    let mut all: Vec<String> = conversations.iter().filter(alike).cloned().collect();
    // Conversations without recordings have rows, too, and are filed twice as well.
    let bare = goes
        .iter()
        .filter(|(id, objects)| objects.is_empty() && stays.contains_key(*id));
    all.extend(bare.map(|(id, _)| (*id).to_owned()));
    all
}

async fn read(store: &dyn Store, key: &str) -> Result<Option<Doubled>, RepairError> {
    let Some(bytes) = store.read(key).await? else {
        return Ok(None);
    };
    let Ok(reader) = ReceiptReader::new(bytes.as_slice()) else {
        return Ok(None);
    };
    let header = reader.header().clone();
    let entries = reader.flatten().map(|(_, entry)| entry).collect();
    Ok(Some(Doubled {
        header,
        entries,
        twice: BTreeSet::new(),
    }))
}

/// Removes a receipt, after what it names but media.
async fn remove(store: &dyn Store, key: &str, header: &ReceiptHeader) -> Result<u64, RepairError> {
    let files = [&header.metadata, &header.catalog].into_iter().flatten();
    let mut removed = 0;
    for file in files.map(|file| file.key.as_str()).chain([key]) {
        store.delete(file).await?;
        removed += 1;
    }
    Ok(removed)
}
