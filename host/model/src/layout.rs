//! The places of media in a sink: the components of their keys.
//!
//! A key begins with a prefix of its own, which nothing of a conversation can leave, and identifies its
//! conversation, recording and part, so that no two files have the same one. Rows, receipts, the
//! catalog and bundles keep their places whatever the layout is.

mod hive;
mod template;

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};
use sha2::{Digest, Sha256};

pub use hive::sidecar;
pub use template::TemplateError;
use template::{Piece, Template};

use crate::safe_file_name;
use crate::{ConversationRecord, KeyContext, hex};

/// The default keys of a sink.
const DAYS: &str = "recordings/{year}/{month}/{day}/{conversation}/{recording}{part}.{ext}";
/// The keys of [`Layout::flat`].
const FLAT: &str = "recordings/{conversation}_{recording}{part}.{ext}";
/// The keys of [`Layout::hive`] below the organization.
const HIVE: &str = "year={year}/month={month}/day={day}/hour={hour}/conversation_id={conversation}/{recording}{part}.{ext}";
/// The folders that are not for media.
const KEPT: [&str; 5] = ["metadata", "receipts", "catalog", "bundles", "aside"];
/// Where archives with recordings of many conversations lie.
pub const BUNDLES: &str = "bundles/";
/// Where files lie that are not what they claim to be.
pub(crate) const ASIDE: &str = "aside/";
/// Ids up to this length, in bytes, stand in keys as they are.
const LONGEST_ID: usize = 64;

/// How the keys of media are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    kind: LayoutKind,
    template: Template,
    /// The organization, or the template as it was given.
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LayoutKind {
    Days,
    Hive,
    Flat,
    Template,
}

/// Why media cannot lie so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The keys of Genesys begin with the organization, which nothing else contains.
    #[error(
        "the layout `hive` needs the id of the organization; write `layout: {{ type: hive, organization: ... }}`"
    )]
    NoOrganization,
    /// It is no id.
    #[error(
        "organization: `{0}` is no id of an organization: letters, digits and `-`, 64 at most, and none of metadata, receipts, catalog, bundles and aside"
    )]
    Organization(String),
    /// The template does not do.
    #[error("key: {0}")]
    Template(#[from] TemplateError),
    /// A template without a key.
    #[error(
        "the layout `template` needs a `key`, such as `calls/{{year}}/{{conversation}}/{{recording}}{{part}}.{{ext}}`"
    )]
    NoKey,
    /// Nobody knows it.
    #[error("`{0}` is not known; use days, hive, flat or template")]
    Unknown(String),
}

/// The facts about a conversation that a key may contain besides its id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFacts {
    /// When it began, ms since the epoch.
    pub start: u64,
    /// The id of the first queue that it passed. Its name may become another one, which a key must not.
    pub queue: Option<String>,
    /// `inbound` or `outbound`.
    pub direction: Option<String>,
}

impl From<&KeyContext> for KeyFacts {
    fn from(known: &KeyContext) -> Self {
        let about = known.record.as_ref().map(KeyFacts::of).unwrap_or_default();
        KeyFacts {
            start: known.start,
            ..about
        }
    }
}

impl KeyFacts {
    /// The known facts about a conversation.
    pub fn of(record: &ConversationRecord) -> Self {
        KeyFacts {
            start: record.start,
            queue: record.queues.first().map(|(id, _)| id.clone()),
            direction: record.direction.clone(),
        }
    }
}

impl Default for Layout {
    fn default() -> Self {
        Layout::fixed(LayoutKind::Days, DAYS)
    }
}

impl Layout {
    /// The keys that Genesys Cloud's own integration with S3 writes, for an organization's id.
    ///
    /// # Errors
    /// [`LayoutError::Organization`].
    pub fn hive(organization: &str) -> Result<Self, LayoutError> {
        if !is_plain(organization) || kept(organization) {
            return Err(LayoutError::Organization(organization.to_owned()));
        }
        Ok(Layout {
            text: organization.to_owned(),
            ..Layout::fixed(LayoutKind::Hive, &format!("{organization}/{HIVE}"))
        })
    }

    /// All media below one prefix, without folders.
    #[must_use]
    pub fn flat() -> Self {
        Layout::fixed(LayoutKind::Flat, FLAT)
    }

    /// Keys of one's own, such as `calls/{year}/{conversation}/{recording}{part}.{ext}`.
    ///
    /// # Errors
    /// [`TemplateError`] says what is wrong with the template.
    pub fn template(key: &str) -> Result<Self, LayoutError> {
        Ok(Layout {
            kind: LayoutKind::Template,
            template: Template::new(key)?,
            text: key.to_owned(),
        })
    }

