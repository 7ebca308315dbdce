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
}

/// The request for the names of up to [`IDS`] ids.
pub(crate) fn names(options: &Options, kind: DirectoryKind, ids: &[String]) -> Request {
    let (path, more) = match kind {
        DirectoryKind::Users => ("users", "&state=any"),
        DirectoryKind::Queues => ("routing/queues", ""),
        DirectoryKind::WrapUpCodes => ("routing/wrapupcodes", ""),
    };
    let ids: Vec<String> = ids.iter().map(|id| format!("id={}", escape(id))).collect();
    let ids = ids.join("&");
    get(
        options,
        &format!("/api/v2/{path}?{ids}&pageSize={IDS}{more}"),
    )
}

/// The request for any one of them.
pub(crate) fn all(options: &Options, kind: DirectoryKind) -> Request {
    let path = match kind {
        DirectoryKind::Users => "users",
        DirectoryKind::Queues => "routing/queues",
        DirectoryKind::WrapUpCodes => "routing/wrapupcodes",
    };
    get(options, &format!("/api/v2/{path}?pageSize=1"))
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
