//! The answers of a vendor, as a source reads them: each step of a run natively, without a host.
//!
//! An input is two bytes and lines. The bytes choose where the run begins, at one of the states in which a
//! split can be or at the beginning, and the options. Each line is an answer: the digits of its status, a
//! date if its server has a clock, and the body. Where the lines end, no server is reached any more.

use recording_source_sdk::{
    Find, Purpose, Request, RequestError, RequestResult, Response, Source, Split, State,
    TestDriver, TimeRange,
};
use serde_json::Value;

use crate::{
    mutate::{self, Rng},
    spoil::{SpoilRng, spoil},
};

const DAY: u64 = 86_400_000;
/// 2026-01-05T00:00:00Z
const FROM: u64 = 1_767_571_200_000;
/// Long enough for jobs.
const DAYS: u64 = 40;
/// Answers of a seed, at most.
const ANSWERS: usize = 12;
/// Requests after the last answer, at most.
const UNANSWERED: usize = 1000;
/// Starts of a run without a state.
const STARTS: usize = 3;

/// A source's vendor.
pub(super) struct Vendor {
    /// The options to choose from.
    pub(super) options: &'static [&'static str],
    /// The states to choose from, one a line.
    pub(super) states: &'static str,
    /// Sound answers: a part of the URL of the requests, and the line that answers them.
    pub(super) answers: &'static [(&'static str, &'static str)],
}

impl Vendor {
    /// A run that begins as two bytes say.
    fn start<S: Source>(&self, at: u8, options: u8) -> TestDriver {
        let options = self.options[usize::from(options) % self.options.len()];
        let range = TimeRange {
            from: FROM,
            until: FROM + DAYS * DAY,
        };
        let at = usize::from(at) % (STARTS + self.states.lines().count());
        let purpose = match at {
            1 => Purpose::Estimate(range),
            2 => Purpose::Check,
            _ => Purpose::Find(Find {
                name: "find".to_owned(),
                range,
            }),
        };
        let now = FROM + 2 * DAYS * DAY;
        let mut drive = TestDriver::start::<S>(options, purpose, now).unwrap();
        if let Some(number) = at.checked_sub(STARTS) {
            let split = Split {
                id: "fuzz".to_owned(),
                kind: "fuzz".to_owned(),
                state: State {
                    version: 1,
                    data: self.states.lines().nth(number).unwrap().as_bytes().to_vec(),
                },
            };
            drive.open.clear();
            drive.open.insert((now, split.id.clone()), split);
        }
        drive
    }

    /// Runs an input.
    pub(super) fn feed<S: Source>(&self, input: &[u8]) {
        let [at, options, lines @ ..] = input else {
            return;
        };
        let mut lines = lines.split(|byte| *byte == b'\n');
        let mut unanswered = 0;
        let _ = self.start::<S>(*at, *options).run::<S>(|_, _| {
            lines.next().map_or_else(
                || {
                    unanswered += 1;
                    assert!(unanswered < UNANSWERED, "it asks without an end");
                    Err(unreachable())
                },
                answer,
            )
        });
    }

    /// An input for each beginning, with the sound answers to what is requested from there.
    pub(super) fn seeds<S: Source>(&self) -> Vec<Vec<u8>> {
        let starts = STARTS + self.states.lines().count();
        let both = (0..starts).flat_map(|at| {
            let options = 0..self.options.len();
            // A state has the options of one of them: which of them matters little there.
            let chosen = options.filter(move |number| at < STARTS || *number == at % 3);
            chosen.map(move |options| (at as u8, options as u8))
        });
        both.map(|(at, options)| self.seed::<S>(at, options))
            .collect()
    }

    fn seed<S: Source>(&self, at: u8, options: u8) -> Vec<u8> {
        let mut lines = Vec::new();
        let _ = self.start::<S>(at, options).run::<S>(|request, _| {
            if lines.len() == ANSWERS {
                return Err(unreachable());
            }
            let line = self.answered(request);
            lines.push(line);
            answer(line.as_bytes())
        });
        let mut input = vec![at, options];
        input.extend(lines.join("\n").bytes());
        input
    }

    fn answered(&self, request: &Request) -> &'static str {
        let url = &request.url;
        let found = self.answers.iter().find(|(part, _)| url.contains(part));
        found.map_or("404{}", |(_, line)| *line)
    }
}

fn unreachable() -> RequestError {
    RequestError::Unreachable("there is no answer left".to_owned())
}

/// The answer that stands in a line.
fn answer(line: &[u8]) -> RequestResult {
    let digits = line.iter().take(3).take_while(|byte| byte.is_ascii_digit());
    let (digits, rest) = line.split_at(digits.count());
    let status = match std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse().ok())
    {
        Some(0) => return Err(RequestError::TooLarge(1 << 20)),
        status => status.unwrap_or(200),
    };
    let begin = rest.iter().position(|byte| b"{[<".contains(byte));
    let (date, body) = rest.split_at(begin.unwrap_or(0));
    let mut headers = vec![("inin-ratelimit-allowed".to_owned(), "300".to_owned())];
    if !date.is_empty() {
        headers.push((
            "date".to_owned(),
            String::from_utf8_lossy(date).into_owned(),
        ));
    }
    Ok(Response {
        status,
        headers,
        body: body.to_vec(),
    })
}

/// Puts a value of any type somewhere in the JSON of a line, or damages bytes.
pub(super) fn mutate(rng: &mut Rng, input: &mut Vec<u8>) {
    let starts: Vec<usize> = (0..input.len())
        .filter(|at| b"{[".contains(&input[*at]) && !input[..*at].ends_with(b"\""))
        .filter(|at| {
            !input[..*at]
                .iter()
                .rev()
                .take_while(|byte| **byte != b'\n')
                .any(|byte| b"{[<".contains(byte))
        })
        .collect();
    let spoiled = (rng.below(3) > 0 && !starts.is_empty()).then(|| {
        let begin = starts[rng.below(starts.len())];
        let length = input[begin..].iter().position(|byte| *byte == b'\n');
        let end = length.map_or(input.len(), |length| begin + length);
        let mut value: Value = serde_json::from_slice(&input[begin..end]).ok()?;
        let full = match &value {
            Value::Array(list) => !list.is_empty(),
            Value::Object(fields) => !fields.is_empty(),
            _ => false,
        };
        full.then(|| {
            spoil(&mut value, &mut SpoilRng(rng.below(usize::MAX) as u64), &[]);
            (begin..end, value.to_string())
        })
    });
    match spoiled.flatten() {
        Some((range, text)) => drop(input.splice(range, text.into_bytes())),
        None => mutate::mutate(rng, input),
    }
}