    fn fixed(kind: LayoutKind, key: &str) -> Self {
        Layout {
            kind,
            template: Template::read(key).unwrap_or_default(),
            text: String::new(),
        }
    }

    /// The prefix of the keys of all media, up to a `/`.
    #[must_use]
    #[doc(hidden)]
    pub fn prefix(&self) -> &str {
        self.template.prefix()
    }

    /// Returns true if each file has a file of its metadata beside it.
    #[doc(hidden)]
    pub fn has_sidecars(&self) -> bool {
        self.kind == LayoutKind::Hive
    }

    /// The key of a file of a recording without its extension and the dot before it.
    #[must_use]
    #[doc(hidden)]
    pub fn stem(&self, about: &KeyFacts, conversation: &str, recording: &str, part: u32) -> String {
        use std::fmt::Write;
        let began = i64::try_from(about.start)
            .ok()
            .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
            .unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let began = jiff::tz::Offset::UTC.to_datetime(began);
        let width = if self.kind == LayoutKind::Hive { 1 } else { 2 };
        let mut stem = String::new();
        for piece in self.template.pieces() {
            let _ = match piece {
                Piece::Text(text) => stem.write_str(text),
                Piece::Year => write!(stem, "{:04}", began.year()),
                Piece::Month => write!(stem, "{:0width$}", began.month()),
                Piece::Day => write!(stem, "{:0width$}", began.day()),
                Piece::Hour => write!(stem, "{:0width$}", began.hour()),
                Piece::Queue => stem.write_str(&word(about.queue.as_deref())),
                Piece::Direction => stem.write_str(&word(about.direction.as_deref())),
                Piece::Conversation => stem.write_str(&exact(conversation)),
                Piece::Recording => stem.write_str(&exact(recording)),
                Piece::Part if part == 0 => Ok(()),
                // As the integration numbers the files of a recording of a screen.
                Piece::Part if self.kind == LayoutKind::Hive => write!(stem, "_{part}"),
                Piece::Part => write!(stem, ".{part}"),
            };
        }
        stem
    }

    /// The key of a whole file of the recording at `stem`, with an extension for its type.
    #[must_use]
    #[doc(hidden)]
    pub fn whole(&self, stem: &str, extension: &str) -> String {
        match self.kind {
            LayoutKind::Hive => format!("{stem}.{}", hive::extension(extension)),
            _ => format!("{stem}.{extension}"),
        }
    }

    /// The extension for a file's type, from that in a key of this layout.
    #[must_use]
    #[doc(hidden)]
    pub fn extension_of_type<'a>(&self, in_key: &'a str) -> &'a str {
        match self.kind {
            LayoutKind::Hive => hive::of_type(in_key),
            _ => in_key,
        }
    }

    /// The key of a file that was in the archive of the recording at `stem`; `name` is a safe_file_name one.
    #[must_use]
    #[doc(hidden)]
    pub fn entry(&self, stem: &str, name: &str) -> String {
        match (self.kind, hive::before_sidecar(name)) {
            (LayoutKind::Flat, _) => format!("{stem}_{name}"),
            // It would be taken for another file's metadata. No safe_file_name name has a `!`.
            (LayoutKind::Hive, Some(name)) => format!("{stem}/{name}_metadata!.json"),
            _ => format!("{stem}/{name}"),
        }
    }

    /// The key of an archive with recordings of many conversations.
    #[must_use]
    #[doc(hidden)]
    pub fn bundle(&self, id: &str) -> String {
        format!("{BUNDLES}{}.zip", exact(id))
    }
}

/// The key of a file that is kept although it is not the recording that it claims to be, in every
/// layout.
pub fn aside(conversation: &str, recording: &str, part: u32, extension: &str) -> String {
    let part = match part {
        0 => String::new(),
        part => format!(".{part}"),
    };
    let (conversation, recording) = (exact(conversation), exact(recording));
    format!("{ASIDE}{conversation}/{recording}{part}.{extension}")
}

/// The key of what came in the place of an archive of many recordings, one of which is of this
/// conversation. No recording's key has a `!` before its extension.
pub fn bundle_aside(conversation: &str, id: &str, extension: &str) -> String {
    format!(
        "{ASIDE}{}/{}!bundle.{extension}",
        exact(conversation),
        exact(id)
    )
}

/// The text that distinguishes one layout from another: it belongs to the identity of an export.
impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            LayoutKind::Days => f.write_str("days"),
            LayoutKind::Flat => f.write_str("flat"),
            LayoutKind::Hive => write!(f, "hive {}", self.text),
            LayoutKind::Template => write!(f, "template {}", self.text),
        }
    }
}

