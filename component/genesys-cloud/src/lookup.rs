//! Names in filters: queues and divisions that the options name are looked up before a search begins, and
//! the splits of the search carry their ids.
//!
//! A name is requested by itself, which the vendor answers with one entity at most in the usual case. Only
//! for an error the list is paged through, so that it can propose what was meant.

use std::collections::BTreeMap;

use recording_source_sdk::{
    Event, Find, Finding, Next, RequestResult, SourceError, Split, SplitKind, State, Step,
    TimeRange, Timestamp, Verdict,
    options::{nearest, wrong},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    api::{self, directory},
    estimate, find,
    options::{Options, is_id},
};

/// The most pages of a list that are looked through for what was meant.
const PAGES: u32 = 20;
/// The most names that an error lists.
const LISTED: usize = 8;
/// The field of a state that has the ids of names.
const FIELD: &str = "resolved";

/// The ids of names, by the option and the name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Resolved(BTreeMap<String, BTreeMap<String, String>>);

impl Resolved {
    fn get(&self, option: &str, name: &str) -> Option<&String> {
        self.0.get(option)?.get(name)
    }

    /// Puts ids in the place of names.
    fn apply(&self, options: &mut Options) {
        for (option, entries) in options.filters_by_name_mut() {
            for entry in entries {
                if let Some(id) = self.get(option, entry) {
                    entry.clone_from(id);
                }
            }
        }
    }

    /// Puts the ids that a state carries in the place of the names in the options.
    pub(crate) fn read(state: &State, options: &mut Options) -> Option<Self> {
        options.names_in_filters().next()?;
        let mut state: Value = serde_json::from_slice(&state.data).ok()?;
        let resolved: Resolved = serde_json::from_value(state.get_mut(FIELD)?.take()).ok()?;
        resolved.apply(options);
        Some(resolved)
    }

    /// Has all states that come of a step carry the ids.
    pub(crate) fn carry(&self, step: &mut Step) {
        let next = match &mut step.next {
            Next::Send(send) => &mut send.state,
            Next::Wait(wait) => &mut wait.state,
            Next::Done(state) => state,
        };
        self.mark(next);
        for split in &mut step.splits {
            self.mark(&mut split.state);
        }
    }

    fn mark(&self, state: &mut State) {
        let Ok(mut value) = serde_json::from_slice::<Value>(&state.data) else {
            return;
        };
        value[FIELD] = serde_json::json!(self);
        state.data = value.to_string().into_bytes();
    }
}

/// The work that begins once the names are known.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Then {
    Find {
        name: String,
        from: Timestamp,
        until: Timestamp,
    },
    Estimate {
        from: Timestamp,
        until: Timestamp,
    },
    Check,
}

/// The state of the look-ups.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Lookup {
    then: Then,
    found: Resolved,
    /// The list, if nothing has the name that is looked up.
    listing: Option<Listing>,
}

/// The known part of a list.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Listing {
    page: u32,
    /// The name most like the one that was given.
    near: Option<String>,
    /// The first names of the list.
    listed: Vec<String>,
}

/// The initial splits of a search: the look-ups of names first, if there are any.
pub(crate) fn begin_find(
    options: &Options,
    wanted: Find,
    now: Timestamp,
) -> Result<Vec<Split>, SourceError> {
    let splits = find::begin(options, &wanted, now)?;
    if options.names_in_filters().next().is_none() {
        return Ok(splits);
    }
    let id = format!("{}/names", wanted.name);
    let TimeRange { from, until } = wanted.range;
    let name = wanted.name;
    Ok(vec![begin(id, Then::Find { name, from, until })])
}

/// The initial splits of an estimate.
pub(crate) fn begin_estimate(
    options: &Options,
    range: TimeRange,
    now: Timestamp,
) -> Result<Vec<Split>, SourceError> {
    let splits = estimate::begin(options, range, now)?;
    if options.names_in_filters().next().is_none() {
        return Ok(splits);
    }
    let TimeRange { from, until } = range;
    let then = Then::Estimate { from, until };
    Ok(vec![begin("estimate/names".to_owned(), then)])
}

/// The look-ups of a check.
pub(crate) fn begin_check(options: &Options) -> Option<Split> {
    options.names_in_filters().next()?;
    Some(begin("check/names".to_owned(), Then::Check))
}

fn begin(id: String, then: Then) -> Split {
    let lookup = Lookup {
        then,
        found: Resolved::default(),
        listing: None,
    };
    lookup.into_split(id)
}

