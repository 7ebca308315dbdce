//! The connection to the servers of a fleet.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_nats::jetstream::message::StreamMessage;
use async_nats::{
    Client, ConnectErrorKind, ConnectOptions,
    jetstream::{
        Context,
        context::{AccountErrorKind, ContextBuilder},
        stream::{LastRawMessageError, LastRawMessageErrorKind, Stream},
    },
};
use tokio::time::{Instant, sleep};

use super::{ClusterError, FleetSettings};

/// How long a server has for an answer. An election takes longer; the call is then repeated.
pub(super) const ANSWER: Duration = Duration::from_secs(2);
/// How long the first connection is tried.
const CONNECT: Duration = Duration::from_secs(10);
/// After as many answers in a row that did not come, another server is connected to.
const SILENT: u32 = 2;
/// The oldest server that has all that is used.
const OLDEST: (u32, u32) = (2, 15);

/// A fleet, as one node of it is connected to its servers; clones share the connection.
#[derive(Clone)]
pub struct Fleet {
    pub(super) client: Client,
    pub(super) context: Context,
    pub(super) settings: Arc<FleetSettings>,
    /// Answers in a row that did not come.
    silent: Arc<AtomicU32>,
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("Fleet");
        text.field("name", &self.settings.name)
            .finish_non_exhaustive()
    }
}

/// One try of a call.
pub(super) enum Try<T> {
    /// It is done.
    Done(T),
    /// It has failed for now: why.
    Passing(String),
}

impl Fleet {
    /// Connects, and checks the server's version and that it has JetStream. Nothing is made.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn connect(settings: FleetSettings) -> Result<Fleet, ClusterError> {
        settings.check()?;
        let client = connect(&settings).await?;
        let context = ContextBuilder::new()
            .timeout(ANSWER)
            .ack_timeout(ANSWER)
            .build(client.clone());
        let fleet = Fleet {
            client,
            context,
            settings: Arc::new(settings),
            silent: Arc::default(),
        };
        fleet.check_server().await?;
        Ok(fleet)
    }

    /// The settings that it was connected with.
    #[must_use]
    pub fn settings(&self) -> &FleetSettings {
        &self.settings
    }

    /// The same connection, whose calls fail once the servers have been away for so long.
    pub(super) fn with_patience(&self, patience: Duration) -> Fleet {
        let settings = FleetSettings {
            patience,
            ..(*self.settings).clone()
        };
        Fleet {
            settings: Arc::new(settings),
            ..self.clone()
        }
    }

    async fn check_server(&self) -> Result<(), ClusterError> {
        let server = self.client.server_info();
        if !is_new_enough(&server.version) {
            return Err(ClusterError::OldServer {
                server: server.server_name,
                version: server.version,
            });
        }
        let until = Instant::now() + CONNECT;
        let ask = async || {
            let Err(error) = self.context.query_account().await else {
                return Ok(Try::Done(()));
            };
            let reason = error.to_string();
            match error.kind() {
                // Servers that have just started, or that are too few, have no leader.
                AccountErrorKind::TimedOut => Ok(Try::Passing(reason)),
                _ if Instant::now() < until => Ok(Try::Passing(reason)),
                _ => Err(ClusterError::NoJetStream {
                    server: server.server_name.clone(),
                    reason,
                }),
            }
        };
        self.repeat("answering for JetStream", ask).await
    }

    /// Repeats a call until it is done or the patience is over.
    pub(super) async fn repeat<T, F>(
        &self,
        what: &str,
        mut call: impl FnMut() -> F,
    ) -> Result<T, ClusterError>
    where
        F: Future<Output = Result<Try<T>, ClusterError>>,
    {
        let began = Instant::now();
        loop {
            let reason = match call().await? {
                Try::Done(value) => return Ok(value),
                Try::Passing(reason) => reason,
            };
            let waited = began.elapsed();
            if waited >= self.settings.patience {
                return Err(ClusterError::Unavailable {
                    what: what.to_owned(),
                    waited,
                    reason,
                });
            }
            tracing::debug!(what, reason, "the NATS servers are tried again");
            pause().await;
        }
    }

    /// Learns that a server has answered.
    pub(super) fn answered(&self) {
        self.silent.store(0, Ordering::Relaxed);
    }

    /// Learns that a server has not answered: a connection that seems well may lead to one that is cut off
    /// from the others.
    pub(super) async fn unanswered(&self) {
        if self.silent.fetch_add(1, Ordering::Relaxed) + 1 >= SILENT {
            self.answered();
            // Fails if a reconnection is under way.
            let _ = self.client.force_reconnect().await;
        }
    }

    /// The last message of a subject, which may hold wildcards, from the stream's leader: another replica may
    /// be behind.
    pub(super) async fn last(
        &self,
        stream: &Stream<()>,
        subject: &str,
    ) -> Result<Option<StreamMessage>, ClusterError> {
        let what = format!("reading {subject}");
        self.repeat(&what, || self.try_last(stream, subject)).await
    }

    /// The same, tried once.
    pub(super) async fn try_last(
        &self,
        stream: &Stream<()>,
        subject: &str,
    ) -> Result<Try<Option<StreamMessage>>, ClusterError> {
        let read = stream.get_last_raw_message_by_subject(subject).await;
        Ok(self.heed(read).await)
    }

    /// What reading one message has come to.
    pub(super) async fn heed(
        &self,
        read: Result<StreamMessage, LastRawMessageError>,
    ) -> Try<Option<StreamMessage>> {
        match read {
            Ok(message) => {
                self.answered();
                Try::Done(Some(message))
            }
            Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => {
                self.answered();
                Try::Done(None)
            }
            Err(error) => {
                self.unanswered().await;
                Try::Passing(error.to_string())
            }
        }
    }
}