impl Layout {
    /// The layout as a configuration writes it; none for the default.
    #[doc(hidden)]
    pub fn identity(&self) -> Option<serde_json::Value> {
        Some(match self.kind {
            LayoutKind::Days => return None,
            LayoutKind::Flat => "flat".into(),
            LayoutKind::Hive => serde_json::json!({ "organization": self.text, "type": "hive" }),
            LayoutKind::Template => serde_json::json!({ "key": self.text, "type": "template" }),
        })
    }
}

/// Returns true if a folder is not for media, on case-insensitive file systems, too.
fn kept(folder: &str) -> bool {
    KEPT.iter().any(|kept| folder.eq_ignore_ascii_case(kept))
}

/// Returns true if a text is made of letters, digits and `-` alone, and a name on every file system.
fn is_plain(id: &str) -> bool {
    id.len() <= LONGEST_ID && id.chars().all(plain) && safe_file_name(id) == id
}

fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-'
}

/// An id as it stands in a key: as it is if it has lower-case letters, digits and `-` alone, as a UUID
/// has. Any other id becomes a readable form of its `safe_file_name`, `!` and a digest, so that no two ids
/// are the same in a key, on case-insensitive file systems, too.
fn exact(id: &str) -> String {
    if is_plain(id) && !id.contains(|c: char| c.is_ascii_uppercase()) {
        return id.to_owned();
    }
    let dash = |c: char| if plain(c) { c } else { '-' };
    let readable: String = safe_file_name(id)
        .chars()
        .map(dash)
        .take(LONGEST_ID / 2)
        .collect();
    format!("{readable}!{}", &hex(&Sha256::digest(id))[..16])
}

/// A word about a conversation as a folder's name.
fn word(reported: Option<&str>) -> String {
    let reported = reported
        .filter(|reported| !reported.is_empty())
        .unwrap_or("none");
    safe_file_name(&reported.replace(['/', '\\'], "_"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    r#type: String,
    #[serde(default)]
    organization: Option<String>,
    #[serde(default)]
    key: Option<String>,
}

impl Table {
    fn layout<E: de::Error>(self) -> Result<Layout, E> {
        let name = self.r#type.as_str();
        let stranger = |field: &str| {
            let known: &'static [&'static str] = &["type"];
            Err(E::unknown_field(field, known))
        };
        match (name, self.organization, self.key) {
            ("days" | "flat" | "hive", _, Some(_)) => stranger("key"),
            ("days" | "flat" | "template", Some(_), _) => stranger("organization"),
            ("days", ..) => Ok(Layout::default()),
            ("flat", ..) => Ok(Layout::flat()),
            ("hive", Some(id), _) => Layout::hive(&id).map_err(E::custom),
            ("hive", None, _) => Err(E::custom(LayoutError::NoOrganization)),
            ("template", _, Some(key)) => Layout::template(&key).map_err(E::custom),
            ("template", ..) => Err(E::custom(LayoutError::NoKey)),
            (other, ..) => Err(E::custom(LayoutError::Unknown(other.to_owned()))),
        }
    }
}

/// How a configuration may write a layout: what its JSON Schema says.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its shape is of use")]
enum Written {
    /// The name alone.
    Named(Name),
    /// A table.
    Table(Spelled),
}

/// A layout that needs nothing more.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its shape is of use")]
enum Name {
    /// A folder for each day.
    Days,
    /// No folders.
    Flat,
}

/// A layout with what belongs to it.
#[derive(JsonSchema)]
#[schemars(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[expect(dead_code, reason = "only its shape is of use")]
enum Spelled {
    /// A folder for each day.
    Days {},
    /// No folders.
    Flat {},
    /// The layout of Genesys' own S3 integration.
    Hive {
        /// The id of the organization.
        #[schemars(example = &"3f2b6a10-9d6e-4a57-8f0e-000000000001")]
        organization: String,
    },
    /// Keys of one's own.
    Template {
        /// The pattern of keys; it begins with something fixed.
        #[schemars(
            example = &"calls/{year}/{month}/{day}/{conversation}/{recording}{part}.{ext}"
        )]
        key: String,
    },
}

impl JsonSchema for Layout {
    fn inline_schema() -> bool {
        Written::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        Written::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Written::json_schema(generator)
    }
}

/// A layout is its name, or a table with its name as `type`.
impl<'de> Deserialize<'de> for Layout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Named;
        impl<'de> Visitor<'de> for Named {
            type Value = Layout;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a layout, or a table with a `type`")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Layout, E> {
                let table = Table {
                    r#type: name.to_owned(),
                    organization: None,
                    key: None,
                };
                table.layout()
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Layout, A::Error> {
                Table::deserialize(MapAccessDeserializer::new(map))?.layout()
            }
        }
        deserializer.deserialize_any(Named)
    }
}

#[cfg(test)]
mod tests;
