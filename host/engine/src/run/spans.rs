//! Spans of the work, for whoever traces a run: all that is done for one fetch, or one search, is one trace.
//! Where nobody does, they cost nothing.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use tracing::{Span, info_span};

/// The spans of the work that is not done, by its name.
#[derive(Debug, Default)]
pub(crate) struct WorkSpans(Mutex<HashMap<String, Work>>);

#[derive(Debug)]
struct Work {
    span: Span,
    /// Its splits that have begun and are not done.
    splits: HashSet<String>,
}

impl WorkSpans {
    /// The span of the work that a split is part of, which begins with its first split.
    pub(super) fn of(&self, split: &str, kind: &str) -> Span {
        let name = work(split);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let work = all.entry(name.to_owned()).or_insert_with(|| Work {
            span: info_span!(parent: None, "work", "otel.name" = kind, work = name),
            splits: HashSet::new(),
        });
        if !work.splits.contains(split) {
            work.splits.insert(split.to_owned());
        }
        work.span.clone()
    }

    /// The span of an artifact that a split handed over: from its link to what became of it.
    pub(super) fn artifact(&self, split: &str, key: &str) -> Span {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let parent = all.get(work(split)).map(|work| &work.span);
        let parent = parent.and_then(Span::id);
        info_span!(parent: parent, "artifact", artifact = key)
    }

    /// Notes that a split is done; the span ends with the last one, and with what it is still the parent of.
    pub(super) fn done(&self, split: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = work(split);
        if let Some(work) = all.get_mut(name) {
            work.splits.remove(split);
            if work.splits.is_empty() {
                all.remove(name);
            }
        }
    }
}

/// The name of the work that a split is part of: ids of splits begin with it.
fn work(split: &str) -> &str {
    split.split('/').next().unwrap_or(split)
}
