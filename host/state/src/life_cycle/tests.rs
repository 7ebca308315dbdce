//! The table of transitions is what the code does, what the database allows, and what the documentation
//! draws.

mod drawn;

use std::collections::BTreeSet;

use rusqlite::params;

use super::{Stage, Transition, guard::stage_of};
use crate::{Backfilled, FetchFailure, Lease, Queue, QueueError, ReceiptSummary, WorkQueue};
use recording_host_model::{
    Conversation, ConversationRecord, Failure, Next, Outcome, Reported, ReportedOutcome, Split,
    SplitState, Step,
};

/// When everything is past (ms).
const NOW: u64 = 100 * 86_400_000;
const SINK: &str = "lake";

/// A queue that writes down which transitions conversations make.
pub(crate) async fn watched() -> Queue {
    let queue = Queue::in_memory().unwrap();
    let (old, new) = (stage_of("OLD"), stage_of("NEW"));
    let watch = format!(
        "CREATE TEMP TABLE made (past TEXT, at TEXT);
         CREATE TEMP TRIGGER watch_begins AFTER INSERT ON main.conversation
           BEGIN INSERT INTO made VALUES (NULL, {new}); END;
         CREATE TEMP TRIGGER watch_moves AFTER UPDATE ON main.conversation
           WHEN {old} IS NOT {new} BEGIN INSERT INTO made VALUES ({old}, {new}); END;"
    );
    let watching = queue.transaction(move |tx| tx.execute_batch(&watch)).await;
    watching.unwrap();
    queue
}

/// The transitions that were made, as the names of the stages.
pub(crate) async fn made(queue: &Queue) -> BTreeSet<(Option<String>, String)> {
    let made = queue.transaction(|tx| {
        tx.prepare("SELECT DISTINCT past, at FROM made")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
    });
    made.await.unwrap()
}

async fn stage(queue: &Queue, id: &str) -> Option<Stage> {
    let id = id.to_owned();
    let cases = Stage::ALL.map(|stage| {
        format!(
            "SELECT '{stage:?}' FROM conversation WHERE id = ?1 AND {}",
            stage.condition()
        )
    });
    let sql = cases.join(" UNION ALL ");
    let names: Vec<String> = queue
        .transaction(move |tx| {
            tx.prepare(&sql)?
                .query_map([id], |row| row.get(0))?
                .collect()
        })
        .await
        .unwrap();
    assert!(names.len() < 2, "two stages at once: {names:?}");
    Stage::ALL
        .into_iter()
        .find(|stage| names.contains(&format!("{stage:?}")))
}

fn state() -> SplitState {
    SplitState {
        version: 1,
        data: Vec::new(),
    }
}

fn split(id: &str) -> Split {
    Split {
        id: id.to_owned(),
        kind: "files".to_owned(),
        state: state(),
    }
}

fn conversation(id: &str, revision: Option<u64>) -> Conversation {
    Conversation {
        id: id.to_owned(),
        start: 1000,
        end: Some(2000),
        direction: None,
        ani: None,
        dnis: None,
        agents: Vec::new(),
        queues: Vec::new(),
        wrap_up_codes: Vec::new(),
        tags: Vec::new(),
        divisions: Vec::new(),
        media_types: Vec::new(),
        recorded: true,
        revision,
        attributes: Vec::new(),
    }
}

fn failed(retryable: bool) -> Reported {
    Reported::Failed(Failure {
        code: "unavailable".to_owned(),
        message: String::new(),
        retryable,
    })
}

/// A queue with what its conversations go through.
struct Life {
    queue: Queue,
}

impl Life {
    /// A search finds conversations, each with its outcome if it has one.
    async fn find(&self, found: &[(&str, Option<u64>, Option<Reported>)]) {
        self.step(
            found
                .iter()
                .map(|(id, revision, _)| conversation(id, *revision)),
            found
                .iter()
                .filter_map(|(id, _, result)| Some((*id, result.clone()?))),
        )
        .await;
    }

    /// A fetch says what has become of conversations.
    async fn report(&self, ids: &[&str], result: &Reported) {
        self.step([].into_iter(), ids.iter().map(|id| (*id, result.clone())))
            .await;
    }