/// A moment until a call is repeated, not the same on all nodes.
pub(super) async fn pause() {
    sleep(Duration::from_millis(rand::random_range(20..=200))).await;
}

async fn connect(settings: &FleetSettings) -> Result<Client, ClusterError> {
    let until = Instant::now() + CONNECT;
    let addresses: Vec<async_nats::ServerAddr> = settings
        .servers
        .iter()
        .filter_map(|it| it.parse().ok())
        .collect();
    loop {
        let options = options(settings).await?;
        let error = match options.connect(&addresses[..]).await {
            Ok(client) => return Ok(client),
            Err(error) => error,
        };
        let servers = settings.servers_text();
        let reason = error.to_string();
        match error.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                return Err(ClusterError::LogIn { servers, reason });
            }
            _ if Instant::now() >= until => {
                return Err(ClusterError::Unreachable { servers, reason });
            }
            _ => sleep(Duration::from_millis(250)).await,
        }
    }
}

async fn options(settings: &FleetSettings) -> Result<ConnectOptions, ClusterError> {
    let mut options = ConnectOptions::new()
        .name(settings.named("node"))
        // A server that is gone or cut off is noticed within seconds.
        .ping_interval(Duration::from_secs(2))
        .connection_timeout(Duration::from_secs(1))
        // The settings name all of them, by addresses that this node can reach.
        .ignore_discovered_servers()
        .request_timeout(Some(ANSWER));
    if let Some(path) = &settings.credentials {
        let file = |source| ClusterError::File {
            setting: "credentials",
            path: path.clone(),
            source,
        };
        options = options.credentials_file(path).await.map_err(file)?;
    }
    if let Some(tls) = &settings.tls {
        options = options.require_tls(true);
        if let Some(path) = &tls.authorities {
            options = options.add_root_certificates(path.clone());
        }
        if let Some((certificate, key)) = &tls.identity {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
    }
    Ok(options)
}

fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split(['.', '-']).map(|it| it.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) >= OLDEST,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_new_enough;

    #[test]
    fn versions_are_compared_by_number() {
        for version in ["2.15.0", "2.15.1-beta.1", "2.100.0", "3.0.0"] {
            assert!(is_new_enough(version), "{version}");
        }
        for version in ["2.9.25", "2.14.99", "1.20.0", "", "latest"] {
            assert!(!is_new_enough(version), "{version}");
        }
    }
}
