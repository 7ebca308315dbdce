//! The log of a run: a line for each event that matters enough, as text or as JSON.

use std::{
    io::Write,
    sync::Mutex,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use recording_host_model::{Event, Level, Subscriber, one_line, steers};
use serde_json::Value;

/// The shortest pause that is logged without `--verbose`: longer than the program's own pauses (ms).
const LONG_PAUSE: u64 = 60_000;
/// The pause between two lines of progress.
const EVERY: Duration = Duration::from_secs(10);

/// The form of a log's lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `TIME LEVEL SOURCE: what happened`, for people.
    #[default]
    Text,
    /// One JSON object a line: `time`, `level`, `source`, `event` and the event's own fields.
    Json,
}

/// Writes the events of one source that matter enough.
pub struct Log<W> {
    source: String,
    format: Format,
    least: Level,
    out: Mutex<Out<W>>,
}

struct Out<W> {
    writer: W,
    /// When progress was written last, and the line without its time.
    progress: Option<(Instant, String)>,
}

impl<W: Write + Send> Log<W> {
    /// The log of `source` to `writer`, of events that matter at least as much as `least`.
    pub fn new(source: &str, format: Format, least: Level, writer: W) -> Self {
        Log {
            source: source.to_owned(),
            format,
            least,
            out: Mutex::new(Out {
                writer,
                progress: None,
            }),
        }
    }

    fn line(&self, event: &Event, level: Level, now: Timestamp) -> String {
        let level = word(level);
        match self.format {
            Format::Text => one_line(&format!(
                "{now:.0} {level:<5} {}: {}",
                self.source,
                text(event)
            )),
            Format::Json => {
                let mut line = serde_json::to_value(event).unwrap_or_default();
                if let Value::Object(fields) = &mut line {
                    fields.insert("time".to_owned(), format!("{now:.3}").into());
                    fields.insert("level".to_owned(), level.into());
                    fields.insert("source".to_owned(), self.source.clone().into());
                }
                harmless(&line.to_string())
            }
        }
    }
}

impl<W: Write + Send> Subscriber for Log<W> {
    fn on_event(&self, event: &Event) {
        let level = level(event);
        if level < self.least {
            return;
        }
        let Ok(mut out) = self.out.lock() else {
            return;
        };
        if let Event::Progress(_) | Event::Examined { .. } = event {
            let progress = text(event);
            // A look at many things that is over soon needs no line.
            if matches!(event, Event::Examined { .. }) && out.progress.is_none() {
                out.progress = Some((Instant::now(), progress));
                return;
            }
            let unchanged =
                |(at, line): &(Instant, String)| at.elapsed() < EVERY || *line == progress;
            if out.progress.as_ref().is_some_and(unchanged) {
                return;
            }
            out.progress = Some((Instant::now(), progress));
        }
        let line = self.line(event, level, Timestamp::now());
        // A log that nobody reads any more ends no run.
        // In one piece: others write to the same place.
        let line = format!("{line}\n");
        let written = out.writer.write_all(line.as_bytes());
        let _ = written.and_then(|()| out.writer.flush());
    }
}

/// How much an event matters.
fn level(event: &Event) -> Level {
    match event {
        Event::Note { level, .. } => *level,
        Event::Warning { .. } | Event::SinkUnavailable { .. } => Level::Warn,
        Event::Progress(_) | Event::Examined { .. } => Level::Info,
        Event::SinkAvailable { .. } | Event::SegmentFiled { .. } => Level::Info,
        Event::RecordingsLost { .. } | Event::Throttled { .. } | Event::Waiting { .. } => {
            Level::Info
        }
        Event::RequestRetried { millis, .. } | Event::DownloadRetried { millis, .. }
            if *millis >= LONG_PAUSE =>
        {
            Level::Info
        }
        _ => Level::Debug,
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
    }
}