    async fn step(
        &self,
        conversations: impl Iterator<Item = Conversation>,
        outcomes: impl Iterator<Item = (&str, Reported)>,
    ) {
        let step = Step {
            conversations: conversations.collect(),
            outcomes: outcomes
                .map(|(id, result)| ReportedOutcome {
                    conversation: id.to_owned(),
                    result,
                })
                .collect(),
            ..Step::from(Next::Done(state()))
        };
        self.queue.add(vec![split("s")], NOW).await.unwrap();
        let held = self
            .queue
            .claim("s".to_owned(), Lease::without_end(NOW))
            .await;
        assert!(held.unwrap().is_some());
        let committed = self.queue.commit("s".to_owned(), step, NOW, 0).await;
        committed.unwrap();
    }

    async fn fetch(&self, name: &str, ids: &[&str]) {
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        let begun = self
            .queue
            .fetch(name.to_owned(), ids, vec![split(name)], NOW);
        begun.await.unwrap();
    }

    async fn abandon(&self, name: &str, divisible: bool) {
        let failure = FetchFailure {
            code: "gone".to_owned(),
            message: String::new(),
            retryable: false,
            divisible,
        };
        let abandoned = self.queue.abandon(name.to_owned(), failure, NOW).await;
        abandoned.unwrap();
    }

    async fn complete(&self, horizon: u64) {
        self.queue.complete(NOW, horizon, 0).await.unwrap();
    }

    /// Seals what is completed.
    async fn seal(&self) -> i64 {
        let sinks = vec![SINK.to_owned()];
        self.queue.seal_segments(1, 100, sinks).await.unwrap();
        *self.queue.unfiled().await.unwrap().keys().last().unwrap()
    }

    async fn filed(&self, segment: i64, keep: bool) {
        let filed = self.queue.filed(segment, SINK.to_owned(), keep, NOW).await;
        assert!(filed.unwrap().everywhere);
    }

    async fn at(&self, id: &str, expected: Stage) {
        assert_eq!(stage(&self.queue, id).await, Some(expected), "{id}");
    }

    /// From found to filed, with a fetch that is divided and one that fails, and taken up again.
    async fn fetched_and_filed(&self) {
        self.find(&[("a", None, None), ("b", None, None), ("c", None, None)])
            .await;
        self.fetch("f1", &["a", "b", "c"]).await;
        self.at("a", Stage::Fetching).await;
        self.abandon("f1", true).await;
        self.at("a", Stage::Wanted).await;
        self.fetch("f2", &["a", "b", "c"]).await;
        self.report(&["a"], &failed(true)).await;
        self.abandon("f2", false).await;
        // A conversation of which more may come is requested once more, all else is final.
        self.complete(2 * NOW).await;
        self.at("a", Stage::Wanted).await;
        self.at("b", Stage::Completed).await;
        self.fetch("f3", &["a"]).await;
        assert!(self.queue.settle_forgotten().await.unwrap() > 0);
        self.complete(0).await;
        let segment = self.seal().await;
        self.at("a", Stage::Sealed).await;
        self.filed(segment, false).await;
        self.at("a", Stage::Filed).await;
        assert_eq!(self.queue.retry_lost(NOW).await.unwrap(), 3);
        self.at("a", Stage::Wanted).await;
    }

    /// Found with their outcomes, compactable, compacted, let go, taken up again.
    async fn kept_and_compacted(&self) {
        let none = Some(Reported::NoRecording);
        for ids in [["k1", "k2"], ["k3", "k4"], ["k5", "k6"]] {
            self.find(&ids.map(|id| (id, Some(1), none.clone()))).await;
            self.at(ids[0], Stage::Completed).await;
            let segment = self.seal().await;
            // There is more of one by now.
            if ids[0] == "k5" {
                self.find(&[("k6", Some(2), None)]).await;
            }
            self.filed(segment, true).await;
            self.at(ids[0], Stage::Compactable).await;
        }
        self.at("k6", Stage::Wanted).await;
        self.find(&[("k4", Some(2), None)]).await;
        self.at("k4", Stage::Wanted).await;
        for id in ["k6", "k4"] {
            self.report(&[id], &Reported::NoRecording).await;
        }
        self.at("k4", Stage::Reported).await;
        self.complete(0).await;
        let segment = self.seal().await;
        self.filed(segment, true).await;
        let sinks = vec![SINK.to_owned()];
        let joined = self
            .queue
            .compact("2030-01-01".to_owned(), 100, sinks)
            .await;
        assert!(joined.unwrap());
        self.at("k1", Stage::Sealed).await;
        let segment = *self.queue.unfiled().await.unwrap().keys().last().unwrap();
        // There is more of one while the larger segment is filed, without becoming compactable.
        self.find(&[("k2", Some(3), None)]).await;
        self.filed(segment, false).await;
        self.at("k1", Stage::Filed).await;
        self.at("k2", Stage::Wanted).await;
    }

