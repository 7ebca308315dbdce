//! The key `cluster`: the fleet that the machines of one configuration are.

use std::{collections::BTreeMap, path::PathBuf};

use recording_host_cluster::{ClusterError, FleetSettings, Storage, Tls};
use recording_host_model::quantity;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{ConfigError, key, parse::parse_typed, path::check_path};

/// The machines that share the work of this configuration, each with the same keys.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schemars(tag = "type")]
pub(super) enum RawCluster {
    /// Servers of NATS with JetStream, 2.15 or later.
    Nats {
        /// All of them, as `nats://host:port` or `tls://host:port`, without a user.
        #[schemars(example = &["tls://nats-1:4222", "tls://nats-2:4222", "tls://nats-3:4222"])]
        servers: Vec<String>,
        /// The fleet's name: letters, digits, `-` and `_`. Two fleets on the same servers have different ones.
        #[serde(default = "main")]
        name: String,
        /// The name of this machine, which no other one of the fleet has; by default its host name.
        #[serde(default)]
        node: Option<String>,
        /// On how many servers everything is stored: 1, 3 or 5.
        #[serde(default = "three")]
        replicas: usize,
        /// A credentials file, as `nsc` writes it.
        #[serde(default)]
        credentials: Option<PathBuf>,
        /// Files in PEM for connections by TLS.
        #[serde(default)]
        tls: RawTls,
        /// What the names of streams and subjects begin with: letters, digits, `-` and `_`.
        #[serde(default = "recording_host")]
        prefix: String,
        /// The most room of each stream on each server, such as `1GB`: `work`, `reports`, `journal`, `snapshots`.
        #[serde(default)]
        #[schemars(example = &BTreeMap::from([("journal", "8GB")]))]
        storage: BTreeMap<String, String>,
    },
}

/// Files for TLS.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawTls {
    /// Certificate authorities that are trusted besides those of the system.
    ca: Option<PathBuf>,
    /// The certificate that is shown, with its chain.
    cert: Option<PathBuf>,
    /// Its private key.
    key: Option<PathBuf>,
}

fn main() -> String {
    "main".to_owned()
}

fn recording_host() -> String {
    "recording-host".to_owned()
}

fn three() -> usize {
    3
}

/// A machine of a fleet.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// How the fleet is reached.
    pub settings: FleetSettings,
    /// The name of this machine.
    pub node: String,
}

/// The fleet that the key describes.
pub(super) fn parsed(value: Value) -> Result<Cluster, ConfigError> {
    parse_typed::<RawCluster>("cluster", value)?.checked()
}

impl RawCluster {
    fn checked(self) -> Result<Cluster, ConfigError> {
        let RawCluster::Nats {
            servers,
            name,
            node,
            replicas,
            credentials,
            tls,
            prefix,
            storage,
        } = self;
        if let Some(path) = &credentials {
            check_path("cluster.credentials", path, "a credentials file")?;
        }
        let settings = FleetSettings {
            credentials,
            tls: tls.checked()?,
            prefix,
            replicas,
            storage: room(&storage)?,
            ..FleetSettings::new(servers, name)
        };
        settings.check().map_err(|error| match error {
            ClusterError::Setting { setting, reason } => key(format!("cluster.{setting}"), reason),
            error => key("cluster", error),
        })?;
        let node = match node {
            Some(node) if !node.trim().is_empty() => node,
            Some(_) => {
                let reason = "is empty; leave it out to use the host name";
                return Err(key("cluster.node", reason));
            }
            None => host_name().ok_or_else(|| {
                key(
                    "cluster.node",
                    "is missing, and this machine has no host name",
                )
            })?,
        };
        Ok(Cluster { settings, node })
    }
}

impl RawTls {
    fn checked(self) -> Result<Option<Tls>, ConfigError> {
        for (name, path) in [("ca", &self.ca), ("cert", &self.cert), ("key", &self.key)] {
            if let Some(path) = path {
                check_path(&format!("cluster.tls.{name}"), path, "a file in PEM")?;
            }
        }
        let identity = match (self.cert, self.key) {
            (None, None) => None,
            (Some(cert), Some(key)) => Some((cert, key)),
            _ => return Err(key("cluster.tls", "`cert` and `key` go together")),
        };
        let tls = Tls {
            authorities: self.ca,
            identity,
        };
        let any = tls.authorities.is_some() || tls.identity.is_some();
        Ok(any.then_some(tls))
    }
}

/// The room of the streams.
fn room(given: &BTreeMap<String, String>) -> Result<Storage, ConfigError> {
    let mut storage = Storage::default();
    for (name, text) in given {
        let at = format!("cluster.storage.{name}");
        let place = match name.as_str() {
            "work" => &mut storage.work,
            "reports" => &mut storage.reports,
            "journal" => &mut storage.journal,
            "snapshots" => &mut storage.snapshots,
            _ => {
                let reason = "is no stream; there are `work`, `reports`, `journal` and `snapshots`";
                return Err(key(at, reason));
            }
        };
        *place = quantity::bytes(text).map_err(|reason| key(at, reason))?;
    }
    Ok(storage)
}

#[cfg(unix)]
fn host_name() -> Option<String> {
    let name = rustix::system::uname();
    let name = name.nodename().to_str().ok()?;
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(not(unix))]
fn host_name() -> Option<String> {
    std::env::var("COMPUTERNAME").ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: serde_json::Value) -> Result<Cluster, String> {
        parsed(value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_fleet_has_a_name_a_node_and_room() {
        let cluster = read(
            json!({ "type": "nats", "servers": ["nats://a:4222"], "storage": { "journal": "8GB" } }),
        );
        let cluster = cluster.unwrap();
        assert_eq!(cluster.settings.name, "main");
        assert_eq!(cluster.settings.replicas, 3);
        assert_eq!(cluster.settings.storage.journal, 8_000_000_000);
        assert!(!cluster.node.is_empty());
    }

    #[test]
    fn what_is_wrong_is_named_by_its_key() {
        let wrong = |more: serde_json::Value| {
            let mut value = json!({ "type": "nats", "servers": ["nats://a:4222"] });
            let object = value.as_object_mut().unwrap();
            object.extend(more.as_object().unwrap().clone());
            read(value).unwrap_err()
        };
        for (more, expected) in [
            (json!({ "replicas": 2 }), "cluster.replicas"),
            (json!({ "servers": [] }), "cluster.servers"),
            (
                json!({ "servers": ["nats://me:secret@a"] }),
                "cluster.servers",
            ),
            (json!({ "name": "a b" }), "cluster.name"),
            (json!({ "node": " " }), "cluster.node"),
            (json!({ "tls": { "cert": "/a" } }), "cluster.tls"),
            (json!({ "tls": { "ca": "~/a" } }), "cluster.tls.ca"),
            (
                json!({ "storage": { "work": "much" } }),
                "cluster.storage.work",
            ),
            (
                json!({ "storage": { "jornal": "1GB" } }),
                "cluster.storage.jornal",
            ),
        ] {
            let error = wrong(more);
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
