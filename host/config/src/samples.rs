//! Samples: conversations that a user tries a configuration on, and what is expected of each.
//!
//! A sample has the columns of a row of the metadata, so that rows of an archive are samples as they are.

use std::{collections::BTreeMap, path::Path};

use jiff::Timestamp;
use recording_host_engine::{
    preview::{PreviewInput, PreviewRecording, SinkPreview, SinkRules, preview},
    run::SourceConfig,
};
use recording_host_model::{Conversation, Direction, Error, Party, route};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{ComponentOrigin, Config, ConfigError, SinkConfig, key, parse, text};

/// The most bytes of a file of rows.
const LARGEST: u64 = 64 << 20;
/// The id of a sample that has none.
const CONVERSATION: &str = "00000000-0000-4000-8000-000000000001";
/// The id of a recording that has none.
const RECORDING: &str = "00000000-0000-4000-8000-000000000002";
/// The MIME type of a recording that has none.
const CONTENT_TYPE: &str = "audio/ogg";

type Sources = BTreeMap<String, (ComponentOrigin, SourceConfig)>;
type Sinks = BTreeMap<String, SinkConfig>;

/// A conversation that a configuration is tried on.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The name of the sample.
    pub name: String,
    /// The source that reports it.
    pub source: String,
    /// The conversation.
    pub input: PreviewInput,
    /// The expected result; nothing if it is only to be shown.
    pub expect: Option<Expectation>,
}

/// The expected result of a sample.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Expectation {
    /// The sinks that take it, and no others; an empty list for none.
    #[schemars(example = ["lake"])]
    pub sinks: Option<Vec<String>>,
    /// The keys of its recording by sink, without the prefix of the sink.
    #[schemars(example = keys_example())]
    pub keys: BTreeMap<String, Vec<String>>,
    /// Columns of its row, and their values as JSON Lines have them; null for one that has none.
    #[schemars(schema_with = "row")]
    pub row: BTreeMap<String, Value>,
    /// Fields that are left out of its row, named as in `privacy`.
    #[schemars(example = ["tags"])]
    pub removed: Vec<String>,
    /// Fields that its row has as pseudonyms, named as in `privacy`.
    #[schemars(example = ["ani", "agents.name"])]
    pub masked: Vec<String>,
}

fn keys_example() -> BTreeMap<&'static str, [&'static str; 1]> {
    BTreeMap::from([("lake", ["recordings/2026/01/05/c/r.ogg"])])
}

fn row(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "examples": [{ "direction": "inbound" }] })
}

/// A sample as it is written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSample {
    /// The name of the sample.
    #[schemars(example = &"a complaint of a VIP")]
    name: String,
    /// The source that reports it; the only one if left out.
    #[serde(default)]
    #[schemars(example = &"calls")]
    source: Option<String>,
    /// The conversation, by the columns of a row of the metadata; only `start` is needed.
    conversation: Columns,
    /// The expected result; without this it is shown.
    #[serde(default)]
    expect: Option<Expectation>,
}

/// The columns of a row that a sample can have.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Columns {
    /// The id of the conversation.
    #[schemars(example = &CONVERSATION)]
    conversation_id: Option<String>,
    /// The id of its recording.
    #[schemars(example = &RECORDING)]
    recording_id: Option<String>,
    /// True if a recording of it was begun, as it is by default; of a row of an archive, if the row has a
    /// `recording_id` or a `reason`.
    #[schemars(example = true)]
    recorded: Option<bool>,
    /// The MIME type of its recording.
    #[schemars(example = &CONTENT_TYPE)]
    content_type: Option<String>,
    /// The length of its recording.
    #[schemars(example = 12_345)]
    size_bytes: Option<u64>,
    /// The SHA-256 of its recording.
    #[schemars(example = &"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    sha256: Option<String>,
    /// Why its recording is unavailable: a code, `: ` and a message. Not used beside a `recording_id`.
    #[schemars(example = &"archived: it is archived")]
    reason: Option<String>,
    /// When it began.
    #[schemars(with = "String", example = &"2026-01-05T08:00:00Z")]
    start: Option<Timestamp>,
    /// When it ended.
    #[schemars(with = "Option<String>", example = &"2026-01-05T08:03:00Z")]
    end: Option<Timestamp>,
    /// The same as `end`.
    #[schemars(with = "Option<String>", example = &"2026-01-05T08:03:00Z")]
    ended_at: Option<Timestamp>,
    /// Who called whom first.
    #[schemars(example = &"inbound")]
    direction: Option<route::Direction>,
    /// Who called.
    #[schemars(example = &"tel:+4930123456")]
    ani: Option<String>,
    /// The number that was called.
    #[schemars(example = &"tel:+4940123456")]
    dnis: Option<String>,
    /// Who took part.
    agents: Vec<Named>,
    /// The queues that it passed.
    queues: Vec<Named>,
    /// The codes that were set.
    wrap_up_codes: Vec<Named>,
    /// Its tags.
    #[schemars(example = ["vip"])]
    tags: Vec<String>,
    /// The ids of its divisions.
    #[schemars(example = ["00000000-0000-0000-0000-000000000000"])]
    divisions: Vec<String>,
    /// Their names, in their order.
    #[schemars(example = ["Home"])]
    division_names: Vec<String>,
    /// The sorts of media that were used.
    #[schemars(example = ["voice"])]
    media_types: Vec<String>,
    /// Its attributes; those that begin with `recording.` are of its recording.
    attributes: BTreeMap<String, String>,
    /// Not used, as are all that follow: rows of an archive have them.
    #[schemars(skip)]
    object_key: serde::de::IgnoredAny,
    #[schemars(skip)]
    archive_member: serde::de::IgnoredAny,
    #[schemars(skip)]
    outcome: serde::de::IgnoredAny,
    #[schemars(skip)]
    duration_ms: serde::de::IgnoredAny,
    #[schemars(skip)]
    attempt: serde::de::IgnoredAny,
}

