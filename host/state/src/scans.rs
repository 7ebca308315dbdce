//! What is done again and again does not read all conversations, of which there may be millions.

use std::sync::{Arc, Mutex};

use rusqlite::{
    StatementStatus::FullscanStep,
    trace::{TraceEvent, TraceEventCodes},
};

use crate::{Queue, WorkQueue};

/// How many conversations are filed.
const FILED: usize = 2000;
/// As many rows may be read one after another.
const FEW: i32 = 200;
const NOW: u64 = 1_767_600_000_000;

/// A queue with many filed conversations, and a few that are being fetched.
async fn queue() -> Queue {
    let queue = Queue::in_memory().unwrap();
    let completed = queue.transaction(|tx| {
        for number in 1..=FILED {
            crate::record::add(tx, number as i64, "{}")?;
            tx.execute(
                "INSERT INTO conversation (id, day, start, recorded, status, due, attempt, record, outcome)
                 VALUES ('c' || ?1, '2026-01-05', 7, 1, 'completed', 0, 1, ?1, '{\"outcome\":\"stored\"}')",
                [number as i64],
            )?;
        }
        Ok(())
    });
    completed.await.unwrap();
    let sinks = vec!["lake".to_owned()];
    queue.seal_segments(1, FILED, sinks).await.unwrap();
    for number in queue.unfiled().await.unwrap().into_keys() {
        let filed = queue.filed(number, "lake".to_owned(), false, NOW);
        assert!(filed.await.unwrap().everywhere);
    }
    let fetching = queue.transaction(|tx| {
        for number in 1..=5 {
            tx.execute(
                "INSERT INTO conversation (id, day, start, recorded, status, due, attempt)
                 VALUES ('f' || ?1, '2026-01-05', 7, 1, 'found', 0, 1)",
                [number],
            )?;
            tx.execute(
                "UPDATE conversation SET fetch = 'export-000001' WHERE id = 'f' || ?1",
                [number],
            )?;
            tx.execute(
                "INSERT INTO artifact (key, conversation, split, status) VALUES ('a' || ?1, 'f' || ?1, 'export-000001', 'pending')",
                [number],
            )?;
            tx.execute(
                "INSERT INTO wanting (conversation, sink) VALUES ('f' || ?1, 'lake')",
                [number],
            )?;
        }
        // As where a sink lacks the joined segment that has taken the place of a smaller one.
        tx.execute_batch(
            "INSERT INTO segment VALUES (100, '2026-01-05'), (101, '2026-01-05');
             INSERT INTO replaced VALUES (100, 'lake', 101);
             INSERT INTO filing (segment, sink) VALUES (101, 'other')",
        )
    });
    fetching.await.unwrap();
    queue
}

/// The statements that read many rows one after another from now on, and how many.
fn long_reads(queue: &Queue) -> Arc<Mutex<Vec<(i32, String)>>> {
    let long = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&long);
    let mut connection = queue.connection.lock().unwrap();
    // What was prepared has counted until here.
    connection.flush_prepared_statement_cache();
    connection
        .trace_v2(
            TraceEventCodes::SQLITE_TRACE_PROFILE,
            Some(move |event: TraceEvent<'_>| {
                if let TraceEvent::Profile(statement, _) = event {
                    let steps = statement.get_status(FullscanStep);
                    if steps > FEW {
                        heard
                            .lock()
                            .unwrap()
                            .push((steps, statement.sql().into_owned()));
                    }
                }
            }),
        )
        .unwrap();
    long
}

#[tokio::test]
async fn what_a_run_begins_with_and_repeats_reads_no_filed_conversations() {
    let queue = queue().await;
    let long = long_reads(&queue);
    let heard = || std::mem::take(&mut *long.lock().unwrap());
    let all = queue.transaction(|tx| {
        let mut query = tx.prepare("SELECT count(*) FROM conversation WHERE attempt = 1")?;
        query.query_row([], |row| row.get::<_, i64>(0))
    });
    assert_eq!(all.await.unwrap(), FILED as i64 + 5);
    assert_eq!(heard().len(), 1, "what reads all is not seen");

    let sinks = ["lake", "other"].map(str::to_owned);
    queue.lapse(sinks.to_vec()).await.unwrap();
    let orders = queue.orders("export").await.unwrap();
    assert_eq!(orders[0].conversations().count(), 5);
    queue.order("export-000001".to_owned()).await.unwrap();
    queue.stock().await.unwrap();
    queue.status().await.unwrap();
    queue.open_splits().await.unwrap();
    queue.unfiled().await.unwrap();
    queue.settle_forgotten().await.unwrap();
    let sinks = vec!["lake".to_owned()];
    queue.seal_segments(1, 500, sinks).await.unwrap();
    queue.expect_filing(101, "other".to_owned()).await.unwrap();
    assert_eq!(heard(), []);
}
