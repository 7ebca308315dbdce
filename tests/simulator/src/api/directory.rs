//! Users, queues, wrap-up codes and divisions, by their ids, by a name, or all of them.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::{Refusal, params::Params};
use crate::{
    http::Request,
    id::Kind,
    organization::{AGENTS, DIVISIONS, QUEUES, WRAP_UP_CODES},
    server::World,
};

type Answer = Result<(StatusCode, Value), Refusal>;

/// The most entities on a page.
const PAGE: u64 = 100;
/// Each how many'th user is no longer active.
const INACTIVE: u64 = 10;

/// Lists users; those that are not active only if they are requested.
pub(super) fn users(world: &World, request: &Request) -> Answer {
    let params = Params::of(request, &["id", "pageSize", "pageNumber", "state"])?;
    let states = ["active", "inactive", "deleted", "any"];
    let state = params.choice("state", &states)?.unwrap_or("active");
    let wanted = (0..AGENTS).filter(|agent| match state {
        "any" => true,
        "active" => agent % INACTIVE != 0,
        _ => agent % INACTIVE == 0,
    });
    let organization = &world.organization;
    let entities = wanted.map(|agent| {
        json!({
            "id": organization.agent_id(agent),
            "name": organization.agent_name(agent),
            "state": if agent % INACTIVE == 0 { "inactive" } else { "active" },
        })
    });
    page("/api/v2/users", &params, entities)
}

/// Lists queues.
pub(super) fn queues(world: &World, request: &Request) -> Answer {
    let params = Params::of(request, &["id", "name", "pageSize", "pageNumber"])?;
    let organization = &world.organization;
    let entities = (0..QUEUES.len() as u64).map(|queue| {
        json!({
            "id": organization.ids.make(Kind::Queue, queue, 0),
            "name": organization.queue_name(queue),
        })
    });
    // Exactly this name, but for asterisks that lead or trail (RoutingApi.get_routing_queues).
    let entities = entities.filter(|entity| {
        params.get("name").is_none_or(|wanted| {
            let name = entity["name"].as_str().unwrap_or_default().to_lowercase();
            let wanted = wanted.to_lowercase();
            let bare = wanted.trim_matches('*');
            match (wanted.starts_with('*'), wanted.ends_with('*')) {
                (false, false) => name == bare,
                (true, false) => name.ends_with(bare),
                (false, true) => name.starts_with(bare),
                (true, true) => name.contains(bare),
            }
        })
    });
    page("/api/v2/routing/queues", &params, entities)
}

/// Lists wrap-up codes.
pub(super) fn wrap_up_codes(world: &World, request: &Request) -> Answer {
    let params = Params::of(request, &["id", "pageSize", "pageNumber"])?;
    let organization = &world.organization;
    let entities = (0..WRAP_UP_CODES).map(|code| {
        json!({
            "id": organization.ids.make(Kind::WrapUpCode, code, 0),
            "name": organization.wrap_up_name(code),
        })
    });
    page("/api/v2/routing/wrapupcodes", &params, entities)
}

/// Lists divisions.
pub(super) fn divisions(world: &World, request: &Request) -> Answer {
    let params = Params::of(request, &["id", "name", "pageSize", "pageNumber"])?;
    let organization = &world.organization;
    let entities = (0..DIVISIONS).map(|division| {
        json!({
            "id": organization.division_id(division),
            "name": organization.division_name(division),
            "homeDivision": division == 0,
        })
    });
    // A search term (AuthorizationApi.get_authorization_divisions).
    let entities = entities.filter(|entity| {
        params.get("name").is_none_or(|term| {
            let name = entity["name"].as_str().unwrap_or_default().to_lowercase();
            name.contains(&term.to_lowercase())
        })
    });
    page("/api/v2/authorization/divisions", &params, entities)
}

fn page(uri: &str, params: &Params, entities: impl Iterator<Item = Value>) -> Answer {
    let size = params.number("pageSize", 25, PAGE)?.max(1);
    let number = params.number("pageNumber", 1, u64::MAX)?.max(1);
    // Either a parameter for each id, or all in one, as the SDKs send them.
    let ids: Vec<&str> = params.all("id").flat_map(|ids| ids.split(',')).collect();
    if ids.len() as u64 > PAGE {
        return Err(Refusal::bad(format!("More than {PAGE} ids were given")));
    }
    let listed = |entity: &Value| {
        ids.is_empty() || entity["id"].as_str().is_some_and(|id| ids.contains(&id))
    };
    let entities: Vec<Value> = entities.filter(listed).collect();
    let total = entities.len() as u64;
    let skipped = (number - 1).saturating_mul(size);
    let shown = entities.into_iter().skip(skipped as usize);
    Ok((
        StatusCode::OK,
        json!({
            "entities": shown.take(size as usize).collect::<Vec<_>>(),
            "pageSize": size,
            "pageNumber": number,
            "total": total,
            "pageCount": total.div_ceil(size),
            "selfUri": format!("{uri}?pageSize={size}&pageNumber={number}"),
        }),
    ))
}
