//! The canonical JSON of a step's result: one text for one value, whichever program writes it.
//!
//! docs/other-hosts.md defines it. Names are those of the WIT; each type is taken apart completely, so that
//! a new field of the interface does not compile before it is written, too.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::bindings::recording::source::types as wit;

/// Returns the canonical text of what a `step` returned; a call that trapped has no value.
pub(super) fn text(result: Option<&Result<wit::Step, wit::SourceError>>) -> String {
    match result {
        Some(Ok(step)) => case("ok", step),
        Some(Err(error)) => case("err", error),
        None => Value::from("trap"),
    }
    .to_string()
}

/// A value as canonical JSON.
trait Canonical {
    fn canonical(&self) -> Value;
}

/// A case of a variant with its payload.
fn case(name: &str, payload: &impl Canonical) -> Value {
    object([(kebab(name), payload.canonical())])
}

/// An object whose keys are in ascending order.
fn object<const N: usize>(fields: [(String, Value); N]) -> Value {
    Value::Object(BTreeMap::from(fields).into_iter().collect())
}

/// A name of Rust as the WIT has it: `wrap_up_codes` and `HandedOver` are `wrap-up-codes` and `handed-over`.
fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for (at, c) in name.char_indices() {
        match c {
            '_' => kebab.push('-'),
            'A'..='Z' => {
                if at > 0 {
                    kebab.push('-');
                }
                kebab.push(c.to_ascii_lowercase());
            }
            _ => kebab.push(c),
        }
    }
    kebab
}

macro_rules! plain {
    ($($type:ty),*) => { $(
        impl Canonical for $type {
            fn canonical(&self) -> Value {
                Value::from(*self)
            }
        }
    )* };
}

macro_rules! record {
    ($type:ident { $($field:ident),* }) => {
        impl Canonical for wit::$type {
            fn canonical(&self) -> Value {
                let wit::$type { $($field),* } = self;
                object([$((kebab(stringify!($field)), $field.canonical())),*])
            }
        }
    };
}

macro_rules! variant {
    ($type:ident { $($plain:ident),*; $($with:ident),* }) => {
        impl Canonical for wit::$type {
            fn canonical(&self) -> Value {
                match self {
                    $(wit::$type::$plain => Value::from(kebab(stringify!($plain))),)*
                    $(wit::$type::$with(payload) => case(stringify!($with), payload),)*
                }
            }
        }
    };
}

plain!(bool, u8, u32, u64);
record!(Step {
    conversations,
    artifacts,
    outcomes,
    splits,
    updates,
    notes,
    next
});
record!(Conversation {
    id,
    start,
    end,
    direction,
    ani,
    dnis,
    agents,
    queues,
    wrap_up_codes,
    tags,
    divisions,
    media_types,
    recorded,
    revision,
    attributes
});
record!(Party { id, name });
variant!(Direction { Inbound, Outbound; });
record!(Artifact {
    key,
    download,
    content_type,
    container,
    size,
    sha256
});
variant!(ArtifactKey { ; Recording, Bundle });
record!(RecordingKey {
    conversation,
    recording,
    part
});
record!(Download {
    url,
    headers,
    authenticated,
    expires
});
variant!(Container { Single, Zip; ZipBundle });
record!(BundleIndex {
    conversation_field,
    recording_field,
    file_field,
    content_type_field,
    error_field,
    retryable_errors,
    columns
});
record!(IndexField { name, column });
variant!(IndexColumn { Ani, Dnis, AgentName, Tag; });
record!(Outcome {
    conversation,
    result
});
variant!(OutcomeResult { NoRecording; HandedOver, InBundle, Skipped, Failed, Unreadable });
record!(HandedOver { artifacts, missing });
record!(Missing { recording, failure });
record!(Failure {
    code,
    message,
    retryable
});
record!(Split { id, kind, state });
record!(State { version, data });
variant!(Update { ; Name, Recording, Count, Finding });
record!(Named { id, name });
record!(RecordingAttributes {
    conversation,
    recording,
    attributes
});
record!(Count {
    range,
    conversations,
    recorded,
    requests
});
record!(TimeRange { from, until });
record!(Finding {
    subject,
    verdict,
    text
});
variant!(Verdict { Good, Doubtful, Bad; });
record!(Note { level, text });
variant!(Level { Debug, Info, Warn; });
variant!(Next { ; Send, Wait, Done });
record!(Send { request, state });
record!(Wait { until, state, job });
record!(Job {
    kind,
    since,
    done,
    total,
    latest
});
record!(Request {
    method,
    url,
    headers,
    body,
    repeatable
});
variant!(Method { Get, Post, Put, Delete; });
variant!(SourceError { ; Options, Auth, Forbidden, Gone, Transient, Permanent, IncompatibleState });
record!(OptionError { path, message });

impl Canonical for String {
    fn canonical(&self) -> Value {
        Value::from(self.as_str())
    }
}

impl<T: Canonical> Canonical for Vec<T> {
    fn canonical(&self) -> Value {
        self.iter().map(Canonical::canonical).collect()
    }
}

impl<T: Canonical> Canonical for Option<T> {
    fn canonical(&self) -> Value {
        self.as_ref().map_or(Value::Null, Canonical::canonical)
    }
}

impl<T: Canonical, U: Canonical> Canonical for (T, U) {
    fn canonical(&self) -> Value {
        Value::Array(vec![self.0.canonical(), self.1.canonical()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_one_text_by_the_names_of_the_interface() {
        let state = wit::State {
            version: 2,
            data: vec![0, 255],
        };
        let step = wit::Step {
            conversations: Vec::new(),
            artifacts: Vec::new(),
            outcomes: vec![wit::Outcome {
                conversation: "c\n\"é\u{1}".to_owned(),
                result: wit::OutcomeResult::NoRecording,
            }],
            splits: Vec::new(),
            updates: Vec::new(),
            notes: Vec::new(),
            next: wit::Next::Wait(wit::Wait {
                until: u64::MAX,
                state,
                job: None,
            }),
        };
        let expected = concat!(
            r#"{"ok":{"artifacts":[],"conversations":[],"#,
            r#""next":{"wait":{"job":null,"state":{"data":[0,255],"version":2},"until":18446744073709551615}},"#,
            r#""notes":[],"outcomes":[{"conversation":"c\n\"é\u0001","result":"no-recording"}],"#,
            r#""splits":[],"updates":[]}}"#
        );
        assert_eq!(text(Some(&Ok(step))), expected);
        let error = wit::SourceError::IncompatibleState(7);
        assert_eq!(
            text(Some(&Err(error))),
            r#"{"err":{"incompatible-state":7}}"#
        );
        assert_eq!(text(None), r#""trap""#);
    }
}
