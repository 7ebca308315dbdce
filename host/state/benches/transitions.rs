//! How many steps of splits a queue on a disk commits in a second, each of them durable when its call returns.
//!
//! `cargo bench -p recording-host-state --bench transitions [FOLDER]`. Target: at least 5,000. Beside it, in the same
//! rounds: how often as many bytes are appended to a file and synced, which is what the disk allows.

use std::{
    error::Error,
    fs::File,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use recording_host_model::{Next, Split, SplitState, Step, TimeRange, Wait};
use recording_host_state::{Lease, Queue, WorkQueue};
use tokio::runtime::Builder;

const ROUNDS: usize = 5;
/// How many splits are under way at once.
const SPLITS: usize = 64;
/// How many steps of each split are committed in a round.
const STEPS: u64 = 50;
/// The size of a split's state, as that of a batch, and of what one commit adds to the log, in bytes.
const STATE: usize = 300;
const LOGGED: usize = 4 * 4120;

fn state(step: u64) -> SplitState {
    SplitState {
        version: 1,
        data: format!("{step:0STATE$}").into_bytes(),
    }
}

fn name(split: usize) -> String {
    format!("find/{split:04}")
}

/// A step after which a split waits for its job.
fn step(number: u64) -> Step {
    Step::from(Next::Wait(Wait {
        until: number,
        state: state(number),
        job: None,
    }))
}

async fn transitions(queue: &Queue, split: usize) -> Result<(), recording_host_state::QueueError> {
    for number in 0..STEPS {
        queue.claim(name(split), Lease::without_end(0)).await?;
        queue.commit(name(split), step(number), 0, 0).await?;
    }
    Ok(())
}

fn syncs(folder: &Path) -> Result<Duration, Box<dyn Error>> {
    let mut file = File::create(folder.join("synced"))?;
    let began = Instant::now();
    for _ in 0..STEPS {
        file.write_all(&[1; LOGGED])?;
        file.sync_data()?;
    }
    Ok(began.elapsed())
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Builder::new_multi_thread().build()?;
    let given = std::env::args().skip(1).find(|text| !text.starts_with('-'));
    let base = given.unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").to_owned());
    let folder = tempfile::tempdir_in(base)?;
    let (queue, _) = runtime.block_on(async { Queue::open(folder.path(), "bench") })?;
    let splits = (0..SPLITS).map(|number| Split {
        id: name(number),
        kind: "batch".to_owned(),
        state: state(0),
    });
    let range = TimeRange { from: 0, until: 1 };
    runtime.block_on(queue.search(splits.collect(), range, 0))?;
    let mut rates: [Vec<f64>; 3] = Default::default();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        runtime.block_on(transitions(&queue, 0))?;
        rates[0].push(STEPS as f64 / began.elapsed().as_secs_f64());
        let began = Instant::now();
        runtime.block_on(async {
            let each = (0..SPLITS).map(|split| transitions(&queue, split));
            futures_util::future::try_join_all(each).await
        })?;
        rates[1].push((STEPS * SPLITS as u64) as f64 / began.elapsed().as_secs_f64());
        rates[2].push(STEPS as f64 / syncs(folder.path())?.as_secs_f64());
    }
    let what = [
        "by one worker".to_owned(),
        format!("by {SPLITS} workers at once"),
        format!("appends of {LOGGED} bytes, each synced"),
    ];
    println!("Commits of steps in a second, medians of {ROUNDS} rounds");
    for (what, mut rates) in what.into_iter().zip(rates) {
        rates.sort_unstable_by(f64::total_cmp);
        println!("  {:6.0}  {what}", rates[ROUNDS / 2]);
    }
    Ok(())
}
