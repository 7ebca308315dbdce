//! Serves an organization on three origins.

mod connection;
mod door;

use std::{
    collections::{BTreeMap, HashMap},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
};

use hyper::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    Batches, Conversation, Given, Organization, Recording, Settings, State,
    api::{Jobs, Searches, Tokens, exports::Exports, media::Transcodes},
    faults::Chance,
    http::Reply,
    media::Media,
    time::Clock,
};
use door::Door;

/// Rejections whose reason is remembered.
const REASONS: usize = 100;

/// The requests to a simulator.
#[derive(Clone, Debug, Default, Serialize, PartialEq, Eq)]
pub struct Stats {
    /// Requests by method and path, ids written as `{id}`.
    pub requests: BTreeMap<String, u64>,
    /// Requests refused with 429.
    pub refused: u64,
    /// Requests refused with another 4xx.
    pub rejected: u64,
    /// Why, for the first ones.
    pub reasons: Vec<String>,
    /// Faults that struck, all together.
    pub faults: u64,
    /// How often each fault struck, by its name.
    pub struck: BTreeMap<String, u64>,
}

/// Everything that the three origins share.
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) organization: Organization,
    pub(crate) clock: Clock,
    pub(crate) tokens: Tokens,
    pub(crate) jobs: Jobs,
    pub(crate) searches: Searches,
    pub(crate) transcodes: Transcodes,
    /// Archived recordings by id: when their restoration was requested, and until when.
    restored: Mutex<HashMap<String, (u64, u64)>>,
    pub(crate) exports: Exports,
    pub(crate) media: Media,
    pub(crate) media_url: String,
    pub(crate) client_id: String,
    client_secret: Mutex<String>,
    pub(crate) chance: Chance,
    /// Until when the log-in service is down (ms of the simulated time).
    login_up: AtomicU64,
    doors: [Door; 3],
    stats: Mutex<Stats>,
}

impl World {
    pub(crate) fn client_secret(&self) -> String {
        let now = self.client_secret.lock();
        now.expect("no panic in between").clone()
    }

    fn door(&self, origin: Origin) -> &Door {
        &self.doors[origin as usize]
    }

    /// Returns true if the client's role has the division of a conversation.
    pub(crate) fn may_see(&self, conversation: &Conversation) -> bool {
        let divisions = self.settings.divisions.as_ref();
        divisions.is_none_or(|divisions| divisions.contains(&conversation.division))
    }

    /// The conversation with this id, if it has begun and the client may see it.
    pub(crate) fn visible(&self, id: &str) -> Option<Conversation> {
        let found = self.organization.find(id)?;
        let there = found.start <= self.clock.now() && self.may_see(&found);
        there.then_some(found)
    }

    /// When the restoration of an archived recording was requested, and until when, if it was.
    pub(crate) fn restored(&self, recording: &str) -> Option<(u64, u64)> {
        let restored = self.restored.lock().unwrap_or_else(PoisonError::into_inner);
        restored.get(recording).copied()
    }

    /// Notes that an archived recording is to be restored.
    pub(crate) fn restore(&self, recording: &str, now: u64, until: u64) {
        let mut restored = self.restored.lock().unwrap_or_else(PoisonError::into_inner);
        restored.insert(recording.to_owned(), (now, until));
    }

    /// The answer of the batch API for a recording at this time, restored ones among them.
    pub(crate) fn given(&self, recording: &Recording, at: u64) -> Given {
        match self.restored(&recording.id) {
            Some((asked, until)) if recording.state == State::Archived && at < until => {
                let ready = asked + self.settings.restore_time.as_millis() as u64;
                match at >= ready {
                    true => Given::Files,
                    false => Given::Error("Recording is being restored from the archive"),
                }
            }
            _ => recording.given(at),
        }
    }

    fn stats(&self) -> MutexGuard<'_, Stats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, kind: String, reply: &Reply, reason: Option<String>) {
        let mut stats = self.stats();
        *stats.requests.entry(kind.clone()).or_default() += 1;
        if reply.status() == StatusCode::TOO_MANY_REQUESTS {
            stats.refused += 1;
        } else if reply.status().is_client_error() {
            stats.rejected += 1;
            if stats.reasons.len() < REASONS {
                let reason = reason.unwrap_or_default();
                stats
                    .reasons
                    .push(format!("{kind}: {} {reason}", reply.status().as_u16()));
            }
        }
    }
}

/// Which origin a connection came to.
#[derive(Clone, Copy)]
enum Origin {
    Api,
    Login,
    Media,
}

/// A running simulator; it ends with [`shutdown`](Self::shutdown), or when it is dropped.
pub struct Simulator {
    world: Arc<World>,
    api: SocketAddr,
    login: SocketAddr,
    tasks: JoinSet<()>,
}

impl std::fmt::Debug for Simulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulator")
            .field("api", &self.api)
            .finish_non_exhaustive()
    }
}

