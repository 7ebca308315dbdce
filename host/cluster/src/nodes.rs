//! The nodes of a fleet as people see them: which there are, who leads, what waits, and requests to one of them.
//!
//! Nothing of it is stored, and nothing else depends on it. A node listens to two subjects: what is asked of all, and
//! what is asked of it by its name.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use async_nats::{Message, RequestErrorKind};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use recording_host_state::fleet::FetchCounts;

use super::{
    ClusterError, Fleet,
    connection::Try,
    settings::{token, untoken},
    streams::StreamUse,
};

/// How long the nodes have to say that they are there.
const ROLL_CALL: Duration = Duration::from_millis(1500);
/// How long a node has to say that it will do what it is asked.
const ANSWER: Duration = Duration::from_secs(5);

/// A node, as it says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeState {
    /// Its name.
    pub name: String,
    /// The version of its program.
    pub version: String,
    /// How it is, in a word: `running`, `paused`, `draining`.
    pub state: String,
    /// How long it has been part of the fleet.
    pub seconds: u64,
}

/// A request to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeRequest {
    /// Take no more fetches, finish those under way, and end.
    Drain,
    /// Hand everything back and end.
    Leave,
}

/// A node that answers for as long as this is there.
pub struct Presence {
    requests: mpsc::Receiver<NodeRequest>,
    task: JoinHandle<()>,
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence").finish_non_exhaustive()
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Presence {
    /// Waits for the next request; none if the connection is closed.
    pub async fn next(&mut self) -> Option<NodeRequest> {
        self.requests.recv().await
    }
}

impl Fleet {
    /// Has a node answer to its name; `state` says how it is, in a word.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn attend(
        &self,
        name: &str,
        version: &str,
        state: impl Fn() -> &'static str + Send + Sync + 'static,
    ) -> Result<Presence, ClusterError> {
        let listen = async |subject: String| {
            let subscribed = self.client.subscribe(subject.clone()).await;
            subscribed.map_err(|error| ClusterError::Refused {
                what: format!("to listen at {subject}"),
                reason: error.to_string(),
                code: 0,
            })
        };
        let mut roll_calls = listen(self.of_nodes("all")).await?;
        let mut asked = listen(self.of_nodes(&format!("node.{}", token(name)))).await?;
        let (tell, requests) = mpsc::channel(8);
        let (fleet, name, version) = (self.clone(), name.to_owned(), version.to_owned());
        let (state, began) = (Arc::new(state), Instant::now());
        let task = tokio::spawn(async move {
            loop {
                let (message, answer) = tokio::select! {
                    Some(message) = roll_calls.next() => (message, NodeState {
                        name: name.clone(),
                        version: version.clone(),
                        state: state().to_owned(),
                        seconds: began.elapsed().as_secs(),
                    }.to_bytes()),
                    Some(message) = asked.next() => {
                        let answer = heed(&message, &tell);
                        (message, answer)
                    }
                    else => return,
                };
                if let Some(reply) = message.reply {
                    // Whoever asked gets nothing, and says so.
                    let _ = fleet.client.publish(reply, answer.into()).await;
                }
            }
        });
        Ok(Presence { requests, task })
    }

    /// The nodes that answer, by name.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn nodes(&self) -> Result<Vec<NodeState>, ClusterError> {
        let inbox = self.client.new_inbox();
        let refused = |reason: String| ClusterError::Refused {
            what: "to ask the nodes who is there".to_owned(),
            reason,
            code: 0,
        };
        let answers = self.client.subscribe(inbox.clone()).await;
        let mut answers = answers.map_err(|error| refused(error.to_string()))?;
        let all = self.of_nodes("all");
        let asked = self.client.publish_with_reply(all, inbox, Bytes::new());
        asked.await.map_err(|error| refused(error.to_string()))?;
        let until = Instant::now() + ROLL_CALL;
        let mut nodes = Vec::new();
        while let Ok(Some(answer)) = timeout_at(until, answers.next()).await {
            // A server says so if there is none; a later version may say more.
            if let Ok(node) = serde_json::from_slice::<NodeState>(&answer.payload) {
                nodes.push(node);
            }
        }
        nodes.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(nodes)
    }

    /// Has a node do something; returns once it has said that it will.
    ///
    /// # Errors
    /// [`ClusterError::NoSuchNode`], or any other [`ClusterError`].
    pub async fn ask(&self, node: &str, request: NodeRequest) -> Result<(), ClusterError> {
        let subject = self.of_nodes(&format!("node.{}", token(node)));
        let payload = serde_json::to_vec(&request).unwrap_or_default();
        let request = async_nats::Request::new()
            .payload(payload.into())
            .timeout(Some(ANSWER));
        match self.client.send_request(subject, request).await {
            Ok(answer) if answer.payload == b"ok"[..] => Ok(()),
            Ok(answer) => Err(ClusterError::Refused {
                what: format!("what was asked of the node {node}"),
                reason: String::from_utf8_lossy(&answer.payload).into_owned(),
                code: 0,
            }),
            Err(error) if error.kind() == RequestErrorKind::NoResponders => {
                Err(ClusterError::NoSuchNode(node.to_owned()))
            }
            Err(error) => Err(ClusterError::Unavailable {
                what: format!("asking the node {node}"),
                waited: ANSWER,
                reason: error.to_string(),
            }),
        }
    }

    /// The node that leads the export of each source, by source.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn leaders(&self) -> Result<BTreeMap<String, String>, ClusterError> {
        let work = self.stream(StreamUse::Work).await?;
        let prefix = StreamUse::Work.subject(&self.settings, "fence.");
        let mut leaders = BTreeMap::new();
        for source in self.names(&work, &prefix).await? {
            let candidate = super::Candidate::new(self, &source, "").await?;
            if let Some(node) = candidate.leader().await? {
                leaders.insert(source, node);
            }
        }
        Ok(leaders)
    }

    /// The fetches that wait and that are being done, by source.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn fetches(&self) -> Result<BTreeMap<String, FetchCounts>, ClusterError> {
        let work = self.stream(StreamUse::Work).await?;
        let call = async || {
            let consumers = work.consumers().try_collect::<Vec<_>>().await;
            Ok(consumers.map_or_else(|error| Try::Passing(error.to_string()), Try::Done))
        };
        let consumers = self.repeat("counting the fetches", call).await?;
        let fetches = consumers.into_iter().filter_map(|consumer| {
            let fetches = FetchCounts {
                waiting: consumer.num_pending,
                taken: consumer.num_ack_pending as u64,
            };
            Some((untoken(&consumer.name)?, fetches))
        });
        Ok(fetches.collect())
    }

    /// A subject by which nodes are asked; it is in no stream.
    fn of_nodes(&self, whom: &str) -> String {
        format!("{}.{whom}", self.settings.named("nodes"))
    }
}

impl NodeState {
    fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Passes a request on; returns the answer.
fn heed(message: &Message, tell: &mpsc::Sender<NodeRequest>) -> Vec<u8> {
    let Ok(request) = serde_json::from_slice(&message.payload) else {
        return b"this version of the program does not know the request".to_vec();
    };
    match tell.try_send(request) {
        Ok(()) => b"ok".to_vec(),
        Err(_) => b"it is ending".to_vec(),
    }
}
