//! The fuel of steps of the source for Genesys Cloud, as the program embeds it.
//!
//! The program meters no fuel: the engine here is one of its own. As in the program, each call has a fresh
//! instance, whose beginning counts.

use recording_host_source::BUILTIN;
use serde_json::{Value, json};
use wasmtime::{
    Config, Engine, Store,
    component::{Component, Linker},
};

use bindings::{
    RecordingSource, RecordingSourcePre,
    recording::source::types::{
        ConversationRef, Event, Fetch, Find, Next, Purpose, Response, Split, State, Step, TimeRange,
    },
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const DAY: u64 = 86_400_000;
/// 2026-01-05T00:00:00Z
const FROM: u64 = 1_767_571_200_000;
const NOW: u64 = FROM + 30 * DAY;
const OPTIONS: &str = r#"{"region":"mypurecloud.ie","names":false}"#;
const CONVERSATIONS: u64 = 100;
/// More than any step takes.
const FULL: u64 = 1 << 40;
/// What a call may copy out, in bytes, as in the program.
const RESULT: usize = 32 << 20;

#[allow(missing_docs, unreachable_pub, clippy::all)]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit/0.2.0",
        world: "recording-source",
    });
}

/// Prints the fuel of each step: its name, a tab, and the number.
pub(super) fn print() -> Result<()> {
    let metered = Metered::new()?;
    let range = TimeRange {
        from: FROM,
        until: FROM + DAY,
    };
    let window = metered.start(&Purpose::Find(Find {
        name: "find".to_owned(),
        range,
    }))?;
    let (state, _) = metered.request(window)?;
    let (step, fuel) = metered.step(&state, &answer(&page()))?;
    assert_eq!(step.conversations.len(), CONVERSATIONS as usize);
    println!("a page of 100 conversations\t{fuel}");

    let conversations = (0..CONVERSATIONS).map(|number| ConversationRef {
        id: id(number),
        start: start(number),
        recorded: true,
    });
    let batch = metered.start(&Purpose::Fetch(Fetch {
        name: "fetch".to_owned(),
        conversations: conversations.collect(),
    }))?;
    let (state, fuel) = metered.request(batch)?;
    println!("a submission of 100 conversations\t{fuel}");

    let (step, _) = metered.step(&state, &answer(&json!({ "id": "job" })))?;
    let Next::Wait(wait) = step.next else {
        return Err("a batch that was submitted waits".into());
    };
    let (step, _) = metered.step(&wait.state, &Event::Resume)?;
    let Next::Send(poll) = step.next else {
        return Err("a batch that has waited polls its job".into());
    };
    let (step, fuel) = metered.step(&poll.state, &answer(&results()))?;
    assert_eq!(step.artifacts.len(), CONVERSATIONS as usize);
    println!("a poll with 100 results\t{fuel}");
    Ok(())
}

struct Metered {
    engine: Engine,
    pre: RecordingSourcePre<()>,
}

impl Metered {
    fn new() -> Result<Self> {
        let mut config = Config::new();
        config.consume_fuel(true).concurrency_support(false);
        let engine = Engine::new(&config)?;
        let component = Component::new(&engine, BUILTIN[0].1)?;
        let pre = Linker::new(&engine).instantiate_pre(&component)?;
        Ok(Metered {
            pre: RecordingSourcePre::new(pre)?,
            engine,
        })
    }

    /// Calls a fresh instance; returns what it took of the fuel, too.
    fn call<T>(
        &self,
        run: impl FnOnce(&RecordingSource, &mut Store<()>) -> wasmtime::Result<T>,
    ) -> Result<(T, u64)> {
        let mut store = Store::new(&self.engine, ());
        store.set_hostcall_fuel(RESULT);
        store.set_fuel(FULL)?;
        let source = self.pre.instantiate(&mut store)?;
        let returned = run(&source, &mut store)?;
        Ok((returned, FULL - store.get_fuel()?))
    }

    /// The first split of a run.
    fn start(&self, purpose: &Purpose) -> Result<Split> {
        let (started, _) = self.call(|source, store| {
            source
                .recording_source_source()
                .call_start(store, OPTIONS, purpose, NOW)
        })?;
        let splits = started.map_err(|error| format!("{error:?}"))?.splits;
        Ok(splits.into_iter().next().ok_or("nothing to do")?)
    }

