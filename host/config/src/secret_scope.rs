//! Which secrets of a configuration are read.

use std::collections::BTreeMap;

use crate::secret::Backend;

/// The secrets of a configuration that a command reads. Others may be out of its reach, as those that a service
/// manager hands to the export alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretScope {
    /// All of them: for an export.
    All,
    /// Those of the sinks: for what lies in them.
    Sinks,
    /// The keys of pseudonyms, which are part of what an export is: for its queue.
    Queues,
    /// None: for the folder that a run is found by.
    Nothing,
}

/// Backends of the same names that read nothing.
pub(super) fn unread(secrets: &BTreeMap<String, Backend>) -> BTreeMap<String, Backend> {
    let names = secrets.keys().cloned();
    names.map(|name| (name, Backend::Unread)).collect()
}

impl SecretScope {
    /// The backends for the secrets of sources, for those of sinks, and for the keys of pseudonyms, out of
    /// those that read something and those that do not.
    pub(super) fn backends<B>(self, read: B, unread: B) -> (B, B, B)
    where
        B: Copy,
    {
        match self {
            SecretScope::All => (read, read, read),
            SecretScope::Sinks => (unread, read, unread),
            SecretScope::Queues => (unread, unread, read),
            SecretScope::Nothing => (unread, unread, unread),
        }
    }
}