/// An agent, a queue or a wrap-up code.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Named {
    /// The id.
    #[schemars(example = &"00000000-0000-0000-0000-000000000000")]
    id: String,
    /// The name.
    #[serde(default)]
    #[schemars(example = &"Sales")]
    name: Option<String>,
}

/// A file of samples.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    tests: Vec<RawSample>,
}

impl Config {
    /// The samples of its own key `tests`.
    #[must_use]
    #[doc(hidden)]
    pub fn tests(&self) -> &[Sample] {
        &self.tests
    }

    /// Reads samples from a file: a table with `tests` in YAML or TOML, or, with the ending `.jsonl`, rows
    /// of an archive as JSON Lines.
    ///
    /// # Errors
    /// [`Error`] names the key, with its line and column.
    #[doc(hidden)]
    pub fn samples(&self, path: &Path) -> Result<Vec<Sample>, Error> {
        Ok(load(path, &self.sources, &self.sinks)?)
    }

    /// What a run would do with a sample in each sink that takes its source; with `privacy`, after personal
    /// values are taken out.
    ///
    /// # Errors
    /// The row of the sample cannot be written.
    #[doc(hidden)]
    pub fn preview(
        &self,
        sample: &Sample,
        privacy: bool,
    ) -> std::io::Result<BTreeMap<String, SinkPreview>> {
        let sinks = self
            .sinks
            .iter()
            .filter(|(_, sink)| sink.takes(&sample.source));
        let sinks: Vec<SinkRules> = sinks.map(|(name, sink)| sink.rules(name)).collect();
        let source = self.sources.get(&sample.source).filter(|_| privacy);
        let privacy = source.map(|(_, source)| source.privacy.clone());
        preview(&sample.input, &privacy.unwrap_or_default(), &sinks)
    }
}

/// Reads a file of samples.
fn load(path: &Path, sources: &Sources, sinks: &Sinks) -> Result<Vec<Sample>, ConfigError> {
    if path.extension().is_some_and(|ending| ending == "jsonl") {
        return rows(path, sources, sinks);
    }
    let (value, positions) = text::load(path)?;
    let read =
        parse::<RawFile>("", value).and_then(|file| checked("tests", file.tests, sources, sinks));
    read.map_err(|error| positions.locate(error))
}

/// Reads rows of an archive as samples.
fn rows(path: &Path, sources: &Sources, sinks: &Sinks) -> Result<Vec<Sample>, ConfigError> {
    let file = path.display().to_string();
    let read = |source| ConfigError::Read {
        path: file.clone(),
        source,
    };
    if std::fs::metadata(path).map_err(read)?.len() > LARGEST {
        let reason = format!("{file} is larger than {LARGEST} bytes; give a part of it");
        return Err(key("--samples", reason));
    }
    let text = std::fs::read_to_string(path).map_err(read)?;
    let mut samples = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let at = |reason: &dyn std::fmt::Display| ConfigError::Syntax {
            position: format!("{file}:{}", number + 1),
            reason: reason.to_string(),
        };
        let mut row: Map<String, Value> = serde_json::from_str(line).map_err(|error| at(&error))?;
        // In JSON Lines, a text that is absent is empty, and all else is null.
        row.retain(|_, value| !value.is_null() && *value != "");
        let recorded = row.contains_key("recording_id") || row.contains_key("reason");
        row.entry("recorded").or_insert(recorded.into());
        let raw = RawSample {
            name: format!("line {}", number + 1),
            source: None,
            conversation: parse("", row.into()).map_err(|error| at(&error))?,
            expect: None,
        };
        samples.push(sample(&file, raw, sources, sinks)?);
    }
    Ok(samples)
}

