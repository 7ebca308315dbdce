//! Takes personal values out of what a source reports, before any of it is written down.
//!
//! All that comes in passes the intake before it is committed, so that neither the queue's file nor any sink
//! ever holds a plain value of a field that is named here. Media are not looked into.

mod intake;
mod pseudonym;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use secrecy::{ExposeSecret, SecretString};

pub(crate) use intake::Intake;
use pseudonym::Pseudonyms;
use recording_host_model::{IndexColumn, IndexMetadata, Object, Party};

/// The fields that can be named, as the columns of rows are.
const KNOWN: &str = "ani, dnis, agents, agents.id, agents.name, queues, queues.id, queues.name, \
wrap_up_codes, wrap_up_codes.id, wrap_up_codes.name, tags, divisions, attributes.NAME, \
attributes.* and reason";

/// Fields that are whole.
const SINGLE: [&str; 5] = ["ani", "dnis", "tags", "divisions", "reason"];
/// Fields that have an id and a name.
const PARTIES: [&str; 3] = ["agents", "queues", "wrap_up_codes"];
/// Attributes that are ids of agents, set apart by commas or as a list in JSON; the sidecars of
/// recordings contain them, too.
const AGENT_IDS: [&str; 2] = ["recording.agent_ids", "userIds"];
/// All attributes that are not named themselves.
const ANY_ATTRIBUTE: &str = "attributes.*";

/// The shortest key, in characters.
const SHORTEST: usize = 32;
/// How many different characters a key has at least.
const DIFFERENT: usize = 8;

/// The treatment of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Treatment {
    Pseudonymise,
    Drop,
}

/// An error in a choice of fields.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{at}: {reason}")]
pub struct PrivacyError {
    /// The key of the configuration, below `privacy`.
    pub at: &'static str,
    /// The cause, and what is accepted.
    pub reason: String,
}

/// The fields that are replaced or left out, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrivacyFields {
    /// Fields whose values are replaced by pseudonyms.
    pub pseudonymise: Vec<String>,
    /// Fields that are left out.
    pub drop: Vec<String>,
}

/// Which fields are replaced by pseudonyms, and which are left out. The default leaves all as it is.
#[derive(Clone, Debug, Default)]
pub struct Privacy {
    treatments: Arc<BTreeMap<String, Treatment>>,
    pseudonyms: Option<Pseudonyms>,
}

impl Privacy {
    /// Treats these fields so; the key makes the pseudonyms.
    ///
    /// # Errors
    /// Names the key of the configuration, and what is accepted.
    pub fn new(fields: &PrivacyFields, key: Option<SecretString>) -> Result<Self, PrivacyError> {
        let mut treatments = BTreeMap::new();
        for (at, names, treatment) in [
            (
                "pseudonymise",
                &fields.pseudonymise,
                Treatment::Pseudonymise,
            ),
            ("drop", &fields.drop, Treatment::Drop),
        ] {
            for name in names {
                let name = known(name).ok_or_else(|| PrivacyError {
                    at,
                    reason: format!("`{name}` is not known; use {KNOWN}"),
                })?;
                if (name, treatment) == ("reason", Treatment::Pseudonymise) {
                    let reason = "`reason` is a sentence; it can only be dropped".to_owned();
                    return Err(PrivacyError { at, reason });
                }
                if treatments.insert(name.to_owned(), treatment).is_some() {
                    let reason = format!("`{name}` is named twice; name it once");
                    return Err(PrivacyError { at, reason });
                }
            }
        }
        let pseudonyms = match key {
            Some(key) => {
                strong(&key)?;
                Some(Pseudonyms::new(key))
            }
            None if fields.pseudonymise.is_empty() => None,
            None => {
                return Err(PrivacyError {
                    at: "key",
                    reason: "missing; pseudonyms are made with it".to_owned(),
                });
            }
        };
        Ok(Privacy {
            treatments: Arc::new(treatments),
            pseudonyms,
        })
    }

    /// Returns true if anything is replaced or left out.
    #[must_use]
    #[doc(hidden)]
    pub fn is_active(&self) -> bool {
        !self.treatments.is_empty()
    }

    /// Returns true if any part of a field is replaced or left out.
    #[must_use]
    #[doc(hidden)]
    pub fn hides(&self, field: &str) -> bool {
        let parts = [
            field.to_owned(),
            format!("{field}.id"),
            format!("{field}.name"),
        ];
        parts.iter().any(|part| self.treatment(part).is_some())
    }

    /// Returns true if any part of what has an id and a name is replaced or left out: agents, queues, wrap-up
    /// codes, divisions.
    #[must_use]
    #[doc(hidden)]
    pub fn hides_named(&self) -> bool {
        PARTIES.iter().any(|field| self.hides(field)) || self.hides("divisions")
    }

    /// Returns true if the ids of agents, queues or wrap-up codes are replaced or left out, and their names
    /// are not.
    fn hides_ids_alone(&self, field: &str) -> bool {
        let hides = |part: &str| self.treatment(&format!("{field}.{part}")).is_some();
        hides("id") && !hides("name")
    }

    /// Tells one choice of fields and key from another, without telling the key; empty if nothing
    /// is replaced or left out.
    #[must_use]
    #[doc(hidden)]
    pub fn fingerprint(&self) -> String {
        if !self.is_active() {
            return String::new();
        }
        // It is part of names that were given long ago: no type's name may come into it.
        let each = self.treatments.iter().map(|(field, treatment)| {
            let word = match treatment {
                Treatment::Pseudonymise => "Pseudonymise",
                Treatment::Drop => "Drop",
            };
            format!("{field:?}: {word}")
        });
        let fields = format!("{{{}}}", each.collect::<Vec<_>>().join(", "));
        match &self.pseudonyms {
            Some(pseudonyms) => pseudonyms.of("fingerprint", &fields),
            None => fields,
        }
    }

