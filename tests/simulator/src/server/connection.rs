//! One connection: requests are read, faults strike or not, and answers are sent.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::{
    StatusCode,
    body::{Body as _, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpStream, sync::watch};

use super::{Origin, World};
use crate::{
    api,
    faults::{Fault, answer, body::Shape},
    http::{Reply, Request, reply, set},
    media,
    rng::Rng,
};

/// The largest body of a request: `request.bytes.max` of the vendor's limits.
const BODY: usize = 512_000;

/// Where the simulator gives its time: no path of the vendor's.
pub(super) const CLOCK: &str = "/simulator/clock";

/// The kind of request that submits a batch job.
const SUBMISSION: &str = "POST /api/v2/recording/batchrequests";

/// Serves a connection until its client, a fault or the closing of its port ends it.
pub(super) async fn serve(
    stream: TcpStream,
    origin: Origin,
    world: Arc<World>,
    mut closings: watch::Receiver<Duration>,
) {
    let reset = Arc::new(AtomicBool::new(false));
    let service = service_fn(|request| {
        let (world, reset) = (Arc::clone(&world), Arc::clone(&reset));
        async move { respond(&world, origin, request, &reset).await }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    // How a connection ends is its client's business.
    let closing = tokio::select! {
        _ = &mut connection => false,
        _ = closings.changed() => true,
    };
    if closing {
        Pin::new(&mut connection).graceful_shutdown();
        let _ = (&mut connection).await;
    }
    if reset.load(Ordering::Acquire) {
        // Without lingering, dropping the socket resets the connection.
        let _ = connection.into_parts().io.into_inner().set_zero_linger();
    }
}

async fn respond(
    world: &Arc<World>,
    port: Origin,
    request: hyper::Request<Incoming>,
    reset: &AtomicBool,
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
    if matches!(port, Origin::Api) && request.path == CLOCK {
        return Ok(reply(
            StatusCode::OK,
            "application/json",
            world.clock.json(),
        ));
    }
    let origin = served(world, port, &request.path);
    match interruption(world, port, origin).await {
        Some(Interruption::Reset) => {
            reset.store(true, Ordering::Release);
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Some(Interruption::Answer(answer)) => return Ok(answer),
        None => {}
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
    let submission = kind == SUBMISSION && reply.status().is_success();
    world.count(kind, &reply, reason);
    Ok(sent(world, origin, submission, reply))
}

/// The origin that answers a request to a port: the vendor's SDKs log in at the API's address, and all
/// of it may be on one port.
fn served(world: &World, port: Origin, path: &str) -> Origin {
    match port {
        Origin::Api if path == api::token::PATH => Origin::Login,
        Origin::Api if world.settings.one_port && !path.starts_with("/api/") => Origin::Media,
        port => port,
    }
}

/// An event in place of the regular answer.
enum Interruption {
    Reset,
    Answer(Reply),
}

async fn interruption(world: &World, port: Origin, origin: Origin) -> Option<Interruption> {
    let chance = &world.chance;
    let door = world.door(port);
    // A port that is closed cannot be closed once more.
    let refuse = (!door.is_closed())
        .then(|| chance.strikes(Fault::Refuse))
        .flatten();
    if let Some(mut rng) = refuse {
        let pause = world.clock.real(between(&mut rng, 200, 3000));
        door.close(pause).await;
        return Some(Interruption::Reset);
    }
    if chance.strikes(Fault::Reset).is_some() {
        return Some(Interruption::Reset);
    }
    if let Some(mut rng) = chance.strikes(Fault::ServerError) {
        return Some(Interruption::Answer(match origin {
            Origin::Api | Origin::Login => answer::server_error(&mut rng),
            Origin::Media => media::server_error(&mut rng),
        }));
    }
    if !matches!(origin, Origin::Media) && chance.strikes(Fault::Timeout).is_some() {
        return Some(Interruption::Answer(answer::timeout()));
    }
    match origin {
        Origin::Api if chance.strikes(Fault::Throttle).is_some() => {
            Some(Interruption::Answer(answer::throttled()))
        }
        Origin::Api if chance.strikes(Fault::Unauthorized).is_some() => {
            world.tokens.forget();
            Some(Interruption::Answer(answer::unauthorized()))
        }
        Origin::Login => login_down(world, port).await,
        _ => None,
    }
}

/// The log-in service is down for a while: it says so, or its port is closed.
async fn login_down(world: &World, port: Origin) -> Option<Interruption> {
    let now = world.clock.now();
    if now < world.login_up.load(Ordering::Acquire) {
        return Some(Interruption::Answer(answer::unavailable()));
    }
    let mut rng = world.chance.strikes(Fault::LoginDown)?;
    let pause = between(&mut rng, 2000, 20_000);
    if rng.percent(50) {
        let pause = world.clock.real(pause);
        world.door(port).close(pause).await;
        return Some(Interruption::Reset);
    }
    let up = now + pause.as_millis() as u64;
    world.login_up.store(up, Ordering::Release);
    Some(Interruption::Answer(answer::unavailable()))
}

/// The answer as it is sent: the API's and the log-in's may be cut, and any may trickle.
fn sent(world: &World, origin: Origin, submission: bool, mut reply: Reply) -> Reply {
    let mut shape = Shape::default();
    if matches!(origin, Origin::Api | Origin::Login)
        && let Some(length) = reply
            .body()
            .size_hint()
            .exact()
            .filter(|length| *length > 1)
    {
        if let Some(mut rng) = world.chance.strikes(Fault::CutAnswer) {
            shape.cut = Some(rng.below(length));
            if submission {
                world.jobs.note_unheard();
            }
        }
        set(&mut reply, "content-length", &length.to_string());
    }
    if let Some(mut rng) = world.chance.strikes(Fault::Drip) {
        shape.slow_body = Some(world.clock.real(between(&mut rng, 1000, 10_000)));
    }
    let (head, body) = reply.into_parts();
    Reply::from_parts(head, shape.of(body))
}

/// A length of time in ms.
fn between(rng: &mut Rng, least: u64, most: u64) -> Duration {
    Duration::from_millis(least + rng.below(most - least + 1))
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
