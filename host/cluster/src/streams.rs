//! The streams of a fleet: made by one node, looked up by all.

use std::time::Duration;

use async_nats::jetstream::{
    context::{CreateStreamErrorKind, GetStreamErrorKind},
    stream::{Config, DiscardPolicy, RetentionPolicy, StorageType, Stream},
};

use tokio::time::Instant;

use super::{ClusterError, Fleet, FleetSettings, connection::Try};

/// The most bytes of the rates: one small message for each credential.
const RATE_BYTES: u64 = 8 << 20;
/// How long too few servers may become enough.
const GATHER: Duration = Duration::from_secs(10);
/// How long the servers know a message that is published again.
const DUPLICATES: Duration = Duration::from_secs(120);

/// The use of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamUse {
    /// The leader's lease, and the fetches that wait for a node.
    Work,
    /// The changes that nodes report of fetches.
    Reports,
    /// The changes to the ledgers of exports.
    Journal,
    /// Snapshots of the ledgers of exports.
    Snapshots,
    /// The times of the vendor's rate that are leased.
    FleetRateLimiter,
}

/// A stream, as its servers have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamState {
    /// Its use.
    pub of: StreamUse,
    /// Its name.
    pub name: String,
    /// Messages in it.
    pub messages: u64,
    /// Bytes in it, on each server.
    pub bytes: u64,
    /// The most bytes.
    pub most_bytes: u64,
    /// The server that leads it, if it is one of several.
    pub leader: Option<String>,
    /// The servers that it is on which are up to date, the leader among them.
    pub current: usize,
    /// On how many servers it is to be.
    pub replicas: usize,
}

impl StreamUse {
    /// All of them.
    pub const ALL: [StreamUse; 5] = [
        StreamUse::Work,
        StreamUse::Reports,
        StreamUse::Journal,
        StreamUse::Snapshots,
        StreamUse::FleetRateLimiter,
    ];

    /// The stream's name.
    pub(super) fn stream(self, settings: &FleetSettings) -> String {
        match self {
            StreamUse::Work => settings.named("work"),
            StreamUse::Reports => settings.named("reports"),
            StreamUse::Journal => settings.named("journal"),
            StreamUse::Snapshots => settings.named("snapshots"),
            StreamUse::FleetRateLimiter => format!("KV_{}", settings.named("rate")),
        }
    }

    /// A subject in it.
    pub(super) fn subject(self, settings: &FleetSettings, what: &str) -> String {
        match self {
            StreamUse::Work => settings.subject(what),
            StreamUse::Reports | StreamUse::Journal | StreamUse::Snapshots => {
                format!("{}.{what}", self.stream(settings))
            }
            StreamUse::FleetRateLimiter => format!("$KV.{}.{what}", settings.named("rate")),
        }
    }

    /// The stream as it is to be.
    fn config(self, settings: &FleetSettings) -> Config {
        let common = Config {
            name: self.stream(settings),
            subjects: vec![self.subject(settings, ">")],
            storage: StorageType::File,
            num_replicas: settings.replicas,
            max_messages: -1,
            max_messages_per_subject: 1,
            max_message_size: -1,
            max_consumers: -1,
            // What does not fit is refused: nothing that waits is ever dropped for it.
            discard: DiscardPolicy::New,
            duplicate_window: DUPLICATES,
            allow_rollup: true,
            allow_atomic_publish: true,
            ..Config::default()
        };
        match self {
            StreamUse::Work => Config {
                max_bytes: signed(settings.storage.work),
                retention: RetentionPolicy::WorkQueue,
                // A second copy of a fetch that waits is refused, and does not take its place.
                discard_new_per_subject: true,
                allow_message_ttl: true,
                ..common
            },
            StreamUse::Reports => kept(common, settings.storage.reports),
            StreamUse::Journal => kept(common, settings.storage.journal),
            StreamUse::Snapshots => kept(common, settings.storage.snapshots),
            StreamUse::FleetRateLimiter => Config {
                max_bytes: signed(RATE_BYTES),
                deny_delete: true,
                ..common
            },
        }
    }
}