    /// Takes the personal values out of attributes, of a conversation or of a recording.
    fn attributes(&self, attributes: &mut BTreeMap<String, String>) {
        attributes.retain(|name, value| {
            let kept = self.attribute(name, std::mem::take(value));
            kept.map(|kept| *value = kept).is_some()
        });
    }

    /// An attribute's value after its treatment; none if it is left out.
    fn attribute(&self, name: &str, value: String) -> Option<String> {
        let field = format!("attributes.{name}");
        match self.treatment(&field) {
            None if AGENT_IDS.contains(&name) => self.agent_ids(value),
            _ => self.value(&field, value),
        }
    }

    /// Takes the personal values out of what the index of an archive says.
    fn index_metadata(&self, reported: &mut Arc<IndexMetadata>) {
        if !self.is_active() {
            return;
        }
        let reported = Arc::make_mut(reported);
        reported.known.retain_mut(|(meaning, name, value)| {
            let field = match meaning {
                IndexColumn::Ani => "ani",
                IndexColumn::Dnis => "dnis",
                IndexColumn::AgentName => "agents.name",
                IndexColumn::Tag => "tags",
            };
            // Where its column has another value, it is no attribute either.
            if self.treatment(&format!("attributes.{name}")).is_some() {
                name.clear();
            }
            let kept = self.value(field, std::mem::take(value));
            kept.map(|kept| *value = kept).is_some()
        });
        self.attributes(&mut reported.others);
    }

    /// Takes the personal values out of what is known of an object.
    #[doc(hidden)]
    pub fn object(&self, object: &mut Object) {
        if let Some(reported) = &mut object.index_metadata {
            self.index_metadata(reported);
        }
        if self.treatment("reason").is_some() {
            object.drop_message();
        }
    }

    /// Takes out a sentence that may be about persons.
    #[doc(hidden)]
    pub fn message(&self, message: &mut String) {
        if self.treatment("reason").is_some() {
            message.clear();
        }
    }

    fn treatment(&self, field: &str) -> Option<Treatment> {
        let general = || {
            let (group, _) = field.split_once('.')?;
            match group {
                "attributes" => self.treatments.get(ANY_ATTRIBUTE),
                group => self.treatments.get(group),
            }
        };
        self.treatments.get(field).or_else(general).copied()
    }

    /// A field's value after its treatment; none if it is left out.
    fn value(&self, field: &str, value: String) -> Option<String> {
        match self.treatment(field) {
            None => Some(value),
            Some(Treatment::Drop) => None,
            Some(Treatment::Pseudonymise) => {
                let pseudonyms = self.pseudonyms.as_ref()?;
                Some(pseudonyms.of(field, &value))
            }
        }
    }

    /// Ids of agents in one text, treated as those in `agents` are.
    fn agent_ids(&self, text: String) -> Option<String> {
        if self.treatment("agents.id").is_none() {
            return Some(text);
        }
        let ids = text.split([',', '[', ']', '"', ' ']);
        let ids = ids.filter(|id| !id.is_empty()).map(str::to_owned);
        let ids: Vec<String> = ids.filter_map(|id| self.value("agents.id", id)).collect();
        (!ids.is_empty()).then(|| ids.join(","))
    }

    fn optional(&self, field: &str, value: &mut Option<String>) {
        *value = value.take().and_then(|value| self.value(field, value));
    }

    fn list(&self, field: &str, list: &mut Vec<String>) {
        let values = std::mem::take(list).into_iter();
        *list = values
            .filter_map(|value| self.value(field, value))
            .collect();
    }

    /// Ids and names of parties; a party without either is left out.
    fn parties(&self, field: &str, list: &mut Vec<Party>) {
        let (of_id, of_name) = (format!("{field}.id"), format!("{field}.name"));
        for Party { id, name } in list.iter_mut() {
            *id = self.value(&of_id, std::mem::take(id)).unwrap_or_default();
            self.optional(&of_name, name);
        }
        list.retain(|party| !(party.id.is_empty() && party.name.is_none()));
    }
}

/// The name of a field as it is kept, if there is such a field.
fn known(name: &str) -> Option<&str> {
    let party = |group: &str| PARTIES.contains(&group);
    match name.split_once('.') {
        None if name == "attributes" => Some(ANY_ATTRIBUTE),
        None => (SINGLE.contains(&name) || party(name)).then_some(name),
        Some(("attributes", attribute)) => (!attribute.is_empty()).then_some(name),
        Some((group, "id" | "name")) => party(group).then_some(name),
        Some(_) => None,
    }
}

/// Refuses keys that could be guessed.
fn strong(key: &SecretString) -> Result<(), PrivacyError> {
    let key = key.expose_secret();
    let different: BTreeSet<char> = key.chars().collect();
    if key.chars().count() >= SHORTEST && different.len() >= DIFFERENT {
        return Ok(());
    }
    Err(PrivacyError {
        at: "key",
        reason: format!(
            "it could be guessed; use {SHORTEST} random characters or more, such as those of `openssl rand -base64 32`"
        ),
    })
}

#[cfg(test)]
mod tests;
