//! Where the objects of a sink lie, in one form for each location, however it is written.
//!
//! Two sinks at one location, or one inside the other, would overwrite each other's receipts and count
//! each other's objects as too many. `./x`, `x/` and `x/../x` are one folder; a bucket is identified by
//! the origin of its server, its name and its prefix.

use std::{
    fmt,
    path::{Component, Path, PathBuf},
};

use url::Url;

/// The location of a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Location {
    /// The type of storage.
    kind: &'static str,
    /// The server, or the root of the file system.
    root: String,
    /// The bucket and the parts of its prefix, or folders.
    path: Vec<String>,
}

/// How a location lies to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overlap {
    /// They are the same.
    Same,
    /// It lies in the other one.
    Inside,
    /// The other one lies in it.
    Around,
}

impl Location {
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
        Location {
            kind: "file",
            root: root.to_string_lossy().into_owned(),
            path: folders,
        }
    }

    /// The location below a prefix in a bucket, or whatever a server calls one.
    pub(super) fn bucket(kind: &'static str, endpoint: &str, bucket: &str, prefix: &str) -> Self {
        let mut location = match Url::parse(endpoint) {
            Ok(url) if url.has_host() => Location::url(kind, &url, |part| part),
            _ => Location::named(kind, endpoint.trim_end_matches('/')),
        };
        location.path.push(bucket.to_owned());
        location.path.extend(parts(prefix));
        location
    }

    /// The location below a URL; in the place of each part of its path stands what `shown` makes of it.
    pub(super) fn url(kind: &'static str, url: &Url, shown: impl Fn(String) -> String) -> Self {
        Location {
            kind,
            root: url.origin().ascii_serialization(),
            path: parts(url.path()).into_iter().map(shown).collect(),
        }
    }

    /// A location that is identified by its name alone.
    pub(super) fn named(kind: &'static str, name: &str) -> Self {
        Location {
            kind,
            root: name.to_owned(),
            path: Vec::new(),
        }
    }

    /// How it lies to another location. Of which types both are is no matter: a bucket of Google's can
    /// be written to through either of two APIs.
    pub(super) fn overlap(&self, other: &Location) -> Option<Overlap> {
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

impl fmt::Display for Location {
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

#[cfg(test)]
mod tests;
