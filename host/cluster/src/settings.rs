//! How a fleet is reached, and how its streams are named and limited.

use std::{path::PathBuf, time::Duration};

use super::ClusterError;

/// How a fleet is reached, and how its streams are named and limited: the same on every node.
#[derive(Clone, Debug)]
pub struct FleetSettings {
    /// All NATS servers, as `nats://host:port` or `tls://host:port`, without a user or a password.
    pub servers: Vec<String>,
    /// A credentials file, as `nsc` writes it.
    pub credentials: Option<PathBuf>,
    /// How TLS is spoken, beyond what `tls://` in an address says.
    pub tls: Option<Tls>,
    /// The fleet's name: letters, digits, `-` and `_`.
    pub name: String,
    /// The beginning of all names and subjects, so that servers can be shared: letters, digits, `-` and `_`.
    pub prefix: String,
    /// On how many servers each stream is: 1, 3 or 5.
    pub replicas: usize,
    /// The room of the streams.
    pub storage: Storage,
    /// How long a call is repeated while servers are away, before it fails.
    pub patience: Duration,
}

/// How TLS is spoken.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Certificates of authorities, in PEM; those of the system count as well.
    pub authorities: Option<PathBuf>,
    /// The certificate that this node shows, and its key, in PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// The most bytes of each stream on each server; the servers reserve them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Fetches that wait for a node.
    pub work: u64,
    /// Reports of nodes, until the ledger has all of their fetch.
    pub reports: u64,
    /// Changes to the ledgers of exports.
    pub journal: u64,
    /// Snapshots of the ledgers of exports, compressed: two of each, and one that is being stored.
    pub snapshots: u64,
}

impl Default for Storage {
    fn default() -> Self {
        Storage {
            work: 256 << 20,
            reports: 1 << 30,
            journal: 4 << 30,
            snapshots: 8 << 30,
        }
    }
}

impl FleetSettings {
    /// The settings of a fleet with three replicas and nothing out of the ordinary.
    #[must_use]
    pub fn new(servers: Vec<String>, name: impl Into<String>) -> Self {
        FleetSettings {
            servers,
            credentials: None,
            tls: None,
            name: name.into(),
            prefix: "recording-host".to_owned(),
            replicas: 3,
            storage: Storage::default(),
            patience: Duration::from_secs(600),
        }
    }

    /// Checks what can be checked without a server.
    ///
    /// # Errors
    /// [`ClusterError::Setting`].
    pub fn check(&self) -> Result<(), ClusterError> {
        let wrong = |setting, reason: String| Err(ClusterError::Setting { setting, reason });
        for (setting, name) in [("name", &self.name), ("prefix", &self.prefix)] {
            let fits = |it: char| it.is_ascii_alphanumeric() || it == '-' || it == '_';
            if name.is_empty() || name.len() > 40 || !name.chars().all(fits) {
                let reason =
                    format!("`{name}` is not a name; use 1 to 40 letters, digits, `-` and `_`");
                return wrong(setting, reason);
            }
        }
        if self.servers.is_empty() {
            return wrong("servers", "is empty; name all servers".to_owned());
        }
        for (number, server) in self.servers.iter().enumerate() {
            // An address may hold a password: it is not repeated.
            let address = server.parse::<async_nats::ServerAddr>();
            if address.is_err() {
                let reason = format!(
                    "number {} is no address; write nats://host:port",
                    number + 1
                );
                return wrong("servers", reason);
            }
            if address.is_ok_and(|it| it.has_user_pass()) {
                let reason = format!("number {} has a user in it; use `credentials`", number + 1);
                return wrong("servers", reason);
            }
        }
        if ![1, 3, 5].contains(&self.replicas) {
            let reason = format!("{} is not 1, 3 or 5", self.replicas);
            return wrong("replicas", reason);
        }
        for (setting, bytes) in [
            ("storage.work", self.storage.work),
            ("storage.reports", self.storage.reports),
            ("storage.journal", self.storage.journal),
            ("storage.snapshots", self.storage.snapshots),
        ] {
            if !(1 << 20..1 << 60).contains(&bytes) {
                let reason = format!("{bytes} bytes are no room; at least a MiB is needed");
                return wrong(setting, reason);
            }
        }
        Ok(())
    }

    /// The name of a stream or bucket of this fleet.
    pub(super) fn named(&self, what: &str) -> String {
        format!("{}_{}_{what}", self.prefix, self.name)
    }

    /// The subject of something of this fleet.
    pub(super) fn subject(&self, what: &str) -> String {
        format!("{}.{}.{what}", self.prefix, self.name)
    }

    /// The servers, for people to read.
    pub(super) fn servers_text(&self) -> String {
        self.servers.join(", ")
    }
}

/// A text as one token of a subject: letters, digits, `-` and `_` as they are, every other byte as `=` and two
/// hexadecimal digits.
pub(super) fn token(text: &str) -> String {
    let mut token = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => token.push(byte.into()),
            _ => token.push_str(&format!("={byte:02X}")),
        }
    }
    // A token is never empty.
    if token.is_empty() {
        "=".to_owned()
    } else {
        token
    }
}

/// The text whose token this is; none if it is nobody's.
pub(super) fn untoken(written: &str) -> Option<String> {
    let mut parts = written.split('=');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    let text = String::from_utf8(bytes).ok()?;
    (token(&text) == written).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> FleetSettings {
        FleetSettings::new(vec!["nats://127.0.0.1:4222".to_owned()], "main")
    }

    #[test]
    fn a_wrong_setting_is_named() {
        assert!(settings().check().is_ok());
        let wrong = |change: fn(&mut FleetSettings)| {
            let mut settings = settings();
            change(&mut settings);
            settings.check().unwrap_err().to_string()
        };
        assert!(wrong(|it| it.name = "a.b".to_owned()).starts_with("cluster.name: `a.b`"));
        assert!(wrong(|it| it.prefix.clear()).starts_with("cluster.prefix"));
        assert!(wrong(|it| it.replicas = 2).starts_with("cluster.replicas: 2"));
        assert!(wrong(|it| it.servers.clear()).starts_with("cluster.servers"));
        assert!(wrong(|it| it.storage.reports = 1).starts_with("cluster.storage.reports"));
        let with_password = wrong(|it| it.servers = vec!["nats://user:hunter2@host".to_owned()]);
        assert!(with_password.contains("`credentials`"), "{with_password}");
        assert!(!with_password.contains("hunter2"));
    }

    #[test]
    fn tokens_of_different_texts_differ() {
        assert_eq!(token("a-b_9"), "a-b_9");
        assert_eq!(token("a.b/c d"), "a=2Eb=2Fc=20d");
        assert_eq!(token("="), "=3D");
        assert_eq!(token(""), "=");
    }

    #[test]
    fn a_token_stands_for_one_text() {
        for text in ["calls-000001", "a.b/c d", "=", "é"] {
            assert_eq!(untoken(&token(text)).as_deref(), Some(text));
        }
        for nobodys in ["a=Z", "a=é", "a.b", "a!", "a=2e", ""] {
            assert_eq!(untoken(nobodys), None, "{nobodys}");
        }
    }
}
