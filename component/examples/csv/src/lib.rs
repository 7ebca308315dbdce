//! A recording source: a list of calls in a CSV file that a web server offers.
//!
//! ```csv
//! id,start,end,agent,recording
//! c-17,2026-01-05T09:00:07Z,2026-01-05T09:04:00Z,Zoë,https://calls.example/2026/c-17.ogg
//! ```
//!
//! Each kind of work is one split, which requests the file and reads its lines.

use recording_source_sdk::{
    Artifact, ArtifactKey, AuthScheme, Conversation, Count, DataClass, Descriptor, Download, Event,
    Finding, Note, Origin, Outcome, OutcomeResult, Party, Purpose, Request, Source, SourceError,
    SplitKind, Splits, Started, State, Step, Timestamp, Update, export, json::instant, options,
    splits, time::days,
};
use serde::{Deserialize, Serialize};

/// The source.
#[derive(Debug)]
pub struct CsvCalls;

export!(CsvCalls);

/// The options, as the configuration gives them; `interval` is the host's and is not among them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The URL of the CSV file.
    url: String,
    /// Where the recordings lie, if not on the same server.
    media_origin: Option<String>,
}

const SCHEMA: &str = r#"{ "type": "object", "additionalProperties": false, "required": ["url"], "properties": {
    "url": { "type": "string", "x-identity": "account", "description": "The URL of the CSV file." },
    "media_origin": { "type": "string", "description": "Where the recordings lie, if not on the same server." } } }"#;

/// A line of the file.
#[derive(Debug, Deserialize)]
struct Call {
    id: String,
    start: String,
    end: String,
    agent: String,
    recording: String,
}

splits! {
    /// The state of a split.
    enum SplitState: version 1, options Options {
        ReadList(ReadList) = "list",
    }
}

/// Requests the file, and does with its lines what the work is about.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct ReadList {
    work: Work,
    /// True if the recordings are handed over once more, with links that work.
    again: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Work {
    Find { from: Timestamp, until: Timestamp },
    Count { from: Timestamp, until: Timestamp },
    HandOver { ids: Vec<String> },
    Check,
}

impl Source for CsvCalls {
    fn describe() -> Descriptor {
        Descriptor {
            name: "csv_calls".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            vendor: "A CSV file on a web server".to_owned(),
            options_schema: SCHEMA.to_owned(),
            auth: AuthScheme::None,
            rate_limit: None,
            data_classes: vec![DataClass::Voice, DataClass::Name],
        }
    }

    fn start(options: &str, purpose: Purpose, now: Timestamp) -> Result<Started, SourceError> {
        let options: Options = options::read(options)?;
        let origin = origin(&options.url)?;
        let media = options.media_origin.as_deref().unwrap_or(origin);
        let (name, work) = match purpose {
            Purpose::Find(find) => {
                let range = find.range.past(now)?;
                let (from, until) = (range.start, range.end);
                (find.name, Work::Find { from, until })
            }
            Purpose::Fetch(fetch) => {
                let ids = fetch.conversations.into_iter().map(|wanted| wanted.id);
                (fetch.name, Work::HandOver { ids: ids.collect() })
            }
            Purpose::Estimate(range) => {
                let range = range.past(now)?;
                let (from, until) = (range.start, range.end);
                ("estimate".to_owned(), Work::Count { from, until })
            }
            Purpose::Check => ("check".to_owned(), Work::Check),
        };
        let again = false;
        Ok(Started {
            origins: vec![Origin::api(origin), Origin::media(media)],
            splits: vec![ReadList { work, again }.into_split(name)],
            fetch_size: 1000,
            token_url: None,
        })
    }

    fn step(
        options: &str,
        state: State,
        event: Event,
        now: Timestamp,
    ) -> Result<Step, SourceError> {
        SplitState::read(&state)?.step(&options::read(options)?, event, now)
    }
}

impl ReadList {
    fn step(mut self, options: &Options, event: Event, _: Timestamp) -> Result<Step, SourceError> {
        let response = match event {
            Event::Response(response) => response?,
            Event::Resume => return Ok(Step::then(self.send(Request::get(&options.url)))),
            Event::Refresh(keys) => {
                let keys = keys.iter().filter_map(ArtifactKey::recording);
                let ids = keys.map(|key| key.conversation.clone()).collect();
                self = ReadList {
                    work: Work::HandOver { ids },
                    again: true,
                };
                return Ok(Step::then(self.send(Request::get(&options.url))));
            }
        };
        match response.status {
            200 => self.read(&response.body),
            // The host has tried it several times by now.
            status @ (429 | 500..) => Err(SourceError::Transient(format!("status {status}"))),
            status => Err(SourceError::Permanent(format!(
                "status {status} instead of the file; is `url` right?"
            ))),
        }
    }