    fn step(&self, state: &State, event: &Event) -> Result<(Step, u64)> {
        let (step, fuel) = self.call(|source, store| {
            source
                .recording_source_source()
                .call_step(store, OPTIONS, state, event, NOW)
        })?;
        Ok((step.map_err(|error| format!("{error:?}"))?, fuel))
    }

    /// Takes a split to its first request; returns the state in which it waits for the answer.
    fn request(&self, split: Split) -> Result<(State, u64)> {
        let (step, fuel) = self.step(&split.state, &Event::Resume)?;
        match step.next {
            Next::Send(send) => Ok((send.state, fuel)),
            next => Err(format!("it does not begin with a request: {next:?}").into()),
        }
    }
}

fn answer(body: &Value) -> Event {
    Event::Response(Ok(Response {
        status: 200,
        headers: Vec::new(),
        body: body.to_string().into_bytes(),
    }))
}

/// An id as the vendor makes them.
fn id(number: u64) -> String {
    format!("{number:08x}-5f0e-4c6b-9d1f-2a7b3c4d5e6f")
}

fn start(number: u64) -> u64 {
    FROM + number * 600_000
}

fn iso(ms: u64) -> String {
    let at = jiff::Timestamp::from_millisecond(ms as i64).expect("it is in this century");
    format!("{at:.3}")
}

/// A page of the analytics query (AnalyticsConversationWithoutAttributes) with more to come.
fn page() -> Value {
    let conversations: Vec<Value> = (0..CONVERSATIONS).map(conversation).collect();
    json!({ "conversations": conversations, "totalHits": 3 * CONVERSATIONS })
}

fn conversation(number: u64) -> Value {
    let (begin, end) = (start(number), start(number) + 300_000);
    let segment = |kind: &str, from: u64, until: u64| {
        json!({
            "segmentType": kind, "segmentStart": iso(from), "segmentEnd": iso(until),
            "queueId": id(1000 + number % 7), "disconnectType": "peer", "conference": false,
        })
    };
    let mut wrapped = segment("wrapup", end - 500, end);
    wrapped["wrapUpCode"] = json!(id(2000 + number % 11));
    wrapped["wrapUpTags"] = json!(["vip"]);
    let session = |place: u64, segments: Value| {
        json!({
            "sessionId": id(3000 + 2 * number + place), "mediaType": "voice", "direction": "inbound",
            "ani": "tel:+4930123456", "dnis": "tel:+49891234", "recording": true,
            "peerId": id(3000 + 2 * number), "provider": "Edge",
            "metrics": [
                { "name": "tTalkComplete", "value": 299_500, "emitDate": iso(end) },
                { "name": "tHandle", "value": 300_000, "emitDate": iso(end) },
            ],
            "segments": segments,
        })
    };
    json!({
        "conversationId": id(number),
        "conversationStart": iso(begin),
        "conversationEnd": iso(end),
        "originatingDirection": "inbound",
        "divisionIds": [id(4000)],
        "mediaStatsMinConversationMos": 4.5,
        "participants": [
            {
                "participantId": id(5000 + 2 * number), "participantName": "Customer", "purpose": "customer",
                "sessions": [session(0, json!([segment("interact", begin, end)]))],
            },
            {
                "participantId": id(5001 + 2 * number), "purpose": "agent", "userId": id(6000 + number % 23),
                "sessions": [session(1, json!([
                    segment("alert", begin, begin + 1000), segment("interact", begin + 1000, end - 500), wrapped,
                ]))],
            },
        ],
    })
}

/// A batch job that is done (BatchDownloadJobStatusResult).
fn results() -> Value {
    let results: Vec<Value> = (0..CONVERSATIONS)
        .map(|number| {
            let recording = id(7000 + number);
            json!({
                "conversationId": id(number), "recordingId": recording, "contentType": "audio/ogg",
                "resultUrl": format!("https://media.example/{recording}?X-Amz-Expires=3600&X-Amz-Signature={number:064x}"),
                "errorMsg": null,
            })
        })
        .collect();
    json!({
        "jobId": "job", "status": "Completed", "expectedResultCount": CONVERSATIONS,
        "resultCount": CONVERSATIONS, "results": results,
    })
}