    /// Proven by receipts, and copied from one sink to another.
    async fn proven_and_copied(&self) {
        let proven = ReceiptSummary {
            conversation: "p".to_owned(),
            day: "1970-01-01".to_owned(),
            attempt: 1,
            outcome: Some(Outcome::NoRecording),
            lacking: vec![(SINK.to_owned(), false)],
            ..ReceiptSummary::default()
        };
        let recovered = self
            .queue
            .recover(vec![proven], BTreeSet::new(), Vec::new(), NOW)
            .await;
        assert_eq!(recovered.unwrap(), 1);
        self.at("p", Stage::Filed).await;
        let lacking = Backfilled {
            conversation: "p".to_owned(),
            record: Some(ConversationRecord::from(&conversation("p", None))),
            outcome: Outcome::NoRecording,
            extent: None,
            objects: Vec::new(),
            filled: BTreeSet::from([SINK.to_owned()]),
        };
        let filled = self.queue.filled(vec![lacking], Vec::new(), NOW).await;
        assert_eq!(filled.unwrap(), 0);
        self.at("p", Stage::Completed).await;
    }

    /// Compactable, and let go because a sink lacks something.
    async fn kept_and_released(&self) {
        self.find(&[("r", None, Some(Reported::NoRecording))]).await;
        let segment = self.seal().await;
        self.filed(segment, true).await;
        let lacks = self
            .queue
            .lacks(SINK.to_owned(), vec!["r".to_owned()])
            .await;
        assert_eq!(lacks.unwrap(), 1);
        self.at("r", Stage::Filed).await;
    }
}

#[tokio::test]
async fn every_transition_happens() {
    let queue = watched().await;
    let life = Life {
        queue: queue.clone(),
    };
    // A compacted conversation is of a day of which nothing is under way.
    life.kept_and_compacted().await;
    life.fetched_and_filed().await;
    life.kept_and_released().await;
    life.proven_and_copied().await;
    assert_eq!(made(&queue).await, table());
}

/// All transitions, as the names of the stages.
pub(crate) fn table() -> BTreeSet<(Option<String>, String)> {
    let table = Transition::ALL.map(|transition| {
        let (from, to) = transition.ends();
        (from.map(|from| format!("{from:?}")), format!("{to:?}"))
    });
    let table = BTreeSet::from(table);
    assert_eq!(table.len(), Transition::ALL.len(), "two have the same ends");
    table
}

/// A queue with one conversation at a stage.
async fn one_at(stage: Stage) -> Queue {
    let queue = Queue::in_memory().unwrap();
    let filled = queue.transaction(move |tx| {
        tx.execute_batch("DROP TRIGGER life_cycle_begins")?;
        let (mut outcome, mut segment, mut fetch) = (Some("{\"outcome\":\"stored\"}"), None, None);
        match stage {
            Stage::Wanted => outcome = None,
            Stage::Fetching => (outcome, fetch) = (None, Some("f")),
            Stage::Sealed | Stage::Compactable => segment = Some(1),
            Stage::Reported | Stage::Completed | Stage::Filed => {}
        }
        let record = (stage != Stage::Filed).then_some("{}");
        tx.execute(
            "INSERT INTO conversation (id, day, start, recorded, record, outcome, status, segment, fetch, due, attempt)
             VALUES ('c', '1970-01-01', 0, 1, ?1, ?2, ?3, ?4, ?5, 0, 1)",
            params![record, outcome, stage.status(), segment, fetch],
        )
    });
    assert_eq!(filled.await.unwrap(), 1);
    queue
}

async fn change(queue: &Queue, sql: &'static str) -> Result<usize, String> {
    let changed = queue.transaction(move |tx| tx.execute(sql, [])).await;
    changed.map_err(|error| match error {
        QueueError::Sqlite(error) => error.to_string(),
        error => panic!("{error}"),
    })
}