    /// Does the work with the lines of the file. A line that cannot be read costs itself alone; what is no such
    /// file at all is not one without calls.
    fn read(&self, file: &[u8]) -> Result<Step, SourceError> {
        let mut lines = csv::Reader::from_reader(file);
        let is_list = lines.headers().is_ok_and(|names| {
            ["id", "start", "recording"]
                .iter()
                .all(|wanted| names.iter().any(|name| name == *wanted))
        });
        if !is_list {
            let reason = "the file has no columns `id`, `start` and `recording`; is `url` right?";
            return Err(SourceError::Permanent(reason.to_owned()));
        }
        let mut step = Step::then(self.done());
        let (mut calls, mut left_out) = (Vec::new(), Vec::new());
        for line in lines.deserialize::<Call>() {
            match line.map(|call| (instant(&call.start), call)) {
                Ok((Some(start), call)) => calls.push((start, call)),
                Ok((None, call)) => left_out.push(format!("{} is left out: no start", call.id)),
                Err(error) => {
                    let number = error.position().map_or(0, csv::Position::line);
                    left_out.push(format!("line {number} is left out: it cannot be read"));
                }
            }
        }
        let found = |from, until| {
            calls
                .iter()
                .filter(move |(start, _)| (from..until).contains(start))
        };
        match &self.work {
            Work::Find { from, until } => {
                let found = found(*from, *until);
                step.conversations = found.map(|(start, call)| call.found(*start)).collect();
                // Once is enough: a fetch reads the same lines.
                left_out.into_iter().for_each(|line| step.warn(line));
            }
            Work::Count { from, until } => {
                for day in days(*from..*until) {
                    let count = found(day.start, day.end).count() as u64;
                    step.updates.push(Update::Count(Count {
                        range: day.into(),
                        conversations: count,
                        recorded: count,
                        requests: 1,
                    }));
                }
                let examples = found(*from, *until).take(2);
                step.conversations = examples.map(|(start, call)| call.found(*start)).collect();
            }
            Work::HandOver { ids } => {
                for id in ids {
                    let call = calls.iter().find(|(_, call)| call.id == *id);
                    self.hand_over(id, call.map(|(_, call)| call), &mut step);
                }
            }
            Work::Check => {
                let text = format!("{} calls are listed", calls.len());
                step.updates
                    .push(Update::Finding(Finding::good("list", text)));
            }
        }
        Ok(step)
    }

    fn hand_over(&self, id: &str, call: Option<&Call>, step: &mut Step) {
        let result = match call {
            None => OutcomeResult::of(0, vec![gone()]),
            Some(call) => {
                let key = ArtifactKey::part(id, id, 0);
                let download = Download::signed(&call.recording);
                step.artifacts
                    .push(Artifact::new(key, download, Some("audio/ogg")));
                OutcomeResult::of(1, Vec::new())
            }
        };
        match self.again {
            true => step
                .notes
                .push(Note::info(format!("{id} is handed over again"))),
            false => step.outcomes.push(Outcome::new(id, result)),
        }
    }
}

impl Call {
    fn found(&self, start: Timestamp) -> Conversation {
        Conversation {
            end: instant(&self.end),
            agents: vec![Party {
                id: self.agent.clone(),
                name: Some(self.agent.clone()),
            }],
            ..Conversation::bare(&self.id, start)
        }
    }
}

fn gone() -> recording_source_sdk::Missing {
    recording_source_sdk::Missing::new(None, "gone", "it is no longer in the list", false)
}

/// The scheme, host and port of a URL.
fn origin(url: &str) -> Result<&str, SourceError> {
    let host = url.find("://").map(|at| at + 3);
    let end = host.and_then(|host| Some(host + url[host..].find('/')?));
    match end {
        Some(end) if url.starts_with("http") => Ok(&url[..end]),
        _ => Err(options::wrong(
            "url",
            "must be of the form `https://host/file.csv`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use recording_source_sdk::{Find, Response, TestDriver, TimeRange, time::DAY};

    use super::*;

    const OPTIONS: &str = r#"{ "url": "https://calls.example/calls.csv" }"#;
    // 2026-01-05T00:00:00Z
    const FROM: Timestamp = 1_767_571_200_000;

    #[test]
    fn each_call_of_the_range_is_found_and_its_recording_handed_over() {
        let range = TimeRange {
            from: FROM,
            until: FROM + DAY,
        };
        let name = "find-0".to_owned();
        let purpose = Purpose::Find(Find { name, range });
        let mut export = TestDriver::start::<CsvCalls>(OPTIONS, purpose, FROM + 7 * DAY).unwrap();
        let answer = Response {
            status: 200,
            headers: Vec::new(),
            body: include_bytes!("../answers/GET_calls.example_calls.csv").to_vec(),
        };
        export.run::<CsvCalls>(|_, _| Ok(answer.clone())).unwrap();
        let ids: Vec<&str> = export
            .outcomes
            .iter()
            .map(|of| of.conversation.as_str())
            .collect();
        assert_eq!(ids, ["c-17", "c-18"]);
        assert_eq!(export.artifacts.len(), 2);
        assert_eq!(export.conversations[0].agents[0].id, "Zoë");
        let [note] = &export.notes[..] else {
            panic!("{:?}", export.notes);
        };
        assert_eq!(note.text, "c-19 is left out: no start");
    }

    #[test]
    fn what_is_no_list_of_calls_is_not_one_without_calls() {
        for body in ["", "Please log in", "<html>\n<p>Log in</p>", "id,start\n"] {
            let range = TimeRange {
                from: FROM,
                until: FROM + DAY,
            };
            let name = "find-0".to_owned();
            let purpose = Purpose::Find(Find { name, range });
            let mut export = TestDriver::start::<CsvCalls>(OPTIONS, purpose, FROM + DAY).unwrap();
            let answer = Response {
                status: 200,
                headers: Vec::new(),
                body: body.into(),
            };
            assert!(
                export.run::<CsvCalls>(|_, _| Ok(answer.clone())).is_err(),
                "{body}"
            );
        }
    }

    #[test]
    fn a_wrong_option_is_named() {
        for (options, path) in [("{\"url\": \"calls.csv\"}", "url"), ("{\"ulr\": 1}", "ulr")] {
            let Err(SourceError::Options(error)) = CsvCalls::start(options, Purpose::Check, 0)
            else {
                panic!("{options} is taken");
            };
            assert_eq!(error.path, path);
        }
    }
}