/// A stream of subjects with many messages, which go all at once or from the first on, and never one by one.
fn kept(common: Config, bytes: u64) -> Config {
    Config {
        max_bytes: signed(bytes),
        max_messages_per_subject: -1,
        deny_delete: true,
        ..common
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// What of a stream is not as it is to be.
fn differences(have: &Config, want: &Config) -> Vec<String> {
    let name = &want.name;
    fn text(value: impl std::fmt::Debug) -> String {
        format!("{value:?}")
    }
    let settings = |of: &Config| {
        [
            ("subjects", text(&of.subjects)),
            ("num_replicas", text(of.num_replicas)),
            ("max_bytes", text(of.max_bytes)),
            ("max_age", text(of.max_age)),
            ("max_msgs_per_subject", text(of.max_messages_per_subject)),
            ("storage", text(of.storage)),
            ("retention", text(of.retention)),
            ("discard", text(of.discard)),
            ("discard_new_per_subject", text(of.discard_new_per_subject)),
            ("duplicate_window", text(of.duplicate_window)),
            ("deny_delete", text(of.deny_delete)),
            ("allow_rollup_hdrs", text(of.allow_rollup)),
            ("allow_msg_ttl", text(of.allow_message_ttl)),
            ("allow_atomic", text(of.allow_atomic_publish)),
        ]
    };
    let pairs = settings(have).into_iter().zip(settings(want));
    let differing = pairs.filter(|((_, have), (_, want))| have != want);
    differing
        .map(|((what, have), (_, want))| format!("{} has {what} {have} and not {want}", name))
        .collect()
}

impl Fleet {
    /// Makes the streams, or brings those that are there to these settings. For one node, once: servers lose
    /// the answers to several that make the same stream at once.
    ///
    /// # Errors
    /// [`ClusterError`]; it may be repeated.
    pub async fn init(&self) -> Result<(), ClusterError> {
        for of in StreamUse::ALL {
            let config = of.config(&self.settings);
            let what = format!("making the stream {}", config.name);
            let began = Instant::now();
            let call = async || match self.make(config.clone()).await {
                // Servers that have just started do not know of each other yet.
                Err(ClusterError::NoRoomForStream { reason, .. }) if began.elapsed() < GATHER => {
                    Ok(Try::Passing(reason))
                }
                made => made,
            };
            self.repeat(&what, call).await?;
        }
        Ok(())
    }

    async fn make(&self, config: Config) -> Result<Try<()>, ClusterError> {
        let (stream, replicas) = (config.name.clone(), config.num_replicas);
        let bytes = config.max_bytes.unsigned_abs();
        let Err(error) = self.context.create_or_update_stream(config).await else {
            return Ok(Try::Done(()));
        };
        let reason = error.to_string();
        match error.kind() {
            // Too few servers (10005, 10074), too little room (10047, 10028, 10023).
            CreateStreamErrorKind::JetStream(it)
                if [10005, 10074, 10047, 10028, 10023].contains(&it.error_code().0) =>
            {
                Err(ClusterError::NoRoomForStream {
                    stream,
                    replicas,
                    bytes,
                    reason,
                })
            }
            CreateStreamErrorKind::JetStream(it) if it.code() != 503 => {
                Err(ClusterError::Refused {
                    what: format!("the stream {stream}"),
                    reason,
                    code: it.error_code().0,
                })
            }
            _ => Ok(Try::Passing(reason)),
        }
    }

    /// Connects to a fleet whose streams are made, and checks them.
    ///
    /// # Errors
    /// [`ClusterError::NotReady`] names what is missing or set differently; any other [`ClusterError`].
    pub async fn open(settings: FleetSettings) -> Result<Fleet, ClusterError> {
        let fleet = Fleet::connect(settings).await?;
        let problems = fleet.problems().await?;
        match problems.is_empty() {
            true => Ok(fleet),
            false => Err(ClusterError::NotReady {
                fleet: fleet.settings.name.clone(),
                problems,
            }),
        }
    }

    /// The streams that are missing or set differently, each with what is wrong.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn problems(&self) -> Result<Vec<String>, ClusterError> {
        let mut problems = Vec::new();
        for of in StreamUse::ALL {
            let want = of.config(&self.settings);
            match self.look_up(&want.name).await? {
                None => problems.push(format!("the stream {} is missing", want.name)),
                Some(stream) => problems.extend(differences(&stream.cached_info().config, &want)),
            }
        }
        Ok(problems)
    }

    /// The streams, as their servers have them.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn streams(&self) -> Result<Vec<StreamState>, ClusterError> {
        let mut states = Vec::new();
        for of in StreamUse::ALL {
            let name = of.stream(&self.settings);
            let Some(stream) = self.look_up(&name).await? else {
                continue;
            };
            let info = stream.cached_info();
            let cluster = info.cluster.as_ref();
            let current = cluster.map_or(0, |it| {
                it.replicas
                    .iter()
                    .filter(|it| it.current && !it.offline)
                    .count()
            });
            states.push(StreamState {
                of,
                name,
                messages: info.state.messages,
                bytes: info.state.bytes,
                most_bytes: info.config.max_bytes.unsigned_abs(),
                leader: cluster.and_then(|it| it.leader.clone()),
                current: current + 1,
                replicas: info.config.num_replicas,
            });
        }
        Ok(states)
    }

    async fn look_up(&self, name: &str) -> Result<Option<Stream>, ClusterError> {
        let what = format!("looking up the stream {name}");
        self.repeat(&what, async || match self.context.get_stream(name).await {
            Ok(stream) => Ok(Try::Done(Some(stream))),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(it) if it.code() == 404 => Ok(Try::Done(None)),
                _ => Ok(Try::Passing(error.to_string())),
            },
        })
        .await
    }

    /// A stream that has been looked up before.
    pub(super) async fn stream(&self, of: StreamUse) -> Result<Stream<()>, ClusterError> {
        let name = of.stream(&self.settings);
        let stream = self.context.get_stream_no_info(&name).await;
        stream.map_err(|error| ClusterError::Unreadable {
            what: format!("the stream {name}"),
            reason: error.to_string(),
        })
    }
}