/// Checks samples, which stand at `at`.
pub(super) fn checked(
    at: &str,
    raw: Vec<RawSample>,
    sources: &Sources,
    sinks: &Sinks,
) -> Result<Vec<Sample>, ConfigError> {
    let numbered = raw.into_iter().enumerate();
    numbered
        .map(|(number, raw)| sample(&format!("{at}[{number}]"), raw, sources, sinks))
        .collect()
}

fn sample(
    at: &str,
    raw: RawSample,
    sources: &Sources,
    sinks: &Sinks,
) -> Result<Sample, ConfigError> {
    let source = match (raw.source, sources.len()) {
        (Some(named), _) if sources.contains_key(&named) => named,
        (Some(named), _) => {
            let reason = format!("there is no source `{named}`");
            return Err(key(format!("{at}.source"), reason));
        }
        (None, 1) => sources.keys().next().cloned().unwrap_or_default(),
        (None, _) => {
            let names: Vec<&str> = sources.keys().map(String::as_str).collect();
            let reason = format!("missing; there are several: {}", names.join(", "));
            return Err(key(format!("{at}.source"), reason));
        }
    };
    if let Some(expect) = &raw.expect {
        let at = format!("{at}.expect");
        expect.check(&at, &source, sinks)?;
    }
    Ok(Sample {
        name: raw.name,
        source,
        input: raw.conversation.input(at)?,
        expect: raw.expect,
    })
}

impl Expectation {
    /// Refuses what nothing could ever fail, or meet.
    fn check(&self, at: &str, source: &str, sinks: &Sinks) -> Result<(), ConfigError> {
        if *self == Expectation::default() {
            let reason = "expects nothing; leave it out to have the sample shown";
            return Err(key(at, reason));
        }
        let named = self.sinks.iter().flatten().map(|name| ("sinks", name));
        for (of, name) in named.chain(self.keys.keys().map(|name| ("keys", name))) {
            if !sinks.get(name).is_some_and(|sink| sink.takes(source)) {
                let reason = format!("no sink `{name}` takes the source `{source}`");
                return Err(key(format!("{at}.{of}"), reason));
            }
        }
        if self.row.contains_key("object_key") {
            let reason = "differs from sink to sink; use `keys`";
            return Err(key(format!("{at}.row.object_key"), reason));
        }
        Ok(())
    }
}

impl Columns {
    /// The conversation that a source would report.
    fn input(self, at: &str) -> Result<PreviewInput, ConfigError> {
        let ms = |name: &str, time: Timestamp| {
            u64::try_from(time.as_millisecond())
                .map_err(|_| key(format!("{at}.conversation.{name}"), "is before 1970"))
        };
        let Some(start) = self.start else {
            let reason = "missing; give the time at which it began, such as 2026-01-05T08:00:00Z";
            return Err(key(format!("{at}.conversation.start"), reason));
        };
        let end = self.end.or(self.ended_at);
        let recorded = self.recorded.unwrap_or(true);
        let (of_recording, attributes): (Vec<_>, Vec<_>) = self
            .attributes
            .into_iter()
            .partition(|(name, _)| name.starts_with("recording."));
        let parties = |list: Vec<Named>| {
            let parties = list.into_iter();
            parties
                .map(|Named { id, name }| Party { id, name })
                .collect()
        };
        // Of a recording that is there, the reason is about others of its conversation.
        let reason = self.reason.filter(|_| self.recording_id.is_none());
        let failure = reason.map(|reason| match reason.split_once(": ") {
            Some((code, message)) => (code.to_owned(), message.to_owned()),
            None => (reason, String::new()),
        });
        let recording = (recorded && failure.is_none()).then(|| PreviewRecording {
            id: self.recording_id.unwrap_or_else(|| RECORDING.to_owned()),
            content_type: self.content_type.unwrap_or_else(|| CONTENT_TYPE.to_owned()),
            size: self.size_bytes.unwrap_or_default(),
            sha256: self.sha256.unwrap_or_default(),
            attributes: of_recording,
        });
        let conversation = Conversation {
            id: self
                .conversation_id
                .unwrap_or_else(|| CONVERSATION.to_owned()),
            start: ms("start", start)?,
            end: end.map(|end| ms("end", end)).transpose()?,
            direction: self.direction.map(|direction| match direction {
                route::Direction::Inbound => Direction::Inbound,
                route::Direction::Outbound => Direction::Outbound,
            }),
            ani: self.ani,
            dnis: self.dnis,
            agents: parties(self.agents),
            queues: parties(self.queues),
            wrap_up_codes: parties(self.wrap_up_codes),
            tags: self.tags,
            divisions: self.divisions,
            media_types: self.media_types,
            recorded,
            revision: None,
            attributes,
        };
        Ok(PreviewInput {
            conversation,
            division_names: self.division_names,
            recording,
            failure,
        })
    }
}
