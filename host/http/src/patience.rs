//! How often a request is tried, by what it is for.

/// How often requests are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Patience {
    /// As an export does.
    #[default]
    Usual,
    /// Once, for a few seconds, until the API has answered for the first time; as an export does from then
    /// on.
    OnceReached,
    /// Once, for a few seconds.
    None,
}

impl Patience {
    /// Returns true if one try is all; `reached`: the API has answered before.
    #[must_use]
    pub fn is_hasty(self, reached: bool) -> bool {
        match self {
            Patience::Usual => false,
            Patience::OnceReached => !reached,
            Patience::None => true,
        }
    }
}
