//! Steps a component through a `find` and a `fetch` of what it found, against answers in a folder: without a
//! network, a queue or waiting. Prints what it yields, and what breaks the rules of the interface.

use std::{
    collections::{HashSet, VecDeque},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail};
use recording_host_config::wrong_option;
use recording_host_http::AllowedOrigins;
use recording_host_model::{
    Artifact, Conversation, ConversationRef, Fetch, Find, Next, Purpose, Reported, ReportedOutcome,
    Request, RequestError, SourceError, Split, SplitInput, SplitState, Started, Step, TimeRange,
};
use recording_host_source::SourceComponent;

use super::{answers::Answers, rules, show};

/// The code of the outcome that a `find` gives a conversation that has not ended.
const NOT_ENDED: &str = "not-ended";
/// The most steps that one split may take.
const MOST_STEPS: usize = 10_000;

/// A component, and what it has done so far.
pub(super) struct Rehearsal<'a> {
    component: &'a SourceComponent,
    options: String,
    answers: Answers,
    /// The time that the component is told: it jumps to the end of each wait.
    now: u64,
    /// The ids of all splits.
    ids: HashSet<String>,
    /// Rules that are broken, in the order in which that was seen.
    broken: Vec<String>,
    /// Files that are looked for and missing.
    missing: Vec<PathBuf>,
    /// Errors of the source.
    errors: usize,
}

/// The result of a piece of work.
#[derive(Default)]
pub(super) struct Work {
    pub(super) conversations: Vec<Conversation>,
    pub(super) artifacts: Vec<Artifact>,
    pub(super) outcomes: Vec<ReportedOutcome>,
    /// The splits that are done, each with the artifacts that came of it.
    done: Vec<(Split, Vec<Artifact>)>,
    fetch_size: u32,
    /// False if a split did not come to its end.
    pub(super) complete: bool,
}

/// The end of a split.
enum End {
    Done(SplitState),
    /// An answer is missing, or the component or the source failed.
    Failed,
}

impl<'a> Rehearsal<'a> {
    /// Prepares a rehearsal at `now` (ms since the epoch).
    pub(super) fn new(
        component: &'a SourceComponent,
        options: String,
        folder: &Path,
        now: u64,
    ) -> Self {
        Rehearsal {
            component,
            options,
            answers: Answers::new(folder),
            now,
            ids: HashSet::new(),
            broken: Vec::new(),
            missing: Vec::new(),
            errors: 0,
        }
    }

    /// Finds the conversations that began in `range`, fetches their recordings, and has the links renewed.
    ///
    /// # Errors
    /// Names how many rules are broken, answers missing and errors returned.
    pub(super) fn run(mut self, range: TimeRange) -> anyhow::Result<()> {
        let described = self.component.describe()?;
        self.broken.extend(rules::of_descriptor(&described));
        println!("find");
        let name = "find-0".to_owned();
        let purpose = Purpose::Find(Find {
            name: name.clone(),
            range,
        });
        let found = self.work(&name, &purpose)?;
        self.broken.extend(rules::of_find(&found, range));
        let wanted = wanted(&found);
        for (number, group) in wanted.chunks(found.fetch_size.max(1) as usize).enumerate() {
            println!("fetch of {} conversations", group.len());
            let name = format!("fetch-{number}");
            let purpose = Purpose::Fetch(Fetch {
                name: name.clone(),
                conversations: group.to_vec(),
            });
            let fetched = self.work(&name, &purpose)?;
            self.broken.extend(rules::of_fetch(&fetched, group));
            self.refresh(&purpose, fetched)?;
        }
        self.report()
    }

    fn report(mut self) -> anyhow::Result<()> {
        self.missing.dedup();
        for path in &self.missing {
            println!("no answer: put one into {}", path.display());
        }
        let mut seen = HashSet::new();
        self.broken.retain(|rule| seen.insert(rule.clone()));
        for rule in &self.broken {
            println!("breaks the interface: {rule}");
        }
        let (broken, missing, errors) = (self.broken.len(), self.missing.len(), self.errors);
        if broken + missing + errors > 0 {
            bail!(
                "rules broken: {broken}, answers missing: {missing}, errors of the source: {errors}"
            );
        }
        println!("keeps the rules of the interface");
        Ok(())
    }

    /// Does work from its start to its end.
    fn work(&mut self, name: &str, purpose: &Purpose) -> anyhow::Result<Work> {
        let (started, allow) = self.start(purpose)?;
        let mut work = Work {
            fetch_size: started.fetch_size,
            complete: true,
            ..Work::default()
        };
        if started.fetch_size == 0 {
            self.broken
                .push("`start` gives a `fetch-size` of 0; a `fetch` takes at least 1".to_owned());
        }
        let mut open = VecDeque::from(started.splits);
        while let Some(split) = open.pop_front() {
            if !split.id.starts_with(name) {
                self.broken.push(format!(
                    "the id of the split `{}` does not begin with the name of its work, `{name}`",
                    split.id
                ));
            }
            if !self.ids.insert(split.id.clone()) {
                continue;
            }
            println!("  split {} ({})", split.id, split.kind);
            let mut of_split = Vec::new();
            let end = self.walk(&split, SplitInput::Resume, &allow, &mut |step| {
                show::step(&step);
                of_split.extend(step.artifacts.clone());
                work.conversations.extend(step.conversations);
                work.artifacts.extend(step.artifacts);
                work.outcomes.extend(step.outcomes);
                open.extend(step.splits);
            })?;
            match end {
                End::Done(state) => work.done.push((Split { state, ..split }, of_split)),
                End::Failed => work.complete = false,
            }
        }
        Ok(work)
    }

