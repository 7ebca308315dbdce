use super::*;

/// A queue with two conversations of a day that are completed, for the sinks `lake` and `nas`.
async fn queue() -> Queue {
    let queue = Queue::in_memory().unwrap();
    let (record, outcome) = (
        json(&ConversationRecord::default()).unwrap(),
        json(&Outcome::Stored).unwrap(),
    );
    let completed = queue.transaction(move |tx| {
        for sink in ["lake", "nas"] {
            tx.execute(
                "INSERT INTO sink (name, identity, takes) VALUES (?1, '', '')",
                [sink],
            )?;
        }
        for (number, id) in (1..).zip(["c1", "c2"]) {
            tx.execute(
                "INSERT INTO conversation (id, day, start, recorded, status, due, attempt, record, outcome, objects, bytes)
                 VALUES (?1, '2026-01-05', 7, 1, 'completed', 0, 1, ?2, ?3, 1, 10)",
                params![id, number, &outcome],
            )?;
            record::add(tx, number, &record)?;
        }
        Ok(())
    });
    completed.await.unwrap();
    queue
}

fn both() -> Vec<String> {
    vec!["lake".to_owned(), "nas".to_owned()]
}

/// Files a segment in a sink.
async fn file(queue: &Queue, number: i64, sink: &str) {
    let filed = queue.filed(number, sink.to_owned(), true, 0);
    filed.await.unwrap();
}

/// Conversations, recordings and bytes that are counted as filed in every sink.
async fn counted(queue: &Queue) -> (u64, u64, u64) {
    let progress = queue.progress().await.unwrap();
    let filed = progress.filed.values().sum();
    (filed, progress.objects, progress.bytes)
}

#[tokio::test]
async fn what_waits_for_a_sink_that_is_dropped_is_counted_when_that_goes() {
    let queue = queue().await;
    queue.seal_segments(1, 10, both()).await.unwrap();
    file(&queue, 1, "lake").await;
    assert_eq!(counted(&queue).await, (0, 0, 0));
    queue.lapse(vec!["lake".to_owned()]).await.unwrap();
    assert_eq!(counted(&queue).await, (2, 2, 20));
}

#[tokio::test]
async fn what_is_joined_is_counted_once_whichever_sink_is_dropped_meanwhile() {
    for (first, dropped) in [(Some("lake"), "nas"), (Some("nas"), "lake"), (None, "nas")] {
        let queue = queue().await;
        queue.seal_segments(1, 1, both()).await.unwrap();
        for number in [1, 2] {
            for sink in ["lake", "nas"] {
                file(&queue, number, sink).await;
            }
        }
        assert_eq!(counted(&queue).await, (2, 2, 20));
        let joined = queue.compact("2026-01-06".to_owned(), 10, both()).await;
        assert!(joined.unwrap());
        if let Some(first) = first {
            file(&queue, 3, first).await;
            // What it replaces is gone from the sink that has it.
            for replaced in queue.replaced().await.unwrap() {
                queue.removed(replaced).await.unwrap();
            }
        }
        let kept = both().into_iter().filter(|sink| sink != dropped);
        queue.lapse(kept.collect()).await.unwrap();
        if first.is_none() {
            file(&queue, 3, "lake").await;
        }
        assert_eq!(counted(&queue).await, (2, 2, 20), "{first:?} {dropped}");
        let status = queue.status().await.unwrap();
        assert_eq!(status.unfiled, 0, "{first:?} {dropped}");
    }
}

#[tokio::test]
async fn what_a_sink_turns_out_to_have_is_counted_once() {
    let queue = queue().await;
    queue.seal_segments(1, 1, both()).await.unwrap();
    for number in [1, 2] {
        for sink in ["lake", "nas"] {
            file(&queue, number, sink).await;
        }
    }
    let joined = queue.compact("2026-01-06".to_owned(), 10, both()).await;
    assert!(joined.unwrap());
    let third = (3, queue.segment(3).await.unwrap().day);
    for sink in both() {
        queue.has_segments(sink, vec![third.clone()]).await.unwrap();
    }
    assert_eq!(counted(&queue).await, (2, 2, 20));
}

#[tokio::test]
async fn numbers_of_segments_that_a_sink_has_are_not_given_again() {
    let queue = queue().await;
    assert_eq!(queue.last_segment().await.unwrap(), 0);
    let theirs = vec![(41, "2026-01-05".to_owned())];
    queue.has_segments("lake".into(), theirs).await.unwrap();
    assert_eq!(queue.last_segment().await.unwrap(), 41);
    queue.seal_segments(1, 1, both()).await.unwrap();
    let unfiled: Vec<i64> = queue.unfiled().await.unwrap().into_keys().collect();
    assert_eq!(unfiled, [42, 43]);
    // The number of a segment of another day says nothing of this one.
    let other = vec![(42, "2025-12-24".to_owned())];
    queue.has_segments("lake".into(), other).await.unwrap();
    assert_eq!(queue.unfiled().await.unwrap()[&42], ["lake", "nas"]);
}

#[tokio::test]
async fn a_sink_that_is_owed_recordings_of_a_segment_is_still_to_get_it() {
    let queue = queue().await;
    queue.seal_segments(1, 10, both()).await.unwrap();
    let owed = queue.transaction(|tx| {
        tx.execute(
            "INSERT INTO backlog (artifact, sink, split, conversation) VALUES ('a', 'nas', 's', 'c1')",
            [],
        )
    });
    owed.await.unwrap();
    assert_eq!(queue.unfiled().await.unwrap()[&1], ["lake"]);
    assert_eq!(queue.filings_left(1).await.unwrap(), 2);
    file(&queue, 1, "lake").await;
    assert_eq!(queue.filings_left(1).await.unwrap(), 1);
}
