//! YAML, by the core schema of YAML 1.2: `no` and `on` are words, `0640` is one, too.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Number, Value};
use serde_saphyr::{
    DefaultMessageFormatter, DuplicateKeyPolicy, Error, Localizer, Location, MergeKeyPolicy,
    NonFiniteFloatPolicy, Options, Spanned,
};

use super::{DEEPEST, LARGEST, Node, Position, RawValue, SyntaxError};

/// The most values that a configuration may have, those that stand for aliases among them.
const MOST: usize = 20_000;

pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    if text.trim().is_empty() {
        return Err(SyntaxError {
            at: None,
            reason: "is empty; `recording-host generate` writes one to begin with".to_owned(),
        });
    }
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| refused(&error))
}

/// The accepted input and its size limits. Keys that stand twice are passed on, since only whoever
/// knows their path can name it.
fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEEPEST + 1,
            flow_nesting_limit: DEEPEST + 1,
            // One more than is accepted, so that the second one is reported as what it is.
            max_documents: 2,
            max_nodes: MOST,
            max_events: 4 * MOST,
            max_total_scalar_bytes: LARGEST as usize,
            max_recorded_anchor_events: MOST,
            max_recorded_anchor_bytes: LARGEST as usize,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MOST,
            max_replay_stack_depth: DEEPEST,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        non_finite_float_policy: NonFiniteFloatPolicy::Reject,
        with_snippet: false,
    }
}

/// The reason in one line, and where it is.
fn refused(error: &Error) -> SyntaxError {
    let at = error.location().map(Position::from);
    let formatter = DefaultMessageFormatter.with_localizer(&WithoutPlace);
    let mut error = error.without_snippet();
    while let Error::AliasError { error: inner, .. } = error {
        error = inner;
    }
    let reason = match error {
        Error::MultipleDocuments { .. } => {
            "a second document begins here; a configuration is one document".to_owned()
        }
        Error::MergeKeyNotAllowed { .. } => {
            "`<<` does not merge tables here; write the keys themselves".to_owned()
        }
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => format!(
            "is larger or deeper than a configuration may be: {}",
            error.render_with_formatter(&formatter)
        ),
        error => error.render_with_formatter(&formatter),
    };
    SyntaxError { at, reason }
}

impl From<Location> for Position {
    fn from(location: Location) -> Self {
        Position {
            line: location.line(),
            column: location.column(),
        }
    }
}

/// Leaves the position out of messages, which stands in front of them.
struct WithoutPlace;

impl Localizer for WithoutPlace {
    fn attach_location<'a>(&self, base: Cow<'a, str>, _: Location) -> Cow<'a, str> {
        base
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<RawValue>::deserialize(deserializer)?;
        Ok(Node {
            at: spanned.referenced.into(),
            kind: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for RawValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = RawValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table, a list, a text, a number of 64 bits, true, false or null")
    }

    fn visit_unit<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawValue, D::Error> {
        RawValue::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<RawValue, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("is not a number"))?;
        Ok(RawValue::Scalar(number.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<RawValue, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(RawValue::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<RawValue, A::Error> {
        let mut table = Vec::new();
        while let Some(name) = entries.next_key::<Spanned<String>>()? {
            table.push((name.value, name.referenced.into(), entries.next_value()?));
        }
        Ok(RawValue::Table(table))
    }
}
