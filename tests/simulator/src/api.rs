//! The API's origin: who may ask, how often, and where each request goes.

pub(crate) mod batch;
mod directory;
pub(crate) mod exports;
mod filter;
mod jobs;
pub(crate) mod media;
mod params;
mod permission;
mod query;
mod recording;
mod retention;
mod route;
mod row;
mod search;
pub(crate) mod token;

use hyper::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub use batch::Batches;
pub(crate) use batch::Jobs;
pub(crate) use jobs::Searches;
pub(crate) use retention::orphan;
pub(crate) use token::Tokens;

use crate::{
    faults::Fault,
    http::{Reply, Request, empty, reply, set},
    server::World,
    time::iso,
};

/// A refusal, in the vendor's words (ErrorBody).
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    limit: Option<Value>,
    /// Seconds after which to come back, if not with the next window.
    retry_after: Option<u64>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Refusal {
            status,
            code,
            message: message.into(),
            limit: None,
            retry_after: None,
        }
    }

    /// A limit of its own for one resource, below the documented one.
    fn limited(key: &str, namespace: &str, value: u64) -> Self {
        let text = "Rate limit exceeded the maximum. Retry the request in [5] seconds";
        Refusal {
            limit: Some(json!({ "key": key, "namespace": namespace, "value": value })),
            retry_after: Some(5),
            ..Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too.many.requests", text)
        }
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Refusal::new(StatusCode::BAD_REQUEST, "bad.request", message)
    }
}

/// Answers a request, and says why if it is refused.
pub(crate) fn serve(world: &World, request: &Request, too_large: bool) -> (Reply, Option<String>) {
    let correlation = world.tokens.correlation();
    let mut usage = None;
    let result = if too_large {
        Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request.entity.too.large",
            "The request is larger than 512000 bytes",
        ))
    } else {
        admitted(world, request, &mut usage)
    };
    let (mut answer, reason) = match result {
        Ok((status @ StatusCode::NO_CONTENT, _)) => (empty(status), None),
        Ok((status, mut value)) => {
            if world.chance.strikes(Fault::UnknownFields).is_some() {
                add_unknown_fields(&mut value);
            }
            // Not by `Display`, which is slow where serde_json is not optimized.
            let body = serde_json::to_vec(&value).expect("values are JSON");
            (reply(status, "application/json", body), None)
        }
        Err(refusal) => {
            let text = format!("{}: {}", refusal.code, refusal.message);
            (refused(&refusal, &correlation, usage.as_ref()), Some(text))
        }
    };
    set(&mut answer, "date", &world.clock.date());
    set(&mut answer, "inin-correlation-id", &correlation);
    if let Some(usage) = usage {
        set(
            &mut answer,
            "inin-ratelimit-count",
            &usage.count.to_string(),
        );
        let allowed = world.settings.rate_limit.to_string();
        set(&mut answer, "inin-ratelimit-allowed", &allowed);
        set(
            &mut answer,
            "inin-ratelimit-reset",
            &usage.reset.to_string(),
        );
    }
    (answer, reason)
}

/// Adds fields that no SDK knows to every object of an answer but those whose keys are data.
fn add_unknown_fields(value: &mut Value) {
    const MAPS: [&str; 2] = ["attributes", "mediaUris"];
    match value {
        Value::Array(values) => values.iter_mut().for_each(add_unknown_fields),
        Value::Object(object) => {
            for (name, inner) in object.iter_mut() {
                match (MAPS.contains(&name.as_str()), inner) {
                    (true, Value::Object(map)) => map.values_mut().for_each(add_unknown_fields),
                    (_, inner) => add_unknown_fields(inner),
                }
            }
            object.insert(
                "horoscope".into(),
                json!({ "sign": "libra", "luck": [1, null] }),
            );
            object.insert("horoscopeId".into(), Value::Null);
        }
        _ => {}
    }
}

fn refused(refusal: &Refusal, correlation: &str, usage: Option<&token::Usage>) -> Reply {
    let mut body = json!({
        "message": refusal.message,
        "code": refusal.code,
        "status": refusal.status.as_u16(),
        "contextId": correlation,
        "details": [],
        "errors": [],
    });
    if let Some(limit) = &refusal.limit {
        body["limit"] = limit.clone();
    }
    let mut answer = reply(refusal.status, "application/json", body.to_string());
    if let (StatusCode::TOO_MANY_REQUESTS, Some(usage)) = (refusal.status, usage) {
        let seconds = refusal.retry_after.unwrap_or(usage.reset);
        set(&mut answer, "retry-after", &seconds.to_string());
    }
    answer
}

fn admitted(
    world: &World,
    request: &Request,
    usage: &mut Option<token::Usage>,
) -> Result<(StatusCode, Value), Refusal> {
    let idle = world.settings.idle_timeout;
    let idle = idle.map(|idle| idle.as_millis() as u64);
    let spent = world
        .tokens
        .spend(request, world.clock.now(), idle)
        .map_err(|message| {
            let code = "authentication.required";
            Refusal::new(StatusCode::UNAUTHORIZED, code, message)
        })?;
    let allowed = u64::from(world.settings.rate_limit);
    let over = spent.count > allowed;
    let reset = spent.reset;
    *usage = Some(spent);
    if over {
        return Err(Refusal {
            limit: Some(json!({
                "key": "client.credentials.token.rate.per.minute",
                "namespace": "platform.api",
                "value": allowed,
            })),
            ..Refusal::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too.many.requests",
                format!("Rate limit exceeded the maximum. Retry the request in [{reset}] seconds"),
            )
        });
    }
    route::answer(world, request)
}

/// Reads a JSON body of exactly this shape.
fn body<T: DeserializeOwned>(request: &Request) -> Result<T, Refusal> {
    if !request.is("application/json") {
        return Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported.media.type",
            "The request must have the content type application/json",
        ));
    }
    serde_json::from_slice(&request.body)
        .map_err(|error| Refusal::bad(format!("The request could not be read: {error}")))
}

/// An instant of an interval such as `2026-01-05T00:00:00.000Z/2026-01-06T00:00:00.000Z`.
fn interval(text: &str) -> Result<(u64, u64), Refusal> {
    let refusal = || {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "invalid.date",
            format!("The interval {text} is not of the form start/end in ISO-8601"),
        )
    };
    let (from, until) = text.split_once('/').ok_or_else(refusal)?;
    let from = crate::time::parse(from).ok_or_else(refusal)?;
    let until = crate::time::parse(until).ok_or_else(refusal)?;
    if from >= until {
        return Err(Refusal::bad(format!(
            "The interval ends at {}, before it begins",
            iso(until)
        )));
    }
    Ok((from, until))
}
