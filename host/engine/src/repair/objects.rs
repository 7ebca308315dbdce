//! Brings objects back that are missing or have other bytes, from sinks that have them with the right
//! digest.

use std::collections::{BTreeMap, BTreeSet};

use super::{Repair, RepairError, RepairReport, Wrong};
use crate::{
    receipt::{ReceiptObject, ReceiptReader, adds_up, by_day, name, receipt_key},
    replicate::copy_object,
    verify::{Difference, SegmentId, VerifyFinding},
};
use recording_host_sink::{Store, StoreExt};

impl Repair<'_> {
    /// Copies what other sinks have; returns what none of them has.
    pub(super) async fn restore(
        &self,
        store: &dyn Store,
        findings: Vec<VerifyFinding>,
        done: &mut RepairReport,
    ) -> Result<Wrong, RepairError> {
        let mut wrong = Wrong::default();
        let mut segments = BTreeMap::<SegmentId, Vec<VerifyFinding>>::new();
        for finding in findings {
            wrong.objects.insert(finding.key.clone());
            if let Some(segment) = finding.segment.clone() {
                segments.entry(segment).or_default().push(finding);
            }
        }
        for (segment, findings) in segments {
            let keys: BTreeSet<&str> = findings.iter().map(|it| it.key.as_str()).collect();
            let reported = reported(store, &segment, |_, object| {
                keys.contains(object.key.as_str())
            })
            .await?;
            let reported: BTreeMap<String, (String, ReceiptObject)> = reported
                .into_iter()
                .map(|(id, object)| (object.key.clone(), (id, object)))
                .collect();
            let copies = self.copies(&segment.day, &reported).await?;
            for finding in findings {
                let Some((id, object)) = reported.get(&finding.key) else {
                    continue;
                };
                if self.bring_back(&copies, object).await? {
                    done.restored += 1;
                    wrong.objects.remove(&finding.key);
                    continue;
                }
                wrong.conversations.insert(id.clone());
                if finding.difference != Difference::Missing {
                    wrong.keys.insert(finding.key.clone());
                }
            }
        }
        Ok(wrong)
    }

    /// Where other sinks have objects with these digests: by digest, the sink's index and the object.
    async fn copies(
        &self,
        day: &str,
        reported: &BTreeMap<String, (String, ReceiptObject)>,
    ) -> Result<BTreeMap<String, Vec<(usize, ReceiptObject)>>, RepairError> {
        let mut copies = BTreeMap::<String, Vec<(usize, ReceiptObject)>>::new();
        // Each put of an encrypted object has other bytes: it is made anew, as a further attempt.
        if self.binding().sink.encrypts() {
            return Ok(copies);
        }
        let wanted: BTreeMap<&str, &str> = reported
            .values()
            .map(|(id, object)| (object.sha256.as_str(), id.as_str()))
            .collect();
        for (sink_index, binding) in self.bindings.iter().enumerate() {
            let donor = binding
                .sink
                .store()
                .filter(|_| sink_index != self.sink_index);
            let Some(donor) = donor.filter(|_| !binding.sink.encrypts()) else {
                continue;
            };
            let folder = format!("receipts/date={day}/");
            for key in by_day(donor, &folder).await?.into_values().flatten() {
                for (id, object) in entries(donor, &key).await? {
                    if wanted.get(object.sha256.as_str()) == Some(&id.as_str()) {
                        let of = copies.entry(object.sha256.clone()).or_default();
                        of.push((sink_index, object));
                    }
                }
            }
        }
        Ok(copies)
    }

    /// Copies an object from the first sink that has it; says whether one has.
    async fn bring_back(
        &self,
        copies: &BTreeMap<String, Vec<(usize, ReceiptObject)>>,
        object: &ReceiptObject,
    ) -> Result<bool, RepairError> {
        let binding = self.binding();
        for (sink_index, copy) in copies.get(&object.sha256).into_iter().flatten() {
            let Some(donor) = self.bindings[*sink_index].sink.store() else {
                continue;
            };
            let from = ReceiptObject {
                size: object.size,
                content_type: object.content_type.clone(),
                ..copy.clone()
            };
            let copied = copy_object(donor, &from, (self.sink_index, binding), &object.key).await;
            match copied {
                Ok(Some(_)) => return Ok(true),
                Ok(None) => {}
                Err((Some(_), error)) => return Err(error.into()),
                // Another one may have it.
                Err((None, _)) => {}
            }
        }
        Ok(false)
    }
}

/// The objects that a segment's receipt names and that are `wanted`, each with its conversation.
async fn reported(
    store: &dyn Store,
    segment: &SegmentId,
    wanted: impl Fn(&str, &ReceiptObject) -> bool,
) -> Result<Vec<(String, ReceiptObject)>, RepairError> {
    let key = receipt_key(&name(&segment.export, &segment.day, segment.number));
    let mut all = entries(store, &key).await?;
    all.retain(|(id, object)| wanted(id, object));
    Ok(all)
}

/// All objects that a receipt names, each with its conversation; none if it was changed: a line of it may
/// give one object's digest to another object's key. Its segment is filed anew, by its rows.
async fn entries(
    store: &dyn Store,
    key: &str,
) -> Result<Vec<(String, ReceiptObject)>, RepairError> {
    let Some(bytes) = store.read(key).await? else {
        return Ok(Vec::new());
    };
    let Ok(reader) = ReceiptReader::new(bytes.as_slice()) else {
        return Ok(Vec::new());
    };
    if !adds_up(&bytes) {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for (_, entry) in reader.flatten() {
        let objects = entry.objects.into_iter().chain(entry.aside);
        all.extend(objects.map(|object| (entry.conversation_id.clone(), object)));
    }
    Ok(all)
}
