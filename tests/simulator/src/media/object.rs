//! One file as S3 serves it: conditions, ranges and headers (RFC 9110, sections 8, 13 and 14).

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::{Method, Response, StatusCode, body::Frame};

use super::{CHUNK, content::Content, refusal::refusal};
use crate::{
    faults::{Chance, Fault, body::Shape},
    http::{Reply, Request, empty, set},
};

/// The most bytes by which a wrong length is wrong.
const WRONG: u64 = 4096;

/// A file and its description.
pub(super) struct Object {
    pub(super) content: Content,
    pub(super) content_type: &'static str,
    /// The tag of the true file, in quotes.
    pub(super) etag: String,
    /// When it was stored (ms since the epoch).
    pub(super) stored: u64,
}

/// Which bytes a request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    All,
    /// A half-open range.
    Part(u64, u64),
    Unsatisfiable,
}

impl Object {
    /// Answers a request whose link works, if no fault says otherwise.
    pub(super) fn send(self, request: &Request, chance: &Chance) -> Reply {
        let modified = http_date(self.stored);
        if let Some(mut answer) = self.condition(request) {
            self.describe(&mut answer, &modified);
            return answer;
        }
        let get = request.method == Method::GET;
        let whole = self.content.length();
        let range = request.header("range").filter(|_| {
            let known = request.header("if-range");
            known.is_none_or(|known| known == self.etag || known == modified)
        });
        let mut length = whole;
        let mut wanted = wanted(range, length);
        // The file lacks its end, as far as what is wanted begins before that.
        let begin = if let Wanted::Part(from, _) = wanted {
            from
        } else {
            0
        };
        if get
            && whole > begin + 1
            && let Some(mut rng) = chance.strikes(Fault::Truncated)
        {
            length = begin + 1 + rng.below(whole - begin - 1);
            wanted = self::wanted(range, length);
        }
        let (from, until) = match wanted {
            Wanted::All => (0, length),
            Wanted::Part(from, until) => (from, until),
            Wanted::Unsatisfiable => return unsatisfiable(range.unwrap_or_default(), length),
        };
        let (announced, shape) = if get {
            faulty(chance, until - from)
        } else {
            (until - from, Shape::default())
        };
        let mut answer = if get {
            body(self.content.clone(), from, until, shape)
        } else {
            empty(StatusCode::OK)
        };
        if let Wanted::Part(..) = wanted {
            *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
            let text = format!("bytes {from}-{}/{length}", until - 1);
            set(&mut answer, "content-range", &text);
        }
        set(&mut answer, "content-length", &announced.to_string());
        set(&mut answer, "content-type", self.content_type);
        self.describe(&mut answer, &modified);
        answer
    }

    fn describe(&self, answer: &mut Reply, modified: &str) {
        set(answer, "accept-ranges", "bytes");
        set(answer, "etag", &self.etag);
        set(answer, "last-modified", modified);
        set(answer, "server", "AmazonS3");
        set(answer, "x-amz-request-id", "SIMULATED0000001");
    }

    /// The answer if a condition of the request does not hold.
    fn condition(&self, request: &Request) -> Option<Reply> {
        let names = |header: &str| {
            header
                .split(',')
                .map(str::trim)
                .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.etag)
        };
        if request.header("if-match").is_some_and(|tags| !names(tags)) {
            let text = "At least one of the pre-conditions you specified did not hold";
            let more = "<Condition>If-Match</Condition>";
            let status = StatusCode::PRECONDITION_FAILED;
            return Some(refusal(status, "PreconditionFailed", text, more));
        }
        let known = request.header("if-none-match").is_some_and(names);
        known.then(|| empty(StatusCode::NOT_MODIFIED))
    }
}

/// How many bytes are announced, and how the body is sent, if faults strike.
fn faulty(chance: &Chance, length: u64) -> (u64, Shape) {
    let mut announced = length;
    let mut shape = Shape::default();
    if length == 0 {
        return (announced, shape);
    }
    if let Some(mut rng) = chance.strikes(Fault::Corrupted) {
        shape.flip = Some(rng.below(length));
    }
    if let Some(mut rng) = chance.strikes(Fault::WrongLength) {
        let (more, by) = (rng.percent(50), 1 + rng.below(WRONG));
        if more || length == 1 {
            announced = length + by;
            shape.end = Some(length);
        } else {
            announced = length - by.min(length - 1);
            shape.end = Some(announced);
        }
    }
    if let Some(mut rng) = chance.strikes(Fault::Cut) {
        shape.cut = Some(rng.below(announced.min(length)));
    }
    (announced, shape)
}

fn body(content: Content, from: u64, until: u64, shape: Shape) -> Reply {
    let frames = stream::unfold((content, from), move |(content, at)| async move {
        let end = until.min(at + CHUNK as u64);
        let mut buffer = vec![0; (end - at) as usize];
        if buffer.is_empty() {
            return None;
        }
        let read = content.read(at, &mut buffer);
        let frame = read.map(|()| Frame::data(Bytes::from(buffer)));
        Some((frame, (content, end)))
    });
    Response::new(shape.of(StreamBody::new(frames).boxed_unsync()))
}

fn unsatisfiable(range: &str, length: u64) -> Reply {
    let status = StatusCode::RANGE_NOT_SATISFIABLE;
    let more = format!(
        "<RangeRequested>{}</RangeRequested><ActualObjectSize>{length}</ActualObjectSize>",
        range.replace(['<', '&'], "")
    );
    let text = "The requested range is not satisfiable";
    let mut answer = refusal(status, "InvalidRange", text, &more);
    set(&mut answer, "content-range", &format!("bytes */{length}"));
    answer
}

/// Reads `bytes=5-9`, `bytes=5-` or `bytes=-5`; several ranges, as anything else, mean all.
fn wanted(header: Option<&str>, length: u64) -> Wanted {
    let parsed = || {
        let (from, to) = header?.strip_prefix("bytes=")?.split_once('-')?;
        Some(match (from, to) {
            ("", last) => (length.saturating_sub(last.parse().ok()?), length),
            (from, "") => (from.parse().ok()?, u64::MAX),
            (from, to) => {
                let (from, to): (u64, u64) = (from.parse().ok()?, to.parse().ok()?);
                if from > to {
                    return None;
                }
                (from, to.saturating_add(1))
            }
        })
    };
    match parsed() {
        None => Wanted::All,
        Some((from, until)) if from < until.min(length) => Wanted::Part(from, until.min(length)),
        Some(_) => Wanted::Unsatisfiable,
    }
}

/// An instant as HTTP writes it, in whole seconds.
fn http_date(ms: u64) -> String {
    let instant = jiff::Timestamp::from_millisecond(ms as i64).unwrap_or_default();
    jiff::fmt::rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&instant)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_has_them() {
        for (header, means) in [
            ("bytes=5-9", Wanted::Part(5, 10)),
            ("bytes=5-", Wanted::Part(5, 100)),
            ("bytes=-5", Wanted::Part(95, 100)),
            ("bytes=-500", Wanted::Part(0, 100)),
            ("bytes=99-1000", Wanted::Part(99, 100)),
            ("bytes=100-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=9-5", Wanted::All),
            ("bytes=0-1,5-9", Wanted::All),
            ("bytes=a-b", Wanted::All),
            ("lines=1-2", Wanted::All),
        ] {
            assert_eq!(wanted(Some(header), 100), means, "{header}");
        }
        assert_eq!(wanted(None, 100), Wanted::All);
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Unsatisfiable);
    }
}
