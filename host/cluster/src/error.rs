//! Why a fleet cannot be used.

use std::{path::PathBuf, time::Duration};

/// Why a fleet cannot be used. No credential is ever part of it.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A setting cannot be used.
    #[error("cluster.{setting}: {reason}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// The fault, and what would be right.
        reason: String,
    },
    /// A file that a setting names cannot be read.
    #[error("cluster.{setting}: {}: {source}; check the path and who may read it", path.display())]
    File {
        /// The setting's name.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// The error from the system.
        source: std::io::Error,
    },
    /// No server answers.
    #[error(
        "none of the NATS servers {servers} can be reached ({reason}); check `servers`, and that they run"
    )]
    Unreachable {
        /// The servers that were tried.
        servers: String,
        /// The last error.
        reason: String,
    },
    /// The servers refuse the credentials.
    #[error("the NATS servers {servers} refuse the log-in ({reason}); check `credentials`")]
    LogIn {
        /// The servers that were tried.
        servers: String,
        /// The server's words.
        reason: String,
    },
    /// A server is older than what is needed.
    #[error("the NATS server {server} is version {version}; it must be at least 2.15: update it")]
    OldServer {
        /// The server's name.
        server: String,
        /// Its version.
        version: String,
    },
    /// JetStream does not answer.
    #[error(
        "the NATS server {server} has no JetStream ({reason}); start each server with a `jetstream` block in its configuration and a `store_dir` of its own, and enable JetStream for the account"
    )]
    NoJetStream {
        /// The server's name.
        server: String,
        /// The server's words.
        reason: String,
    },
    /// There are too few servers, or they have too little room.
    #[error(
        "the stream {stream} cannot be made ({reason}); {replicas} servers are to have room for {bytes} more bytes each: raise `max_file` of JetStream, or lower `replicas` or `storage`"
    )]
    NoRoomForStream {
        /// The stream.
        stream: String,
        /// On how many servers it is to be.
        replicas: usize,
        /// The bytes that it reserves on each.
        bytes: u64,
        /// The server's words.
        reason: String,
    },
    /// Streams are missing or set differently.
    #[error("the fleet {fleet} is not ready: {}; make them with `cluster init`, once, from one node", problems.join("; "))]
    NotReady {
        /// The fleet's name.
        fleet: String,
        /// The settings that are missing or differ.
        problems: Vec<String>,
    },
    /// A stream holds all that it may.
    #[error("the stream {0} is full; raise its limit in `storage`, and create again")]
    Full(String),
    /// A message is larger than the servers take.
    #[error(
        "a message of {bytes} bytes for {subject} is above the servers' `max_payload` of {most}; raise it"
    )]
    TooLarge {
        /// The message's subject.
        subject: String,
        /// Its size.
        bytes: usize,
        /// The most that is taken.
        most: usize,
    },
    /// More messages in one step than can be stored at once.
    #[error("{count} messages are to be stored at once; {most} are the most")]
    TooMany {
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// A server refuses what it is asked to store or to do.
    #[error("the NATS servers refuse {what}: {reason} ({code})")]
    Refused {
        /// The request.
        what: String,
        /// The server's words.
        reason: String,
        /// The server's code of the error.
        code: u64,
    },
    /// The servers have not answered for long.
    #[error("the NATS servers did not do this for {}: {what} ({reason}); bring most of them back, and run again", seconds(*waited))]
    Unavailable {
        /// The request.
        what: String,
        /// How long it was tried.
        waited: Duration,
        /// The last error.
        reason: String,
    },
    /// No node of this name answers.
    #[error("no node of the name {0} answers; `cluster status` lists those that do")]
    NoSuchNode(String),
    /// This node leads no longer.
    #[error("this node leads the export no longer: {0}")]
    NotLeading(#[from] super::SteppedDown),
    /// A later version of this program has written it.
    #[error(
        "{what} has the format {version}, which this version of the program does not know; use the later one on every node"
    )]
    OtherVersion {
        /// The thing that was read.
        what: String,
        /// The version of its format.
        version: u32,
    },
    /// A message that was read makes no sense.
    #[error("{what} cannot be read ({reason}); another program has written to the fleet's streams")]
    Unreadable {
        /// The thing that was read.
        what: String,
        /// Why not.
        reason: String,
    },
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs())
}

impl From<ClusterError> for recording_host_state::QueueError {
    fn from(error: ClusterError) -> Self {
        match error {
            ClusterError::NotLeading(_) => Self::NotLeading,
            error => Self::Backend(Box::new(error)),
        }
    }
}