/// An event in words.
fn text(event: &Event) -> String {
    match event {
        Event::Note { kind, text, .. } => format!("{kind}: {text}"),
        Event::Warning { text } => text.clone(),
        Event::Progress(progress) => {
            let filed: u64 = progress.filed.values().sum();
            let counted = progress.counted.map_or_else(String::new, |counted| {
                format!(" of {}", counted.max(progress.conversations))
            });
            format!(
                "{} conversations{counted} found, {} fetched, {} stored, {filed} filed",
                progress.conversations, progress.fetched, progress.stored
            )
        }
        Event::Examined {
            subject,
            done,
            total,
        } => match total {
            Some(total) => format!("{done} of {total} {subject}"),
            None => format!("{done} {subject}"),
        },
        Event::SinkUnavailable { sink } => format!("sink {sink} is unavailable"),
        Event::SinkAvailable { sink, backlog } => {
            format!("sink {sink} is available again; {backlog} artifacts are missing")
        }
        Event::SegmentFiled {
            sink,
            day,
            number,
            conversations,
        } => format!("filed segment {number} of {day} in {sink}: {conversations} conversations"),
        Event::RecordingsLost { code, count } => {
            format!("{count} recordings are unavailable: {code}")
        }
        Event::ArtifactLost { code } => format!("an artifact is unavailable: {code}"),
        Event::LossesFiled { codes } => {
            let codes = codes.iter().map(|(code, count)| format!("{count} {code}"));
            format!("unavailable: {}", codes.collect::<Vec<_>>().join(", "))
        }
        Event::Waiting { until } => format!(
            "nothing to do until {}, when conversations that ended recently are requested once more; it may be stopped, the next run resumes",
            instant(*until)
        ),
        Event::DownloadRetried { attempts, millis } => {
            format!(
                "a download is tried again in {:.1} s, after {attempts} attempts",
                seconds(*millis)
            )
        }
        Event::RequestRetried {
            kind,
            attempts,
            millis,
        } => format!(
            "a request of `{kind}` is sent again in {:.1} s, after {attempts} attempts",
            seconds(*millis)
        ),
        Event::Throttled { millis } => {
            format!("the source asks for a pause of {:.1} s", seconds(*millis))
        }
        other => serde_json::to_value(other).map_or_else(|_| String::new(), |value| fields(&value)),
    }
}

/// An event's fields as `key=value`, its name first.
fn fields(event: &Value) -> String {
    let mut text = event["event"].as_str().unwrap_or_default().to_owned();
    for (key, value) in event.as_object().into_iter().flatten() {
        match value {
            _ if key == "event" => {}
            Value::String(value) => text.push_str(&format!(" {key}={value}")),
            value => text.push_str(&format!(" {key}={value}")),
        }
    }
    text
}

/// JSON in which characters that steer a terminal are written as escapes: serde leaves some as they are.
fn harmless(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    for c in json.chars() {
        match steers(c) {
            true => line.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => line.push(c),
        }
    }
    line
}

/// An instant in milliseconds since 1970, to the second.
fn instant(millis: u64) -> String {
    let instant = i64::try_from(millis).ok();
    let instant = instant.and_then(|millis| Timestamp::from_millisecond(millis).ok());
    instant.map_or_else(|| "later".to_owned(), |instant| format!("{instant:.0}"))
}

fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use recording_host_model::Progress;

    fn written(format: Format, least: Level, events: &[Event]) -> Vec<String> {
        let mut lines = Vec::new();
        let log = Log::new("calls", format, least, &mut lines);
        for event in events {
            log.on_event(event);
        }
        drop(log);
        let text = String::from_utf8(lines).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn events() -> Vec<Event> {
        vec![
            Event::Warning {
                text: "look\n\x1b[31mhere\u{202e}\u{9b}".to_owned(),
            },
            Event::Request {
                kind: "find".to_owned(),
                method: "POST",
                status: Some(200),
                millis: 12,
            },
            Event::Progress(Progress::default()),
            Event::Progress(Progress::default()),
            Event::SinkUnavailable {
                sink: "lake".to_owned(),
            },
        ]
    }

    #[test]
    fn a_line_of_json_has_time_level_source_and_the_fields_of_the_event() {
        let lines = written(Format::Json, Level::Debug, &events());
        assert_eq!(lines.len(), 4, "progress that is the same is written once");
        assert!(!lines[0].contains(steers), "{lines:?}");
        let lines: Vec<Value> = lines
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines[0]["text"], "look\n\x1b[31mhere\u{202e}\u{9b}");
        for line in &lines {
            assert_eq!(line["source"], "calls");
            let time = line["time"].as_str().unwrap();
            time.parse::<Timestamp>().unwrap();
        }
        let request = &lines[1];
        assert_eq!(request["event"], "request");
        assert_eq!(request["level"], "debug");
        assert_eq!(request["status"], 200);
        assert_eq!(lines[2]["conversations"], 0);
    }

    #[test]
    fn a_line_of_text_is_one_line_and_holds_no_control_character() {
        let lines = written(Format::Text, Level::Warn, &events());
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(!lines[0].contains(steers), "{lines:?}");
        assert!(
            lines[1].ends_with("warn  calls: sink lake is unavailable"),
            "{lines:?}"
        );
        let all = written(Format::Text, Level::Debug, &events());
        let request = "debug calls: request kind=find method=POST millis=12 status=200";
        assert!(all[1].ends_with(request), "{all:?}");
    }
}
