//! Names: ids on a page that come without one are looked up, a hundred at a time.
//!
//! They are looked up before the page is handed over, so the page is requested again after that.
//! Ids that were looked up before are remembered as digests: names stay out of a split's state.

use std::collections::{BTreeMap, BTreeSet};

use recording_source_sdk::{
    Named, Request, RequestError, RequestResult, SourceError, Step, Update,
};
use serde::{Deserialize, Serialize};

use crate::{
    api::{self, directory},
    metadata::{ConversationRow, fnv},
    options::{self, Options},
};

/// The most ids that are remembered; beyond these, some are looked up again.
const REMEMBERED: usize = 4000;
/// The most ids that are looked up before a page is requested again: they are part of the state.
const AT_ONCE: usize = 1000;
/// The most times that one page is put off.
const ROUNDS: u32 = 4;

/// The ids of the parties and divisions of rows that come without a name and are to be looked up, by their
/// kind.
fn unnamed<'a>(
    rows: impl Iterator<Item = &'a ConversationRow>,
    wanted: impl Fn(&str) -> bool,
) -> BTreeMap<directory::DirectoryKind, BTreeSet<&'a str>> {
    let mut ids = BTreeMap::<directory::DirectoryKind, BTreeSet<&str>>::new();
    for row in rows {
        let conversation = &row.conversation;
        for (kind, parties) in [
            (directory::DirectoryKind::Users, &conversation.agents),
            (directory::DirectoryKind::Queues, &conversation.queues),
            (
                directory::DirectoryKind::WrapUpCodes,
                &conversation.wrap_up_codes,
            ),
        ] {
            let found = parties.iter().filter(|party| party.name.is_none());
            let found = found.map(|party| party.id.as_str());
            ids.entry(kind).or_default().extend(found);
        }
        let divisions = conversation.divisions.iter().map(String::as_str);
        let kind = directory::DirectoryKind::Divisions;
        ids.entry(kind).or_default().extend(divisions);
    }
    for ids in ids.values_mut() {
        ids.retain(|id| api::id(Some((*id).to_owned())).is_some() && wanted(id));
    }
    ids
}

/// The number of requests that the names of a page take where none is known: the look-ups, and the page once
/// more.
pub(crate) fn requests<'a>(rows: impl Iterator<Item = &'a ConversationRow>) -> u64 {
    let ids = unnamed(rows, |_| true);
    let lookups = ids
        .values()
        .map(|ids| ids.len().div_ceil(directory::IDS) as u64);
    match lookups.sum::<u64>() {
        0 => 0,
        lookups => lookups + 1,
    }
}

/// The state of the names of a search.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Names {
    /// Digests of ids that have been looked up.
    known: BTreeSet<u64>,
    /// The pending look-ups.
    lookups: Vec<(directory::DirectoryKind, Vec<String>)>,
    /// The number of times that the current page has been put off.
    rounds: u32,
    /// Kinds that the client may not look up.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    forbidden: BTreeSet<directory::DirectoryKind>,
}

impl Names {
    /// Returns true if the next answer is one to a look-up.
    pub(crate) fn is_asking(&self) -> bool {
        !self.lookups.is_empty()
    }

    /// The next look-up.
    pub(crate) fn ask(&self, options: &Options) -> Option<Request> {
        let (kind, ids) = self.lookups.last()?;
        Some(directory::names(options, *kind, ids))
    }

    /// Plans the look-ups that a page needs. Returns true if there are any: then the page must wait.
    pub(crate) fn needed<'a>(
        &mut self,
        options: &Options,
        rows: impl Iterator<Item = &'a ConversationRow>,
    ) -> bool {
        if options.names == options::Names::No || self.rounds >= ROUNDS {
            self.rounds = 0;
            return false;
        }
        let mut wanted = unnamed(rows, |id| !self.known.contains(&fnv(id)));
        wanted.retain(|kind, _| !self.forbidden.contains(kind));
        let mut room = AT_ONCE;
        for (kind, ids) in wanted {
            let ids = ids.into_iter().take(room).map(str::to_owned);
            let ids: Vec<String> = ids.collect();
            room -= ids.len();
            let groups = ids.chunks(directory::IDS);
            self.lookups
                .extend(groups.map(|group| (kind, group.to_vec())));
        }
        self.rounds = if self.is_asking() { self.rounds + 1 } else { 0 };
        self.is_asking()
    }

    /// Processes the answer to a look-up: the names in it are reported in `step`.
    pub(crate) fn answered(
        &mut self,
        options: &Options,
        answer: RequestResult,
        step: &mut Step,
    ) -> Result<(), SourceError> {
        let Some((kind, ids)) = self.lookups.pop() else {
            return Ok(());
        };
        if let Err(RequestError::TooLarge(limit)) = answer {
            step.warn(format!(
                "names of {kind:?} are unavailable: the answer has more than {limit} bytes"
            ));
            self.remember(&ids);
            return Ok(());
        }
        match api::success(answer)? {
            Ok(response) => {
                let named = directory::named(&response)?.into_iter();
                let named = named.filter(|(id, _)| ids.contains(id));
                step.updates
                    .extend(named.map(|(id, name)| Update::Name(Named { id, name })));
            }
            // Some of the vendor's ids no longer stand for anything.
            Err(refusal) if refusal.is_the_vendors() && matches!(refusal.status, 400 | 404) => {
                step.warn(format!(
                    "names of {kind:?} are unavailable: status {}",
                    refusal.status
                ));
            }
            Err(refusal) if refusal.status == 403 && options.names == options::Names::Allowed => {
                self.lookups.retain(|(other, _)| *other != kind);
                self.forbidden.insert(kind);
                let way_out = match directory::permission(kind) {
                    "" => String::new(),
                    needed => format!("add {needed} to a role of the OAuth client, or "),
                };
                step.warn(format!(
                    "names of {kind:?} are left out: {}; {way_out}set `names: false`",
                    refusal.message
                ));
            }
            Err(refusal) => return Err(refusal.into()),
        }
        self.remember(&ids);
        Ok(())
    }

    fn remember(&mut self, ids: &[String]) {
        self.known.extend(ids.iter().map(|id| fnv(id)));
        while self.known.len() > REMEMBERED {
            self.known.pop_first();
        }
    }
}
