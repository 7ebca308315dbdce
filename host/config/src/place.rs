//! Where the objects of a sink lie, in one form for each place, however it is written.
//!
//! Two sinks at one place, or one inside the other, would overwrite each other's receipts and count
//! each other's objects as too many. `./x`, `x/` and `x/../x` are one folder; a bucket is identified by
//! the origin of its server, its name and its prefix.

use std::{
    fmt,
    path::{Component, Path, PathBuf},
};

#[cfg(feature = "sink-http")]
use sha2::{Digest, Sha256};
use url::Url;

#[cfg(feature = "sink-http")]
use recording_host_model::hex;

/// The place of a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The type of storage.
    kind: &'static str,
    /// The server, or the root of the file system.
    root: String,
    /// The bucket and the parts of its prefix, or folders.
    path: Vec<String>,
}

/// How a place lies to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overlap {
    /// They are the same.
    Same,
    /// It lies in the other one.
    Inside,
    /// The other one lies in it.
    Around,
}

impl Place {
    /// A folder: made absolute, with symbolic links followed as far as there is something.
    pub(super) fn folder(path: &Path) -> Self {
        let mut root = PathBuf::new();
        let mut folders = Vec::new();
        for component in resolved(path).components() {
            match component {
                Component::Normal(name) => folders.push(name.to_string_lossy().into_owned()),
                component => root.push(component),
            }
        }
        Place {
            kind: "file",
            root: root.to_string_lossy().into_owned(),
            path: folders,
        }
    }

    /// The place below a prefix in a bucket, or whatever a server calls one.
    pub(super) fn bucket(kind: &'static str, endpoint: &str, bucket: &str, prefix: &str) -> Self {
        let (root, mut path) = match Url::parse(endpoint) {
            Ok(url) if url.has_host() => (url.origin().ascii_serialization(), parts(url.path())),
            _ => (endpoint.trim_end_matches('/').to_owned(), Vec::new()),
        };
        path.push(bucket.to_owned());
        path.extend(parts(prefix));
        Place { kind, root, path }
    }

    /// The place below a URL whose path may be a secret: a digest stands for each part of the path.
    #[cfg(feature = "sink-http")]
    pub(super) fn hidden(url: &Url) -> Self {
        let digest = |part: String| hex(&Sha256::digest(part))[..12].to_owned();
        Place {
            kind: "http",
            root: url.origin().ascii_serialization(),
            path: parts(url.path()).into_iter().map(digest).collect(),
        }
    }

    /// A place that is identified by its name alone.
    pub(super) fn named(kind: &'static str, name: &str) -> Self {
        Place {
            kind,
            root: name.to_owned(),
            path: Vec::new(),
        }
    }

    /// How it lies to another place. Of which types both are is no matter: a bucket of Google's can
    /// be written to through either of two APIs.
    pub(super) fn overlap(&self, other: &Place) -> Option<Overlap> {
        if self.root != other.root {
            return None;
        }
        let common = self.path.len().min(other.path.len());
        if self.path[..common] != other.path[..common] {
            return None;
        }
        Some(match self.path.len().cmp(&other.path.len()) {
            std::cmp::Ordering::Equal => Overlap::Same,
            std::cmp::Ordering::Greater => Overlap::Inside,
            std::cmp::Ordering::Less => Overlap::Around,
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.join("/");
        match self.kind {
            "file" => write!(f, "file:{}{path}", self.root),
            kind if self.path.is_empty() => write!(f, "{kind}:{}", self.root),
            kind => write!(f, "{kind}:{}/{path}/", self.root),
        }
    }
}

/// The parts of a path that are not empty.
fn parts(path: &str) -> Vec<String> {
    let parts = path.split('/').filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

/// A path from the root, without `.`, `..` and symbolic links. `..` leaves the folder that a link
/// leads to, as it does for the system; what is not there yet is taken as it is written.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut found = PathBuf::new();
    for component in absolute.components() {
        match component {
            Component::ParentDir => {
                found.pop();
            }
            Component::CurDir => {}
            component => {
                found.push(component);
                if let Ok(real) = found.canonicalize() {
                    found = real;
                }
            }
        }
    }
    found
}

/// The server of Amazon S3: buckets have one name space for all regions of a partition.
#[cfg(feature = "s3")]
pub(super) fn amazon(region: Option<&str>, endpoint: Option<&str>) -> Option<&'static str> {
    let host = match endpoint {
        None => None,
        Some(endpoint) => {
            let url = Url::parse(endpoint).ok()?;
            let host = url.host_str()?.to_owned();
            let suffixes = [".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu"];
            if !suffixes.iter().any(|suffix| host.ends_with(suffix)) {
                return None;
            }
            Some(host)
        }
    };
    // A region stands in the host: `s3.cn-north-1.amazonaws.com.cn`.
    let told = |partition: &str| {
        let region = region.is_some_and(|region| region.starts_with(partition));
        let host = host.as_deref();
        region
            || host.is_some_and(|host| {
                host.split(['.', '/'])
                    .any(|part| part.starts_with(partition))
            })
    };
    Some(if told("cn-") {
        "https://s3.amazonaws.com.cn"
    } else if told("us-gov-") {
        "https://s3.us-gov.amazonaws.com"
    } else if told("eusc-") {
        "https://s3.amazonaws.eu"
    } else {
        "https://s3.amazonaws.com"
    })
}

#[cfg(test)]
mod tests;
