//! How many requests were sent.

use std::collections::BTreeMap;

/// The requests to the vendor's API.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Calls {
    /// Requests sent, by the sort of split and method; `token` are requests for access tokens.
    pub sent: BTreeMap<String, u64>,
    /// Answers with status 429.
    pub refused: u64,
}
