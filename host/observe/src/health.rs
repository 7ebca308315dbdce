//! Liveness and readiness of a run.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use recording_host_model::{Event, Subscriber};

/// How long a running export may be silent: it takes stock at least every five minutes.
const SILENCE: Duration = Duration::from_secs(900);

/// Whether a source answers, by what came of its requests and of those for access tokens.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answers {
    /// None before the first access token, and where there are none.
    login: Option<bool>,
    /// None before the first response.
    api: Option<bool>,
}

impl Answers {
    /// Takes a request into account.
    pub(crate) fn heard(&mut self, kind: &str, status: Option<u16>) {
        match status {
            status if kind == "token" => self.login = Some(status.is_some()),
            // The token has ended, and the next one tells.
            Some(401) => {}
            status => self.api = Some(status.is_some_and(|status| status < 500)),
        }
    }

    /// True if it answers; none before that is known.
    pub(crate) fn now(self) -> Option<bool> {
        match self.login {
            Some(false) => Some(false),
            _ => self.api,
        }
    }
}

/// The health of all sources of a run.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<BTreeMap<String, Source>>>);

#[derive(Debug)]
struct Source {
    heard: Instant,
    /// True if the run of this source has ended.
    ended: bool,
    answers: Answers,
    /// True once another machine led: this one may have nothing to ask for.
    stood_by: bool,
    unavailable: BTreeSet<String>,
    /// The sinks that were unavailable when the configuration was reloaded, until the new run says how they
    /// are.
    before: BTreeSet<String>,
}

impl Source {
    /// The sinks that are unavailable.
    fn absent(&self) -> impl Iterator<Item = &String> {
        self.unavailable.union(&self.before)
    }
}

impl Health {
    /// Watches a source. One that was watched before, as by the run before a reload, is as it was.
    #[must_use]
    pub fn subscriber(&self, source: &str) -> Arc<dyn Subscriber> {
        self.with(|sources| {
            let former = sources.remove(source);
            let (answers, stood_by, before) = former.map_or_else(Default::default, |former| {
                let before = former.absent().cloned().collect();
                (former.answers, former.stood_by, before)
            });
            let watched = Source {
                heard: Instant::now(),
                ended: false,
                answers,
                stood_by,
                unavailable: BTreeSet::new(),
                before,
            };
            sources.insert(source.to_owned(), watched);
        });
        let (health, source) = (self.clone(), source.to_owned());
        Arc::new(move |event: &Event| health.heard(&source, event))
    }

    /// Notes that the run of a source has ended: it is silent from here on.
    pub fn ended(&self, source: &str) {
        self.with(|sources| {
            if let Some(source) = sources.get_mut(source) {
                source.ended = true;
            }
        });
    }

    fn heard(&self, source: &str, event: &Event) {
        self.with(|sources| {
            let Some(source) = sources.get_mut(source) else {
                return;
            };
            source.heard = Instant::now();
            match event {
                Event::Request { kind, status, .. } => source.answers.heard(kind, *status),
                // It has tried its sinks by then.
                Event::Progress(_) => source.before.clear(),
                Event::StandingBy => source.stood_by = true,
                Event::SinkUnavailable { sink } => {
                    source.unavailable.insert(sink.clone());
                }
                Event::SinkAvailable { sink, .. } => {
                    source.unavailable.remove(sink);
                }
                _ => {}
            }
        });
    }