impl Simulator {
    /// Serves the API at `listen`, log-in and media at the next two ports, any free ones if the port
    /// is 0, or the same one with [`Settings::one_port`].
    ///
    /// # Errors
    /// The system's error when an address is unavailable.
    pub async fn start(listen: SocketAddr, settings: Settings) -> io::Result<Self> {
        let next = |step: u16| {
            let mut address = listen;
            if listen.port() != 0 {
                address.set_port(listen.port().wrapping_add(step));
            }
            address
        };
        let api = TcpListener::bind(listen).await?;
        let (login, media) = match settings.one_port {
            true => (None, None),
            false => (
                Some(TcpListener::bind(next(1)).await?),
                Some(TcpListener::bind(next(2)).await?),
            ),
        };
        let api_address = api.local_addr()?;
        let address = |listener: &Option<TcpListener>| match listener {
            Some(listener) => listener.local_addr(),
            None => Ok(api_address),
        };
        let (login_address, media_address) = (address(&login)?, address(&media)?);
        let organization = Organization::new(settings.clone());
        let client = organization.ids.make(crate::id::Kind::User, 999, 0);
        let world = Arc::new(World {
            clock: Clock::new(settings.speed, settings.clock_start),
            tokens: Tokens::new(settings.seed),
            jobs: Jobs::default(),
            searches: Searches::default(),
            transcodes: Transcodes::default(),
            restored: Mutex::default(),
            exports: Exports::default(),
            media: Media::new(settings.seed),
            media_url: format!("http://{media_address}"),
            client_secret: Mutex::new(format!("secret-of-{}", &client[..8])),
            client_id: client,
            chance: Chance::new(
                settings.faults.clone(),
                settings.fault_seed.unwrap_or(settings.seed),
            ),
            login_up: AtomicU64::new(0),
            doors: [Door::new(), Door::new(), Door::new()],
            stats: Mutex::default(),
            organization,
            settings,
        });
        let mut tasks = JoinSet::new();
        for (listener, origin) in [
            (Some(api), Origin::Api),
            (login, Origin::Login),
            (media, Origin::Media),
        ] {
            let Some(listener) = listener else { continue };
            tasks.spawn(accept(listener, origin, Arc::clone(&world)));
        }
        Ok(Simulator {
            world,
            api: api_address,
            login: login_address,
            tasks,
        })
    }

    /// The base URL of the API.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("http://{}", self.api)
    }

    /// Where the simulated time can be requested: `{"now_ms": ..., "speed": ...}`. It is no part of the
    /// vendor's API: no fault strikes there, and no request is counted.
    #[must_use]
    pub fn clock_url(&self) -> String {
        format!("http://{}{}", self.api, connection::CLOCK)
    }

    /// The base URL of the log-in service.
    #[must_use]
    pub fn login_url(&self) -> String {
        format!("http://{}", self.login)
    }

    /// The origin of the media.
    #[must_use]
    pub fn media_url(&self) -> String {
        self.world.media_url.clone()
    }

    /// The id of the OAuth client that may use the API.
    #[must_use]
    pub fn client_id(&self) -> String {
        self.world.client_id.clone()
    }

    /// Its secret.
    #[must_use]
    pub fn client_secret(&self) -> String {
        self.world.client_secret()
    }

    /// Gives the client another secret; the one before is refused from here on, and its tokens stay good.
    pub fn set_client_secret(&self, secret: &str) {
        let now = self.world.client_secret.lock();
        secret.clone_into(&mut now.expect("no panic in between"));
    }

    /// The organization that it serves.
    #[must_use]
    pub fn organization(&self) -> &Organization {
        &self.world.organization
    }

    /// The ids of the recordings that bulk actions have pushed so far.
    #[must_use]
    pub fn pushed(&self) -> std::collections::HashSet<String> {
        self.world.exports.pushed(self.world.clock.now())
    }

    /// Adds a bulk action that waits for somebody else to let it continue, and returns its id.
    #[must_use]
    pub fn add_foreign_job(&self) -> String {
        let now = self.world.clock.now();
        self.world.exports.add_foreign(self.organization(), now)
    }

    /// Answers requests for bulk actions as for an organization that has none.
    pub fn turn_bulk_actions_off(&self) {
        self.world.exports.turn_off();
    }

    /// The requests to it so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = self.world.stats().clone();
        stats.struck = self.world.chance.struck();
        stats.faults = stats.struck.values().sum();
        stats
    }

    /// The batch jobs so far.
    #[must_use]
    pub fn batches(&self) -> Batches {
        self.world.jobs.count()
    }

    /// The simulated time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let now = i64::try_from(self.world.clock.now()).unwrap_or(i64::MAX);
        Timestamp::from_millisecond(now).unwrap_or(Timestamp::MAX)
    }

    /// Ends it, with all of its connections.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Serves the connections of an origin; its port may be closed for a while.
async fn accept(mut listener: TcpListener, origin: Origin, world: Arc<World>) {
    let mut closings = world.door(origin).closings();
    // Dropped with this task, and with them their connections.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let _ = stream.set_nodelay(true);
                let (world, closings) = (Arc::clone(&world), world.door(origin).closings());
                connections.spawn(connection::serve(stream, origin, world, closings));
            }
            Some(_) = connections.join_next() => {}
            Ok(()) = closings.changed() => {
                let Ok(opened) = world.door(origin).pass(listener).await else { return };
                listener = opened;
            }
        }
    }
}
