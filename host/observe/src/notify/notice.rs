//! A notice, and its body in the form that a receiver wants.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{NoticeFormat, Occasion};

/// Something that somebody is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The occasion.
    pub occasion: Occasion,
    /// Of a recovery, the occasion that is over; else the same as `occasion`.
    pub of: Occasion,
    /// The source.
    pub source: String,
    /// The event in words.
    pub text: String,
    /// The recordings that are newly unavailable, by code; of losses alone.
    pub losses: BTreeMap<String, u64>,
    /// How far behind the source is; of a lag alone.
    pub lag: Option<Duration>,
}

impl Notice {
    fn new(occasion: Occasion, source: &str, text: String) -> Self {
        Notice {
            occasion,
            of: occasion,
            source: source.to_owned(),
            text,
            losses: BTreeMap::new(),
            lag: None,
        }
    }

    pub(super) fn failure(source: &str, reason: &str) -> Self {
        Self::new(
            Occasion::Failure,
            source,
            format!("{source} fails: {reason}"),
        )
    }

    pub(super) fn lag(source: &str, lag: Duration) -> Self {
        let text = format!("{source} is {} minutes behind", lag.as_secs() / 60);
        Notice {
            lag: Some(lag),
            ..Self::new(Occasion::Lag, source, text)
        }
    }

    pub(super) fn losses(source: &str, losses: BTreeMap<String, u64>) -> Self {
        let codes = losses.iter().map(|(code, count)| format!("{count} {code}"));
        let codes = codes.collect::<Vec<_>>().join(", ");
        let text = format!("recordings of {source} are unavailable: {codes}");
        Notice {
            losses,
            ..Self::new(Occasion::Losses, source, text)
        }
    }

    pub(super) fn recovery(source: &str, of: Occasion, text: &str) -> Self {
        Notice {
            of,
            ..Self::new(Occasion::Recovery, source, format!("{source} {text}"))
        }
    }

    /// Its fields, as of `now`.
    pub(super) fn fields(&self, version: &str, now: Timestamp) -> Value {
        let mut fields = json!({
            "program": "recording-host",
            "version": version,
            "time": format!("{now:.0}"),
            "occasion": self.occasion,
            "source": self.source,
            "text": self.text,
        });
        if self.occasion == Occasion::Recovery {
            fields["of"] = json!(self.of);
        }
        if self.occasion == Occasion::Losses {
            fields["losses"] = json!(self.losses);
        }
        if let Some(lag) = self.lag {
            fields["lag_seconds"] = json!(lag.as_secs());
        }
        fields
    }

    /// The body of a webhook.
    pub(super) fn body(&self, format: NoticeFormat, version: &str, now: Timestamp) -> Value {
        let title = format!("recording-host: {}", word(self.occasion));
        match format {
            NoticeFormat::Json => self.fields(version, now),
            NoticeFormat::Slack => {
                json!({ "text": format!("*{title}*\n{}", escaped(&self.text)) })
            }
            NoticeFormat::Teams => json!({
                "type": "message",
                "attachments": [{
                    "contentType": "application/vnd.microsoft.card.adaptive",
                    "content": {
                        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                        "type": "AdaptiveCard",
                        "version": "1.4",
                        "body": [
                            { "type": "TextBlock", "weight": "bolder", "text": title },
                            { "type": "TextBlock", "wrap": true, "text": self.text },
                            { "type": "FactSet", "facts": [
                                { "title": "Source", "value": self.source },
                                { "title": "Time", "value": format!("{now:.0}") },
                            ] },
                        ],
                    },
                }],
            }),
        }
    }
}

fn word(occasion: Occasion) -> &'static str {
    match occasion {
        Occasion::Failure => "failure",
        Occasion::Losses => "losses",
        Occasion::Lag => "behind",
        Occasion::Recovery => "recovered",
    }
}

/// A text in which Slack finds no link and no mention: <https://docs.slack.dev/messaging/formatting-message-text>.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
