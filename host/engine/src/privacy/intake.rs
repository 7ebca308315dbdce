//! Everything that a run learns passes here before any of it is committed.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use recording_host_model::{
    ArtifactResult, Conversation, Named, Party, Reported, ReportedOutcome, Step, Update,
};

use super::Privacy;

/// Takes personal values out of steps and results.
#[derive(Clone, Debug, Default)]
pub(crate) struct Intake {
    privacy: Privacy,
    /// The names of ids, in memory alone: an id does not say whether its name may be written down.
    names: Arc<Mutex<HashMap<String, String>>>,
}

impl Intake {
    pub(crate) fn new(privacy: Privacy) -> Self {
        Intake {
            privacy,
            names: Arc::default(),
        }
    }

    /// A step without personal values, as it may be written down.
    pub(crate) fn step(&self, mut step: Step) -> Step {
        if !self.privacy.is_active() {
            return step;
        }
        if self.privacy.hides_named() {
            self.name(&mut step);
        }
        for conversation in &mut step.conversations {
            self.privacy.conversation(conversation);
        }
        for update in &mut step.updates {
            if let Update::Recording(recording) = update {
                self.privacy.pairs(&mut recording.attributes);
            }
        }
        for outcome in &mut step.outcomes {
            self.outcome(outcome);
        }
        step
    }

    /// Takes the personal values out of what became of artifacts.
    pub(crate) fn results(&self, results: &mut [ArtifactResult]) {
        for result in results {
            match &mut result.result {
                Ok(contents) => {
                    for missing in contents.missing.iter_mut().chain(&mut contents.lost) {
                        self.message(&mut missing.message);
                    }
                    for (_, object) in &mut contents.objects {
                        self.privacy.object(object);
                    }
                }
                Err((_, message)) => self.message(message),
            }
        }
    }

    /// Takes out a sentence that may be about persons.
    pub(crate) fn message(&self, message: &mut String) {
        self.privacy.message(message);
    }

    /// Gives parties the names that the source has given, which are passed on to nobody else, but for those of
    /// divisions. None is put beside an id that is taken out while names of its kind are not: it would tell
    /// whose the id was.
    fn name(&self, step: &mut Step) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        step.updates.retain(|update| match update {
            Update::Name(named) => {
                names.insert(named.id.clone(), named.name.clone());
                false
            }
            _ => true,
        });
        if !self.privacy.hides("divisions") {
            let divisions = step.conversations.iter().flat_map(|one| &one.divisions);
            let divisions: BTreeSet<&String> = divisions.collect();
            let named = divisions.into_iter().filter_map(|id| {
                let name = names.get(id)?.clone();
                Some(Update::Name(Named {
                    id: id.clone(),
                    name,
                }))
            });
            step.updates.extend(named.collect::<Vec<_>>());
        }
        for conversation in &mut step.conversations {
            let Conversation {
                agents,
                queues,
                wrap_up_codes,
                ..
            } = conversation;
            let lists = [
                ("agents", agents),
                ("queues", queues),
                ("wrap_up_codes", wrap_up_codes),
            ];
            for (field, list) in lists {
                if self.privacy.hides_ids_alone(field) {
                    continue;
                }
                for Party { id, name } in list {
                    if name.is_none() {
                        *name = names.get(id).cloned();
                    }
                }
            }
        }
    }

    fn outcome(&self, outcome: &mut ReportedOutcome) {
        match &mut outcome.result {
            Reported::HandedOver(handed) => {
                for missing in &mut handed.missing {
                    self.message(&mut missing.failure.message);
                }
            }
            Reported::Failed(failure) => self.message(&mut failure.message),
            Reported::InBundle(_) | Reported::NoRecording | Reported::Skipped(_) => {}
        }
    }
}

impl Privacy {
    /// Takes the personal values out of attributes in a list.
    pub(super) fn pairs(&self, pairs: &mut Vec<(String, String)>) {
        pairs.retain_mut(|(name, value)| {
            let kept = self.attribute(name, std::mem::take(value));
            kept.map(|kept| *value = kept).is_some()
        });
    }

    /// Takes the personal values out of what is known of a conversation.
    pub(super) fn conversation(&self, conversation: &mut Conversation) {
        if !self.is_active() {
            return;
        }
        self.optional("ani", &mut conversation.ani);
        self.optional("dnis", &mut conversation.dnis);
        self.parties("agents", &mut conversation.agents);
        self.parties("queues", &mut conversation.queues);
        self.parties("wrap_up_codes", &mut conversation.wrap_up_codes);
        self.list("tags", &mut conversation.tags);
        self.list("divisions", &mut conversation.divisions);
        self.pairs(&mut conversation.attributes);
    }
}