impl Lookup {
    /// The name that is looked up now, and its option.
    fn pending<'a>(&self, options: &'a Options) -> Option<(&'static str, &'a str)> {
        let mut names = options.names_in_filters();
        names.find(|(option, name)| self.found.get(option, name).is_none())
    }

    pub(crate) fn step(
        mut self,
        options: &Options,
        event: Event,
        now: Timestamp,
    ) -> Result<Step, SourceError> {
        let pending = self.pending(options);
        if let (Event::Response(answer), Some((option, name))) = (event, pending)
            && let Err(error) = self.answered(option, name, answer)
        {
            return match (&self.then, error) {
                (Then::Check, SourceError::Options(error)) => {
                    let finding = Finding::new(option, Verdict::Bad, error.message);
                    Ok(Step::found(vec![finding], self.done()))
                }
                (_, error) => Err(error),
            };
        }
        match self.pending(options) {
            Some((option, name)) => {
                let kind = kind(option);
                let request = match &self.listing {
                    Some(listing) => directory::page(options, kind, listing.page),
                    None => directory::called(options, kind, name),
                };
                Ok(Step::then(self.send(request)))
            }
            None => self.begun(options, now),
        }
    }

    /// Begins what the names were needed for.
    fn begun(self, options: &Options, now: Timestamp) -> Result<Step, SourceError> {
        let mut options = options.clone();
        self.found.apply(&mut options);
        let splits = match self.then.clone() {
            Then::Find { name, from, until } => {
                let range = TimeRange { from, until };
                find::begin(&options, &Find { name, range }, now)?
            }
            Then::Estimate { from, until } => {
                estimate::begin(&options, TimeRange { from, until }, now)?
            }
            Then::Check => {
                let found = self.found.0.iter().map(|(option, ids)| {
                    let each = ids.iter().map(|(name, id)| format!("{name} is {id}"));
                    let text = each.collect::<Vec<_>>().join(", ");
                    Finding::good(option, text)
                });
                return Ok(Step::found(found.collect(), self.done()));
            }
        };
        let mut step = Step::then(self.done());
        step.splits = splits;
        self.found.carry(&mut step);
        Ok(step)
    }

    fn answered(
        &mut self,
        option: &'static str,
        name: &str,
        answer: RequestResult,
    ) -> Result<(), SourceError> {
        let response = match api::success(answer)? {
            Ok(response) => response,
            Err(refusal) if refusal.status == 403 => {
                let needed = directory::permission(kind(option));
                let message = format!(
                    "the name `{name}` cannot be looked up: {}; add {needed} to a role of the OAuth client, or give ids",
                    refusal.message
                );
                return Err(wrong(option, &message));
            }
            Err(refusal) => return Err(refusal.into()),
        };
        let entities = directory::named(&response)?;
        let Some(listing) = &mut self.listing else {
            let called = entities.into_iter().filter(|(_, found)| found == name);
            let ids: Vec<String> = called.map(|(id, _)| id).collect();
            match ids.as_slice() {
                [] => {
                    self.listing = Some(Listing {
                        page: 1,
                        ..Listing::default()
                    });
                }
                [id] => {
                    let names = self.found.0.entry(option.to_owned()).or_default();
                    names.insert(name.to_owned(), id.clone());
                }
                ids => {
                    let shown = &ids[..ids.len().min(LISTED)];
                    let message = format!(
                        "{} are called `{name}`; give the id of the one that is meant: {}",
                        ids.len(),
                        shown.join(", ")
                    );
                    return Err(wrong(option, &message));
                }
            }
            return Ok(());
        };
        let full = entities.len() == directory::IDS;
        listing.add(name, entities);
        match full && listing.page <= PAGES {
            true => Ok(()),
            false => Err(wrong(option, &listing.unknown(name))),
        }
    }
}

impl Listing {
    /// Looks through a page.
    fn add(&mut self, wanted: &str, entities: Vec<(String, String)>) {
        let names = entities.into_iter().map(|(_, name)| name);
        let mut by_lower: BTreeMap<String, String> = BTreeMap::new();
        for name in self.near.take().into_iter().chain(names) {
            if self.listed.len() < LISTED {
                self.listed.push(name.clone());
            }
            by_lower.insert(name.to_lowercase().replace('-', "_"), name);
        }
        let lower: Vec<&str> = by_lower.keys().map(String::as_str).collect();
        self.near = nearest(wanted, &lower).and_then(|near| by_lower.get(near).cloned());
        self.page += 1;
    }

    /// The error for a name that nothing has.
    fn unknown(&self, name: &str) -> String {
        match (&self.near, self.listed.as_slice()) {
            (Some(near), _) => {
                format!("nothing is called `{name}`; did you mean `{near}`?")
            }
            (None, []) => format!(
                "nothing is called `{name}`, and the client sees none at all: its role may lack their division"
            ),
            (None, listed) => format!(
                "nothing is called `{name}`; there are {}{}",
                listed.join(", "),
                if listed.len() == LISTED {
                    " and more"
                } else {
                    ""
                }
            ),
        }
    }
}

/// The property that an option selects by.
fn kind(option: &str) -> directory::DirectoryKind {
    match option {
        "divisions" => directory::DirectoryKind::Divisions,
        _ => directory::DirectoryKind::Queues,
    }
}

/// Refuses what can be neither an id nor a name.
pub(crate) fn check_name(option: &str, entry: &str) -> Result<(), SourceError> {
    let empty = entry.trim().is_empty();
    if !is_id(entry) && (empty || entry.contains('*')) {
        return Err(wrong(
            option,
            &format!("`{entry}` is neither an id nor a name: give all of a name, without `*`"),
        ));
    }
    Ok(())
}
