//! The room for large answers of a source: pages that arrive together are not all stepped together.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use recording_host_model::SplitInput;

/// How many bytes of large answers are between their arrival and the queue at once: a step takes several times the
/// memory of its answer. One that is larger has all the room for itself.
const ROOM: usize = 2 << 20;
/// Answers that are smaller need no room.
const SMALL: usize = 64 << 10;

/// The room for answers that are large, in bytes.
#[derive(Clone, Debug)]
pub(crate) struct AnswerRoom(Arc<Semaphore>);

impl Default for AnswerRoom {
    fn default() -> Self {
        AnswerRoom(Arc::new(Semaphore::new(ROOM)))
    }
}

impl AnswerRoom {
    /// Waits until there is room for a split's next step; none if it needs little.
    pub(super) async fn take(&self, event: &SplitInput) -> Option<OwnedSemaphorePermit> {
        let SplitInput::Response(Ok(answer)) = event else {
            return None;
        };
        let size = answer.body.len().min(ROOM);
        if size < SMALL {
            return None;
        }
        let size = u32::try_from(size).ok()?;
        // It is never closed.
        Arc::clone(&self.0).acquire_many_owned(size).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use recording_host_model::Response;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn large_answers_wait_until_what_came_of_others_is_written_down() {
        let answer = |size: usize| {
            SplitInput::Response(Ok(Response {
                status: 200,
                headers: Vec::new(),
                body: vec![0; size],
            }))
        };
        let room = AnswerRoom::default();
        let waits = async |size| {
            let taken = timeout(Duration::from_secs(60), room.take(&answer(size))).await;
            taken.is_err()
        };
        let first = room.take(&answer(ROOM / 2)).await;
        assert!(first.is_some());
        assert!(!waits(ROOM / 2).await, "there is room for two");
        assert!(waits(ROOM / 2 + 1).await);
        assert!(waits(8 * ROOM).await, "it needs all there is");
        assert!(
            room.take(&answer(SMALL - 1)).await.is_none(),
            "it needs little"
        );
        drop(first);
        assert!(
            !waits(8 * ROOM).await,
            "one that is larger than the room fits in alone"
        );
    }
}
