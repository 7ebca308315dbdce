//! The names behind ids: users, queues, wrap-up codes (UserEntityListing and the like).

use recording_source_sdk::{Request, Response, SourceError, url::escape};
use serde::{Deserialize, Serialize};

use super::{get, object};
use crate::options::Options;

/// The most ids in one request.
pub(crate) const IDS: usize = 100;

/// The kind of object that an id stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DirectoryKind {
    /// Users, deleted and inactive ones among them.
    Users,
    /// Queues.
    Queues,
    /// Wrap-up codes.
    WrapUpCodes,
    /// Divisions.
    Divisions,
}

/// The path of a kind, and what its requests have besides.
fn path(kind: DirectoryKind) -> (&'static str, &'static str) {
    match kind {
        DirectoryKind::Users => ("users", "&state=any"),
        DirectoryKind::Queues => ("routing/queues", ""),
        DirectoryKind::WrapUpCodes => ("routing/wrapupcodes", ""),
        DirectoryKind::Divisions => ("authorization/divisions", ""),
    }
}

/// The permission that the look-up needs; none if it needs none.
pub(crate) fn permission(kind: DirectoryKind) -> &'static str {
    match kind {
        DirectoryKind::Users => "",
        DirectoryKind::Queues => "routing:queue:view",
        DirectoryKind::WrapUpCodes => "routing:wrapupCode:view",
        DirectoryKind::Divisions => "authorization:division:view",
    }
}

/// The request for the names of up to [`IDS`] ids.
pub(crate) fn names(options: &Options, kind: DirectoryKind, ids: &[String]) -> Request {
    let (path, more) = path(kind);
    let ids: Vec<String> = ids.iter().map(|id| format!("id={}", escape(id))).collect();
    let ids = ids.join("&");
    get(
        options,
        &format!("/api/v2/{path}?{ids}&pageSize={IDS}{more}"),
    )
}

/// The request for any one of them.
pub(crate) fn all(options: &Options, kind: DirectoryKind) -> Request {
    let (path, _) = path(kind);
    get(options, &format!("/api/v2/{path}?pageSize=1"))
}

/// The request for those that have a name: exactly this of queues, in it of divisions.
pub(crate) fn called(options: &Options, kind: DirectoryKind, name: &str) -> Request {
    let (path, _) = path(kind);
    let name = escape(name);
    get(
        options,
        &format!("/api/v2/{path}?name={name}&pageSize={IDS}"),
    )
}

/// The request for a page of all of them.
pub(crate) fn page(options: &Options, kind: DirectoryKind, page: u32) -> Request {
    let (path, _) = path(kind);
    let query = format!("pageSize={IDS}&pageNumber={page}");
    get(options, &format!("/api/v2/{path}?{query}"))
}

/// The id and the name of everything that has both.
pub(crate) fn named(response: &Response) -> Result<Vec<(String, String)>, SourceError> {
    let (named, _) = object(response, |body| {
        let entities = body.objects("entities");
        entities
            .filter_map(|one| one.text("id").zip(one.text("name")))
            .collect()
    })?;
    Ok(named)
}
