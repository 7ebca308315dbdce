//! A queue that has a conversation, whose recordings can be transferred.

use std::path::Path;

use recording_host_model::{Conversation, Next, Split, SplitState, Step, TimeRange};
use recording_host_state::{Lease, Queue, QueueError, WorkQueue};

/// A queue in a folder that has found a conversation.
pub(crate) async fn with(conversation: &str, folder: &Path) -> Result<Queue, QueueError> {
    let (queue, _) = Queue::open(folder, "bench")?;
    let state = SplitState {
        version: 1,
        data: Vec::new(),
    };
    let search = Split {
        id: "search".to_owned(),
        kind: "pages".to_owned(),
        state: state.clone(),
    };
    let range = TimeRange { from: 0, until: 1 };
    queue.search(vec![search], range, 0).await?;
    queue
        .claim("search".to_owned(), Lease::without_end(0))
        .await?;
    let step = Step {
        conversations: vec![Conversation {
            id: conversation.to_owned(),
            start: 0,
            end: Some(0),
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
            revision: None,
            attributes: Vec::new(),
        }],
        ..Step::from(Next::Done(state))
    };
    queue.commit("search".to_owned(), step, 0, 0).await?;
    Ok(queue)
}