/// A change to a conversation by which it comes to a stage, whichever it was in.
fn to(stage: Stage) -> &'static str {
    match stage {
        Stage::Wanted => {
            "UPDATE conversation SET status = 'found', outcome = NULL, fetch = NULL, segment = NULL"
        }
        Stage::Fetching => {
            "UPDATE conversation SET status = 'found', outcome = NULL, fetch = 'f', segment = NULL"
        }
        Stage::Reported => {
            "UPDATE conversation SET status = 'found', outcome = '{}', fetch = NULL, segment = NULL"
        }
        Stage::Completed => {
            "UPDATE conversation SET status = 'completed', outcome = '{}', segment = NULL, record = '{}'"
        }
        Stage::Sealed => {
            "UPDATE conversation SET status = 'sealed', outcome = '{}', segment = 2, record = '{}'"
        }
        Stage::Compactable => {
            "UPDATE conversation SET status = 'compactable', outcome = '{}', segment = 2, record = '{}'"
        }
        Stage::Filed => "UPDATE conversation SET status = 'filed', outcome = '{}', record = NULL",
    }
}

#[tokio::test]
async fn a_transition_that_is_not_in_the_table_is_refused() {
    for from in Stage::ALL {
        for into in Stage::ALL.into_iter().filter(|into| *into != from) {
            let known = Transition::ALL.map(Transition::ends);
            let queue = one_at(from).await;
            let changed = change(&queue, to(into)).await;
            if known.contains(&(Some(from), into)) {
                assert_eq!(changed, Ok(1), "{from:?} to {into:?}");
                continue;
            }
            let refusal = format!("cannot go from {from:?} to {into:?}");
            assert!(
                changed.is_err_and(|error| error.contains(&refusal)),
                "{refusal}"
            );
            assert_eq!(stage(&queue, "c").await, Some(from));
        }
    }
}

#[tokio::test]
async fn columns_of_no_stage_are_refused() {
    let refused = async |from, sql, why| {
        let changed = change(&one_at(from).await, sql).await;
        let stated = format!("{changed:?}");
        assert!(
            changed.is_err_and(|error| error.contains(why)),
            "{sql}: {stated}"
        );
    };
    let none = "comes to no stage";
    refused(
        Stage::Sealed,
        "UPDATE conversation SET segment = NULL",
        none,
    )
    .await;
    refused(
        Stage::Completed,
        "UPDATE conversation SET outcome = NULL",
        none,
    )
    .await;
    refused(
        Stage::Wanted,
        "UPDATE conversation SET status = 'lost'",
        none,
    )
    .await;
    refused(Stage::Wanted, "UPDATE conversation SET objects = 1", none).await;
    refused(Stage::Filed, "UPDATE conversation SET record = '{}'", none).await;
    // The contents of a receipt are as final as its bytes.
    let last = "what is final of a conversation changes";
    refused(Stage::Sealed, "UPDATE conversation SET segment = 2", last).await;
    refused(Stage::Filed, "UPDATE conversation SET attempt = 2", last).await;
    refused(
        Stage::Compactable,
        "UPDATE conversation SET outcome = '{}'",
        last,
    )
    .await;
    refused(Stage::Filed, "DELETE FROM conversation", "never forgotten").await;
    let ignored = "INSERT OR IGNORE INTO conversation (id, day, start, recorded, outcome, status, due, attempt)
                   VALUES ('d', '', 0, 0, '{}', 'compactable', 0, 1)";
    let changed = change(&Queue::in_memory().unwrap(), ignored).await;
    assert!(changed.is_err_and(|error| error.contains("cannot begin")));
}

#[tokio::test]
async fn what_an_earlier_version_left_in_no_stage_is_not_judged() {
    let queue = one_at(Stage::Filed).await;
    let odd = queue.transaction(|tx| {
        tx.execute_batch(
            "INSERT INTO conversation (id, day, start, recorded, status, due, attempt)
             VALUES ('odd', '', 0, 0, 'filed', 0, 1);",
        )
    });
    odd.await.unwrap();
    let reported = "UPDATE conversation SET reported = 1 WHERE id = 'odd'";
    assert_eq!(change(&queue, reported).await, Ok(1));
    assert_eq!(change(&queue, to(Stage::Wanted)).await, Ok(2));
}
