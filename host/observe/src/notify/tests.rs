use super::{judge::SourceState, *};

fn target() -> NoticeTarget {
    NoticeTarget {
        name: "ops".to_owned(),
        way: NoticeTransport::Exec {
            command: vec!["true".to_owned()],
            timeout: Duration::from_secs(1),
        },
        on: BTreeSet::from([
            Occasion::Failure,
            Occasion::Losses,
            Occasion::Lag,
            Occasion::Recovery,
        ]),
        lag: Duration::from_secs(3600),
        failing: Duration::from_secs(300),
        at_most_every: Duration::from_secs(900),
    }
}

/// A target over time: what it is told after so many seconds, if all is delivered.
struct Notified {
    judge: Judge,
    target: NoticeTarget,
    began: Instant,
}

impl Notified {
    fn new(target: NoticeTarget) -> Self {
        Notified {
            judge: Judge::default(),
            target,
            began: Instant::now(),
        }
    }

    fn at(&mut self, seconds: u64, state: &SourceState) -> Vec<String> {
        self.delivered(seconds, state, true)
    }

    fn delivered(&mut self, seconds: u64, state: &SourceState, delivered: bool) -> Vec<String> {
        let now = self.began + Duration::from_secs(seconds);
        let states = BTreeMap::from([("calls".to_owned(), state.clone())]);
        let due = self.judge.due(&self.target, &states, now);
        for notice in &due {
            self.judge.reported(notice, delivered, now);
        }
        due.into_iter().map(|notice| notice.text).collect()
    }
}

fn failing() -> SourceState {
    SourceState {
        hindrances: vec!["the source does not answer".to_owned()],
        ..SourceState::default()
    }
}

#[test]
fn a_failure_is_told_once_it_lasts_and_its_end_at_once() {
    let mut reported = Notified::new(target());
    let (well, fails) = (SourceState::default(), failing());
    assert!(reported.at(0, &well).is_empty());
    assert!(reported.at(10, &fails).is_empty(), "it may pass");
    assert!(reported.at(309, &fails).is_empty());
    assert_eq!(
        reported.at(310, &fails),
        ["calls fails: the source does not answer"]
    );
    assert!(reported.at(5000, &fails).is_empty(), "once");
    assert_eq!(reported.at(5001, &well), ["calls works again"]);
    assert!(reported.at(5002, &well).is_empty());
}

#[test]
fn what_comes_and_goes_is_told_no_more_often_than_the_limit() {
    let target = NoticeTarget {
        failing: Duration::ZERO,
        ..target()
    };
    let mut reported = Notified::new(target);
    let (well, fails) = (SourceState::default(), failing());
    assert_eq!(reported.at(0, &fails).len(), 1);
    assert_eq!(reported.at(10, &well).len(), 1);
    for second in 11..900 {
        let state = [&well, &fails][second as usize % 2];
        assert!(reported.at(second, state).is_empty(), "{second}");
    }
    assert_eq!(reported.at(901, &fails).len(), 1);
}

#[test]
fn losses_are_counted_together_until_they_may_be_told() {
    let mut reported = Notified::new(target());
    let lost = |archived, deleted| SourceState {
        losses: BTreeMap::from([
            ("archived".to_owned(), archived),
            ("deleted".to_owned(), deleted),
        ]),
        ..SourceState::default()
    };
    let text = "recordings of calls are unavailable:";
    assert_eq!(reported.at(0, &lost(2, 0)), [format!("{text} 2 archived")]);
    assert!(reported.at(10, &lost(3, 1)).is_empty());
    let all = [format!("{text} 5 archived, 1 deleted")];
    assert_eq!(reported.at(900, &lost(7, 1)), all);
    assert!(reported.at(9000, &lost(7, 1)).is_empty());
}

#[test]
fn a_notice_that_was_not_delivered_is_due_again() {
    let mut reported = Notified::new(target());
    let behind = SourceState {
        lag: Some(Duration::from_secs(7200)),
        ..SourceState::default()
    };
    let text = ["calls is 120 minutes behind"];
    assert_eq!(reported.delivered(0, &behind, false), text);
    assert!(reported.at(10, &behind).is_empty());
    assert_eq!(reported.at(900, &behind), text);
    assert_eq!(
        reported.at(901, &SourceState::default()),
        ["calls has caught up"]
    );
}

#[test]
fn nobody_is_told_of_what_they_do_not_want_to_hear() {
    let mut reported = Notified::new(NoticeTarget {
        on: BTreeSet::from([Occasion::Failure]),
        ..target()
    });
    let state = SourceState {
        error: Some("the disk is full".to_owned()),
        losses: BTreeMap::from([("archived".to_owned(), 1)]),
        lag: Some(Duration::from_secs(99_999)),
        ..SourceState::default()
    };
    assert_eq!(reported.at(0, &state), ["calls fails: the disk is full"]);
    assert!(reported.at(1, &SourceState::default()).is_empty());
}