    /// Asks each split that handed artifacts over to do so again, as when their links have expired.
    fn refresh(&mut self, purpose: &Purpose, fetched: Work) -> anyhow::Result<()> {
        let (_, allow) = self.start(purpose)?;
        for (split, artifacts) in fetched.done {
            if artifacts.is_empty() {
                continue;
            }
            println!("  refresh of {}", split.id);
            let keys = artifacts.iter().map(|artifact| artifact.key.clone());
            let input = SplitInput::Refresh(keys.collect());
            let mut again = Vec::new();
            let end = self.walk(&split, input, &allow, &mut |step| {
                again.extend(step.artifacts);
            })?;
            if matches!(end, End::Done(_)) {
                self.broken.extend(rules::of_refresh(&artifacts, &again));
            }
        }
        Ok(())
    }

    /// Begins work.
    fn start(&self, purpose: &Purpose) -> anyhow::Result<(Started, AllowedOrigins)> {
        let started = self.component.start(&self.options, purpose, self.now)?;
        let started = started.map_err(|error| match error {
            SourceError::Options(error) => anyhow!(wrong_option(&error)),
            error => anyhow!(error.to_string()),
        })?;
        let allow = AllowedOrigins::new(&started.origins, None, true);
        Ok((started, allow))
    }

    /// Steps a split to its end; `take` gets each step.
    fn walk(
        &mut self,
        split: &Split,
        mut input: SplitInput,
        allow: &AllowedOrigins,
        take: &mut dyn FnMut(Step),
    ) -> anyhow::Result<End> {
        let mut state = split.state.clone();
        for _ in 0..MOST_STEPS {
            let Some(step) = self.step(&state, input) else {
                return Ok(End::Failed);
            };
            self.broken.extend(rules::of_step(&step, allow));
            let next = step.next.clone();
            take(step);
            match next {
                Next::Send(send) => {
                    self.broken.extend(self.resumed(&send));
                    state = send.state;
                    let Some(next) = self.answer(&send.request, allow)? else {
                        return Ok(End::Failed);
                    };
                    input = next;
                }
                Next::Wait(wait) => {
                    println!("    waits");
                    self.now = self.now.max(wait.until);
                    state = wait.state;
                    input = SplitInput::Resume;
                }
                Next::Done(state) => return Ok(End::Done(state)),
            }
        }
        self.broken.push(format!(
            "the split `{}` has not come to its end after {MOST_STEPS} steps",
            split.id
        ));
        Ok(End::Failed)
    }

    /// Makes a step. None if it fails, which is printed.
    fn step(&mut self, state: &SplitState, input: SplitInput) -> Option<Step> {
        let state = state.clone();
        match self.component.step(&self.options, state, input, self.now) {
            Ok(Ok(step)) => return Some(step),
            Ok(Err(error)) => {
                println!("    error: {}", show::line(&error.to_string()));
                self.errors += 1;
            }
            Err(failure) => self.broken.push(failure.to_string()),
        }
        None
    }

    /// The rule that a state which awaits a response breaks, if it does not repeat the request on `resume`.
    fn resumed(&self, send: &recording_host_model::Send) -> Option<String> {
        let state = send.state.clone();
        let stepped = self
            .component
            .step(&self.options, state, SplitInput::Resume, self.now);
        match stepped {
            Ok(Ok(Step {
                next: Next::Send(repeated),
                ..
            })) if repeated.request == send.request => None,
            _ => Some(rules::not_repeated(&send.request)),
        }
    }

    /// The answer to a request; none if there is no file of it.
    fn answer(
        &mut self,
        request: &Request,
        allow: &AllowedOrigins,
    ) -> anyhow::Result<Option<SplitInput>> {
        if let Err(error) = allow.api(&request.url) {
            show::request(request, "refused");
            let refused = RequestError::Refused(error.to_string());
            return Ok(Some(SplitInput::Response(Err(refused))));
        }
        let answer = self.answers.of(request);
        match answer.context("reading an answer")? {
            Ok(response) => {
                show::request(request, &response.status.to_string());
                Ok(Some(SplitInput::Response(Ok(response))))
            }
            Err(path) => {
                show::request(request, "no answer");
                self.missing.push(path);
                Ok(None)
            }
        }
    }
}

/// The conversations that a host would fetch: those without an outcome, or one that is not the last.
fn wanted(found: &Work) -> Vec<ConversationRef> {
    let has_outcome = |id: &str| {
        found.outcomes.iter().any(|outcome| {
            let open =
                matches!(&outcome.result, Reported::Failed(failure) if failure.code == NOT_ENDED);
            outcome.conversation == id && !open
        })
    };
    let mut seen = HashSet::new();
    let wanted = found
        .conversations
        .iter()
        .filter(|found| !has_outcome(&found.id) && seen.insert(found.id.clone()));
    let wanted = wanted.map(|found| ConversationRef {
        id: found.id.clone(),
        start: found.start,
        recorded: found.recorded,
    });
    wanted.collect()
}
