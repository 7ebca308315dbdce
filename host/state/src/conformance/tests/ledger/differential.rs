//! The queue and the ledger in maps answer the same, whatever is called.
//!
//! Each seed draws a sequence of calls, which are made on both. Their answers are equal after each call, those
//! without an order as sets, and so is, from time to time, all that the traits can report. Excepted is
//! [`QueueStock::bytes`](crate::QueueStock::bytes), the length of files. Of errors the fact alone is compared.

mod arguments;
mod drawn;
mod early;
mod fleet;
mod late;
mod pair;
mod sinks;

use std::collections::BTreeSet;

use super::{InMemory, Maps};
use crate::{
    Queue,
    life_cycle::tests::{made, table, watched},
};
use arguments::IDS;
use drawn::Drawn;
use pair::Pair;

/// How many sequences are drawn.
const SEEDS: u64 = 200;
/// How many calls a sequence has.
const CALLS: u32 = 120;
/// After how many calls all is compared that can be reported.
const VIEWED: u32 = 20;
/// In how many sequences each transition of a conversation is made at least once.
const WATCHED: u64 = 60;
/// How many statements a queue has, and more.
const STATEMENTS: usize = 1000;

/// A sequence of calls while it is made.
struct Run {
    drawn: Drawn,
    pair: Pair,
    /// The present (ms).
    now: u64,
    /// The sinks that the export has.
    sinks: Vec<String>,
    /// The conversations that there are.
    ids: Vec<String>,
    /// How many notes were made, so that no two are the same.
    notes: u64,
}

impl Run {
    fn new(seed: u64, queue: Queue) -> Self {
        // To prepare a statement is most of the work where there are so few conversations.
        let connection = queue.connection.lock().unwrap();
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        drop(connection);
        let mut drawn = Drawn::new(seed);
        let many = drawn.below(IDS.len() as u64 - 1) as usize + 2;
        Run {
            drawn,
            ids: arguments::texts(&IDS[IDS.len() - many..]),
            pair: Pair::new(seed, queue),
            now: arguments::BEGIN,
            sinks: arguments::texts(&["lake", "nas"]),
            notes: 0,
        }
    }

    /// Makes a call that is drawn, the usual ones more often.
    async fn call(&mut self) {
        match self.drawn.below(100) {
            0..4 => self.begin_search().await,
            4..16 => self.step_search().await,
            16..18 => self.end_searches().await,
            18..26 => self.begin_fetch().await,
            26..36 => self.step_fetch().await,
            36..44 => self.deliver().await,
            44..47 => self.abandon().await,
            47..53 => self.complete().await,
            53..59 => self.seal().await,
            59..69 => self.file().await,
            69..71 => self.compact().await,
            71..73 => self.remove().await,
            73..75 => self.try_again().await,
            75..81 => self.lack_and_fill().await,
            81..86 => self.change_sinks().await,
            86 => self.repair().await,
            87 => self.note().await,
            88..95 => self.report().await,
            95 => self.hand_over().await,
            96 => self.work().await,
            _ => self.finish().await,
        }
        if self.drawn.chance(30) {
            self.now += self.drawn.pick(&[1, 1000, 600_000, 3_600_001, 7_200_001]);
        }
    }
}

/// Runs to the end of a sequence.
async fn run(seed: u64, queue: Queue) {
    let mut run = Run::new(seed, queue);
    if run.drawn.chance(25) {
        run.recover().await;
    }
    for number in 1..=CALLS {
        run.call().await;
        if number % VIEWED == 0 {
            run.pair.view().await;
        }
    }
}

#[tokio::test]
async fn the_queue_and_the_ledger_in_maps_answer_the_same() {
    // One sequence alone, or more of them than usual: `SEED=7`, `SEEDS=10000`.
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    if let Some(seed) = number("SEED") {
        return run(seed, Queue::in_memory().unwrap()).await;
    }
    let mut transitions = BTreeSet::new();
    for seed in 0..number("SEEDS").unwrap_or(SEEDS) {
        if seed >= WATCHED {
            run(seed, Queue::in_memory().unwrap()).await;
            continue;
        }
        let queue = watched().await;
        run(seed, queue.clone()).await;
        transitions.extend(made(&queue).await);
    }
    assert_eq!(transitions, table(), "what the sequences come to");
}
