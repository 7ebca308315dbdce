//! Files settled conversations: their rows, and the receipt that proves them.
//!
//! Keys are derived from the export and the segment, so that filing a segment
//! again after a crash changes nothing. The receipt comes last: what it names is
//! there. Rows and receipts are written while they are made, in memory that does
//! not grow with the segment. A receipt is never encrypted, so that an archive can
//! be proven without the secret that decrypts it.

#[cfg(feature = "parquet")]
mod catalog;
mod key;
mod put;
mod replaced;
mod sidecar;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    io::{self, Write},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    metadata::{Format, Writer},
    queue::{Object, Outcome, Segment, Settled},
    sink::{Sealed, SinkError, Stored},
    transfer::Output,
};

pub(crate) use key::{by_day, segment_of, sibling};
use key::{name, receipt_key};
use put::put;
pub use replaced::remove;

/// The first line of a receipt.
#[derive(Debug, Serialize)]
struct Head {
    receipt: u32,
    export: String,
    segment: i64,
    day: String,
    conversations: usize,
    /// The segments of the same day whose receipts and rows are void from now on.
    #[serde(skip_serializing_if = "<[i64]>::is_empty")]
    replaces: Vec<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Proof>,
    #[serde(skip_serializing_if = "Option::is_none")]
    catalog: Option<Proof>,
    /// The sink that has the objects of which the rows tell, if it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    media_in: Option<String>,
    /// How what the receipt names is encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption: Option<&'static str>,
}

/// What proves an object.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Proof {
    key: String,
    size: u64,
    sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
}

impl Proof {
    /// What proves an object of this length and sha256, or what the sink has made of it.
    fn of(key: String, size: u64, sha256: String, stored: Stored) -> Self {
        let etag = stored.etag;
        match stored.sealed {
            None => Proof {
                key,
                size,
                sha256,
                etag,
            },
            Some(Sealed { key, size, sha256 }) => Proof {
                key,
                size,
                sha256,
                etag,
            },
        }
    }
}

/// One line of a receipt.
#[derive(Debug, Serialize)]
struct Line<'a> {
    conversation_id: &'a str,
    #[serde(flatten)]
    outcome: Cow<'a, Outcome>,
    objects: Vec<Cow<'a, Object>>,
    attempt: u32,
    /// How much there was of it at the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    extent: Option<u64>,
    /// The files of metadata beside its objects.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sidecars: Vec<&'a Proof>,
    /// The sinks that take the conversation, if not all do.
    #[serde(skip_serializing_if = "Option::is_none")]
    sinks: Option<Vec<&'a str>>,
}

impl<'a> Line<'a> {
    /// What is proven of a conversation in a sink. Where objects are encrypted, it is about what is
    /// stored, and says nothing but ids, codes, lengths and digests: a receipt can be read by
    /// whoever keeps the storage.
    fn of(
        settled: &'a Settled,
        sink: &str,
        encrypted: bool,
        sidecars: &'a BTreeMap<String, Proof>,
    ) -> Self {
        let mut outcome = Cow::Borrowed(&settled.outcome);
        let objects = settled.objects_in(sink);
        let sidecars = objects
            .iter()
            .filter_map(|object| sidecars.get(&object.key))
            .collect();
        let objects = objects.iter().map(|object| {
            let mut object = Cow::Borrowed(object);
            if encrypted {
                let named = object.to_mut();
                named.member = None;
                named.drop_message();
                if let Some((size, sha256)) = named.stored.take() {
                    (named.size, named.sha256) = (size, sha256);
                }
            }
            object
        });
        let objects = objects.collect();
        if encrypted && !outcome.losses().is_empty() {
            outcome.to_mut().drop_messages();
        }
        Line {
            conversation_id: &settled.id,
            outcome,
            objects,
            attempt: settled.attempt,
            extent: settled.extent,
            sidecars,
            sinks: None,
        }
    }
}

/// Puts a segment's rows, its part of the catalogue and the files beside its objects where there are
/// such, and then its receipt into a sink, as far as it takes them; `outputs` are all sinks of the
/// export.
///
/// # Errors
/// What the sink says; the segment can be put again.
pub async fn file(
    export: &str,
    segment: &Arc<Segment>,
    output: &Output,
    outputs: &[Arc<Output>],
) -> Result<(), SinkError> {
    let segment = &segment.in_sink(&output.name, |settled| output.route.takes(settled));
    if segment.conversations.is_empty() {
        return Ok(());
    }
    let content = output.route.content;
    // The rows of a sink without media tell of the objects in another one.
    let media_in = match content.media {
        true => None,
        false => outputs.iter().find(|other| other.route.content.media),
    };
    let told = media_in.map_or(&output.name, |other| &other.name);
    let settings = output.metadata;
    let name = name(export, &segment.day, segment.number);
    let key = format!("metadata/{name}.{}", settings.extension());
    let (rows, sink) = (Arc::clone(segment), told.clone());
    let metadata = match content.metadata {
        false => None,
        true => {
            let rows = put(output, key, settings.content_type(), false, move |into| {
                let mut writer = Writer::new(settings, into)?;
                for settled in &rows.conversations {
                    writer.write(settled, &sink)?;
                }
                writer.finish().map(drop)
            });
            Some(rows.await?)
        }
    };
    let catalog = match settings.format() {
        Format::Jsonl => None,
        #[cfg(feature = "parquet")]
        Format::Parquet if !content.metadata => None,
        #[cfg(feature = "parquet")]
        Format::Parquet => {
            let key = format!("catalog/{name}.parquet");
            let (export, rows) = (export.to_owned(), Arc::clone(segment));
            let sink = output.name.clone();
            let catalog = put(output, key, settings.content_type(), false, move |into| {
                catalog::write(&export, &rows, &sink, settings.compression(), into)
            });
            Some(catalog.await?)
        }
        #[cfg(not(feature = "parquet"))]
        Format::Parquet => None,
    };
    let sidecars = match content.metadata {
        true => sidecar::put(export, segment, output).await?,
        false => BTreeMap::new(),
    };
    let head = Head {
        receipt: 1,
        export: export.to_owned(),
        segment: segment.number,
        day: segment.day.clone(),
        conversations: segment.conversations.len(),
        replaces: segment.replaces.clone(),
        metadata,
        catalog,
        media_in: media_in.map(|other| other.name.clone()),
        encryption: output.sink.encrypts().then_some("age"),
    };
    let (segment, sink) = (Arc::clone(segment), output.name.clone());
    let encrypted = output.sink.encrypts();
    let outputs = outputs.to_vec();
    let key = receipt_key(&name);
    put(
        output,
        key,
        "application/x-ndjson",
        true,
        move |mut into| {
            line(&mut into, &head)?;
            for settled in &segment.conversations {
                let take = outputs.iter().filter(|other| other.route.takes(settled));
                let take: Vec<&str> = take.map(|other| other.name.as_str()).collect();
                let proof = Line {
                    sinks: (take.len() < outputs.len()).then_some(take),
                    ..Line::of(settled, &sink, encrypted, &sidecars)
                };
                line(&mut into, &proof)?;
            }
            Ok(())
        },
    )
    .await
    .map(drop)
}

fn line(into: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *into, value)?;
    into.write_all(b"\n")
}
