//! Serves an organisation on three origins.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::{StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    Organisation, Settings,
    api::{self, Jobs, Tokens},
    faults::{self, Chance},
    http::{Reply, Request},
    media::{self, Media},
    time::Clock,
};

/// The largest body of a request: `request.bytes.max` of the vendor's limits.
const BODY: usize = 512_000;
/// Rejections whose reason is remembered.
const REASONS: usize = 100;

/// What has been asked of a simulator.
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
    /// Requests that met a fault.
    pub faults: u64,
}

/// Everything that the three origins share.
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) organisation: Organisation,
    pub(crate) clock: Clock,
    pub(crate) tokens: Tokens,
    pub(crate) jobs: Jobs,
    pub(crate) media: Media,
    pub(crate) media_url: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) chance: Chance,
    stats: Mutex<Stats>,
}

impl World {
    pub(crate) fn stats(&self) -> MutexGuard<'_, Stats> {
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
    /// Serves the API at `listen`, log-in and media at the next two ports, or any free ones if
    /// the port is 0.
    ///
    /// # Errors
    /// What the system says when an address cannot be had.
    pub async fn start(listen: SocketAddr, settings: Settings) -> io::Result<Self> {
        let next = |step: u16| {
            let mut address = listen;
            if listen.port() != 0 {
                address.set_port(listen.port().wrapping_add(step));
            }
            address
        };
        let api = TcpListener::bind(listen).await?;
        let login = TcpListener::bind(next(1)).await?;
        let media = TcpListener::bind(next(2)).await?;
        let organisation = Organisation::new(settings.clone());
        let client = organisation.ids.make(crate::id::Kind::User, 999, 0);
        let world = Arc::new(World {
            clock: Clock::new(settings.speed),
            tokens: Tokens::new(settings.seed),
            jobs: Jobs::default(),
            media: Media::new(settings.seed),
            media_url: format!("http://{}", media.local_addr()?),
            client_secret: format!("secret-of-{}", &client[..8]),
            client_id: client,
            chance: Chance::new(settings.seed),
            stats: Mutex::default(),
            organisation,
            settings,
        });
        let (api_address, login_address) = (api.local_addr()?, login.local_addr()?);
        let mut tasks = JoinSet::new();
        for (listener, origin) in [
            (api, Origin::Api),
            (login, Origin::Login),
            (media, Origin::Media),
        ] {
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
        self.world.client_secret.clone()
    }

    /// What it serves.
    #[must_use]
    pub fn organisation(&self) -> &Organisation {
        &self.world.organisation
    }

    /// What has been asked of it so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.world.stats().clone()
    }

    /// Ends it, with all of its connections.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }
}

async fn accept(listener: TcpListener, origin: Origin, world: Arc<World>) {
    // Dropped with this task, and with them their connections.
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((stream, _)) = stream else { continue };
        let _ = stream.set_nodelay(true);
        let world = Arc::clone(&world);
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let world = Arc::clone(&world);
                async move { serve(&world, origin, request).await }
            });
            // What ends a connection is its client's business.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn serve(
    world: &Arc<World>,
    origin: Origin,
    request: hyper::Request<Incoming>,
) -> io::Result<Reply> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, BODY).collect().await;
    let too_large = body.is_err();
    let request = Request {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body: body.map_or_else(|_| Bytes::new(), http_body_util::Collected::to_bytes),
    };
    if let Some(fault) = fault(world, origin) {
        world.stats().faults += 1;
        return fault;
    }
    let (reply, reason) = match origin {
        Origin::Media => (media::serve(world, &request).await, None),
        Origin::Login => api::token::serve(world, &request),
        Origin::Api => api::serve(world, &request, too_large),
    };
    let kind = match origin {
        Origin::Api => format!("{} {}", request.method, without_ids(&request.path)),
        Origin::Login => format!("{} login {}", request.method, request.path),
        Origin::Media => format!("{} media", request.method),
    };
    world.count(kind, &reply, reason);
    Ok(reply)
}

/// What happens instead of an answer, if a fault strikes.
fn fault(world: &World, origin: Origin) -> Option<io::Result<Reply>> {
    let (rates, chance) = (&world.settings.faults, &world.chance);
    if chance.strikes(rates.reset) {
        return Some(Err(io::ErrorKind::ConnectionReset.into()));
    }
    if chance.strikes(rates.server_error) {
        return Some(Ok(faults::server_error(chance)));
    }
    match origin {
        Origin::Api if chance.strikes(rates.throttle) => Some(Ok(faults::throttled())),
        Origin::Api if chance.strikes(rates.unauthorized) => {
            world.tokens.forget();
            Some(Ok(faults::unauthorized()))
        }
        Origin::Media if chance.strikes(rates.expired) => Some(Ok(media::expired())),
        _ => None,
    }
}

fn without_ids(path: &str) -> String {
    let parts: Vec<&str> = path
        .split('/')
        .map(|part| {
            if crate::id::uuid(part).is_some() {
                "{id}"
            } else {
                part
            }
        })
        .collect();
    parts.join("/")
}