    /// Returns true if a run is silent for so long that it must be started again.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        !self.stuck().is_empty()
    }

    /// Why it does not live: a source that has been silent for too long.
    pub(crate) fn stuck(&self) -> Vec<String> {
        self.at(Instant::now())
    }

    fn at(&self, now: Instant) -> Vec<String> {
        self.with(|sources| {
            let silent = sources.iter().filter_map(|(name, source)| {
                let silence = now.saturating_duration_since(source.heard);
                (!source.ended && silence > SILENCE)
                    .then(|| format!("{name}: silent for {} s", silence.as_secs()))
            });
            silent.collect()
        })
    }

    /// The reasons that keep a source from its work; none before anything is known of it. They outlive a run that
    /// ends, as one does for a reload: that is no recovery.
    pub(crate) fn hindrances(&self, source: &str) -> Vec<String> {
        let silent = format!("{source}: silent for ");
        let stuck = self.stuck().into_iter();
        let stuck = stuck.filter(|reason| reason.starts_with(&silent));
        let mut reasons: Vec<String> = stuck.collect();
        self.with(|sources| {
            let Some(source) = sources.get(source) else {
                return;
            };
            if source.answers.now() == Some(false) {
                reasons.push("the source does not answer".to_owned());
            }
            for sink in source.absent() {
                reasons.push(format!("sink {sink} is unavailable"));
            }
        });
        reasons
    }

    /// The reasons for which it is not ready.
    #[must_use]
    pub fn hindered(&self) -> Vec<String> {
        let mut reasons = self.stuck();
        self.with(|sources| {
            for (name, source) in sources.iter() {
                match source.answers.now() {
                    _ if source.ended => {}
                    None if source.stood_by => {}
                    None => reasons.push(format!("{name}: the source has not answered yet")),
                    Some(false) => reasons.push(format!("{name}: the source does not answer")),
                    Some(true) => {}
                }
                for sink in source.absent() {
                    reasons.push(format!("{name}: sink {sink} is unavailable"));
                }
            }
        });
        reasons
    }

    fn with<T>(&self, look: impl FnOnce(&mut BTreeMap<String, Source>) -> T) -> T {
        let mut sources = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        look(&mut sources)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use recording_host_model::Progress;

    fn request(status: Option<u16>) -> Event {
        sent("find", status)
    }

    fn sent(kind: &str, status: Option<u16>) -> Event {
        Event::Request {
            kind: kind.to_owned(),
            method: "GET",
            status,
            millis: 1,
        }
    }

    #[test]
    fn a_run_is_ready_while_its_source_answers_and_its_sinks_are_there() {
        let health = Health::default();
        let source = health.subscriber("calls");
        assert_eq!(
            health.hindered(),
            ["calls: the source has not answered yet"]
        );
        source.on_event(&request(Some(429)));
        assert!(health.hindered().is_empty());
        source.on_event(&request(None));
        assert_eq!(health.hindered(), ["calls: the source does not answer"]);
        source.on_event(&request(Some(200)));
        let sink = || "lake".to_owned();
        source.on_event(&Event::SinkUnavailable { sink: sink() });
        assert_eq!(health.hindered(), ["calls: sink lake is unavailable"]);
        source.on_event(&Event::SinkAvailable {
            sink: sink(),
            backlog: 3,
        });
        assert!(health.hindered().is_empty());
    }

    #[test]
    fn a_machine_that_stands_by_is_ready_before_it_has_anything_to_do() {
        let health = Health::default();
        let source = health.subscriber("calls");
        source.on_event(&Event::StandingBy);
        assert!(health.hindered().is_empty());
        let again = health.subscriber("calls");
        assert!(health.hindered().is_empty(), "a reload is none");
        again.on_event(&request(None));
        assert_eq!(health.hindered(), ["calls: the source does not answer"]);
    }

    #[test]
    fn a_source_without_an_access_token_does_not_answer_whatever_its_api_says() {
        let health = Health::default();
        let source = health.subscriber("calls");
        // Nothing has been asked for yet, as while a run is paused: that hinders nothing.
        assert!(health.hindrances("calls").is_empty());
        source.on_event(&sent("token", None));
        assert_eq!(health.hindered(), ["calls: the source does not answer"]);
        assert_eq!(health.hindrances("calls"), ["the source does not answer"]);
        source.on_event(&sent("token", Some(200)));
        source.on_event(&request(Some(200)));
        assert!(health.hindered().is_empty());
        // The token has ended, and there is no other.
        source.on_event(&request(Some(401)));
        assert!(health.hindered().is_empty());
        source.on_event(&sent("token", None));
        source.on_event(&request(Some(401)));
        assert_eq!(health.hindered(), ["calls: the source does not answer"]);
    }

    #[test]
    fn a_reload_is_no_recovery() {
        let health = Health::default();
        let source = health.subscriber("calls");
        source.on_event(&request(None));
        let sink = || "lake".to_owned();
        source.on_event(&Event::SinkUnavailable { sink: sink() });
        let was = health.hindered();
        assert_eq!(was.len(), 2);
        let hindrances = health.hindrances("calls");
        health.ended("calls");
        assert_eq!(health.hindrances("calls"), hindrances);
        let again = health.subscriber("calls");
        assert_eq!(health.hindered(), was);
        assert_eq!(health.hindrances("calls"), hindrances);
        again.on_event(&request(Some(200)));
        assert_eq!(health.hindered(), ["calls: sink lake is unavailable"]);
        again.on_event(&Event::Progress(Progress::default()));
        assert!(health.hindered().is_empty());
    }

    #[test]
    fn a_run_that_is_silent_is_stuck_unless_it_has_ended() {
        let health = Health::default();
        let _source = health.subscriber("calls");
        let later = Instant::now() + SILENCE + Duration::from_secs(2);
        assert!(health.stuck().is_empty());
        assert_eq!(health.at(later).len(), 1);
        health.ended("calls");
        assert!(health.at(later).is_empty());
    }
}
