//! Copies the objects of a conversation from one sink to another, compared with their digests on the way.

use sha2::{Digest, Sha256};

use super::{as_object, same_form};
use crate::{
    receipt::{ReceiptEntry, ReceiptObject},
    transfer::SinkBinding,
};
use recording_host_metadata::restore::Restored;
use recording_host_model::{Object, hex, layout::KeyFacts};
use recording_host_sink::{Body, PutOptions, PutResult, SinkError, Store};

/// How many parts of a recording are looked for when the key of an object is read.
const PARTS: u32 = 1000;

/// A failure of the sink with an index, or of the donor.
pub(crate) type Failure = (Option<usize>, SinkError);

/// Copies all objects of a conversation; none if that cannot be done: the donor has them in another
/// form, or not as its receipt says.
pub(super) async fn copy(
    donor: &SinkBinding,
    (sink_index, binding): (usize, &SinkBinding),
    about: &KeyFacts,
    entry: &ReceiptEntry,
    restored: &Restored,
) -> Result<Option<Vec<Object>>, Failure> {
    if !binding.route.content.media {
        return Ok(Some(Vec::new()));
    }
    let objects = entry.objects.iter().map(|object| (object, false));
    let objects: Vec<(&ReceiptObject, bool)> = objects
        .chain(entry.aside.iter().map(|object| (object, true)))
        .collect();
    let Some(store) = donor
        .sink
        .store()
        .filter(|_| objects.is_empty() || same_form(donor, binding))
    else {
        return Ok(None);
    };
    let mut copied = Vec::new();
    for (reported, aside) in objects {
        let id = &entry.conversation_id;
        let Some(key) = key_in(donor, binding, about, id, reported, aside) else {
            return Ok(None);
        };
        let Some(stored) = object(store, reported, (sink_index, binding), &key).await? else {
            return Ok(None);
        };
        let mut object = as_object(id, reported, aside, restored);
        object.key = key;
        object.etag = stored.etag;
        if let Some(sealed) = stored.encrypted {
            object.key = sealed.key;
            object.stored = Some((sealed.size, sealed.sha256));
        }
        copied.push(object);
    }
    Ok(Some(copied))
}

/// The key that an object of the donor's has in another sink; none if it does not follow from the donor's
/// key.
fn key_in(
    donor: &SinkBinding,
    binding: &SinkBinding,
    about: &KeyFacts,
    conversation: &str,
    reported: &ReceiptObject,
    aside: bool,
) -> Option<String> {
    let fixed = aside
        || reported.member.is_some()
        || reported
            .key
            .starts_with(recording_host_model::layout::BUNDLES);
    if fixed || donor.layout == binding.layout {
        return Some(reported.key.clone());
    }
    let stem = |of: &SinkBinding, part| {
        of.layout
            .stem(about, conversation, &reported.recording, part)
    };
    // The stem is followed by an extension, or by the name of a file of an archive. Parts are numbered
    // behind the stem, so that the longest one counts.
    let part = (0..PARTS).rev().find(|part| {
        let rest = reported.key.strip_prefix(&stem(donor, *part));
        rest.is_some_and(|rest| rest.starts_with(['.', '/', '_']))
    })?;
    let rest = reported.key.strip_prefix(&stem(donor, part))?;
    let to = stem(binding, part);
    match rest.strip_prefix('.') {
        Some(extension) if !extension.contains(['.', '/']) => {
            let extension = donor.layout.extension_of_type(extension);
            Some(binding.layout.whole(&to, extension))
        }
        _ => Some(binding.layout.entry(&to, &rest[1..])),
    }
}

/// Copies an object; none if the donor does not have it as its receipt says.
///
/// # Errors
/// The sinks' errors.
pub(crate) async fn object(
    store: &dyn Store,
    reported: &ReceiptObject,
    (sink_index, binding): (usize, &SinkBinding),
    key: &str,
) -> Result<Option<PutResult>, Failure> {
    let Some(mut from) = store
        .get(&reported.key)
        .await
        .map_err(|error| (None, error))?
    else {
        return Ok(None);
    };
    let (feed, body) = Body::channel();
    let info = PutOptions {
        content_type: reported.content_type.clone(),
        size: Some(reported.size),
        // What comes is what a receipt proves of this very key: whatever else is there is wrong.
        replace: true,
        plaintext: false,
    };
    let feeding = async {
        let mut digest = Sha256::new();
        let mut size = 0;
        while let Ok(Some(data)) = from.next().await {
            digest.update(&data);
            size += data.len() as u64;
            if size > reported.size {
                return Fed::Wrong;
            }
            if feed.send(data).await.is_err() {
                return Fed::Stopped;
            }
        }
        if size != reported.size || hex(&digest.finalize()) != reported.sha256 {
            return Fed::Wrong;
        }
        feed.end().await;
        Fed::Right
    };
    let (fed, stored) = tokio::join!(feeding, binding.sink.put(key, info, body));
    match (fed, stored) {
        (Fed::Right, Ok(stored)) => Ok(Some(stored)),
        // The put was interrupted, because what came was wrong.
        (Fed::Wrong, _) => Ok(None),
        (Fed::Right | Fed::Stopped, Err(error)) => Err((Some(sink_index), error)),
        // A sink that does not read to the end has not stored it.
        (Fed::Stopped, Ok(_)) => Ok(None),
    }
}

/// The result of passing an object on to a sink.
enum Fed {
    /// It is what the receipt says.
    Right,
    /// It is something else, or cannot be read.
    Wrong,
    /// The sink stopped reading.
    Stopped,
}
