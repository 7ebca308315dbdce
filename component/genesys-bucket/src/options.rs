//! The source's options: read strictly, defaults filled in.

use recording_source_sdk::{
    SourceError,
    options::{self, is_plain, seconds, within, wrong},
};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    bucket: String,
    #[serde(alias = "organisation")]
    organization: String,
    region: Option<String>,
    endpoint: Option<String>,
    path_style: Option<bool>,
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    requester_pays: bool,
    page_size: Option<u32>,
    #[serde(alias = "lanes")]
    parallelism: Option<u32>,
    sidecar_seconds: Option<u32>,
}

/// Options with every default filled in.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) bucket: String,
    /// Scheme, host and port of the bucket.
    pub(crate) origin: String,
    /// True if the bucket is in the path and not in the host name.
    pub(crate) path_style: bool,
    /// The prefix of keys before the organization's id: empty, or with a slash at its end.
    prefix: String,
    organization: String,
    /// True if the requester pays.
    pub(crate) requester_pays: bool,
    /// Objects on a page of a listing.
    pub(crate) page_size: u32,
    /// Runs of days that are listed at once.
    pub(crate) parallelism: u32,
    /// The time to wait for a file's metadata, and for a file whose metadata exist.
    pub(crate) sidecar_ms: u64,
}

impl Options {
    pub(crate) fn read(json: &str) -> Result<Self, SourceError> {
        let raw: Raw = options::read(json)?;
        if !is_plain(&raw.bucket, ".-_") {
            return Err(wrong("bucket", "is not the name of a bucket"));
        }
        if !is_plain(&raw.organization, "-_") {
            return Err(wrong(
                "organization",
                "must be the organization's id, such as `0f7f1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b`",
            ));
        }
        let path_style = raw.path_style.unwrap_or(raw.bucket.contains('.'));
        let origin = origin(&raw, path_style)?;
        let prefix = raw.prefix.trim_matches('/');
        Ok(Options {
            origin,
            path_style,
            prefix: match prefix {
                "" => String::new(),
                prefix => format!("{prefix}/"),
            },
            organization: raw.organization,
            bucket: raw.bucket,
            requester_pays: raw.requester_pays,
            page_size: within("page_size", raw.page_size, 1000, 1..=1000)?,
            parallelism: within("parallelism", raw.parallelism, 4, 1..=64)?,
            sidecar_ms: seconds("sidecar_seconds", raw.sidecar_seconds, 600, 0..=86_400)?,
        })
    }

    /// The prefix of all keys of the organization.
    pub(crate) fn root(&self) -> String {
        format!("{}{}/", self.prefix, self.organization)
    }
}

/// Scheme, host and port of the bucket.
fn origin(raw: &Raw, path_style: bool) -> Result<String, SourceError> {
    let (scheme, host) = match (&raw.endpoint, &raw.region) {
        (Some(endpoint), _) => {
            let url = endpoint.trim_end_matches('/');
            let (scheme, host) = url.split_once("://").unwrap_or_default();
            let bare = !host.is_empty() && !host.contains(['/', '?', '#', '@']);
            if !bare || !matches!(scheme, "https" | "http") {
                return Err(wrong("endpoint", "must be of the form `https://host`"));
            }
            (scheme, host.to_owned())
        }
        (None, Some(region)) => {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if region.is_empty() || !region.chars().all(plain) {
                return Err(wrong("region", "is not an AWS region, such as `eu-west-1`"));
            }
            ("https", format!("s3.{region}.{}", partition(region)))
        }
        (None, None) => {
            return Err(wrong(
                "region",
                "missing; give the bucket's AWS region, such as `eu-west-1`, or the `endpoint` of another server",
            ));
        }
    };
    Ok(match path_style {
        true => format!("{scheme}://{host}"),
        false => format!("{scheme}://{}.{host}", raw.bucket),
    })
}

/// The domain of the partition that an AWS region belongs to.
fn partition(region: &str) -> &'static str {
    let domains = [
        ("cn-", "amazonaws.com.cn"),
        ("eusc-", "amazonaws.eu"),
        ("us-iso-", "c2s.ic.gov"),
        ("us-isob-", "sc2s.sgov.gov"),
    ];
    let found = domains
        .iter()
        .find(|(prefix, _)| region.starts_with(prefix));
    found.map_or("amazonaws.com", |(_, domain)| domain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(more: Value) -> Result<Options, SourceError> {
        let mut options =
            json!({ "bucket": "calls", "organization": "org-1", "region": "eu-west-1" });
        for (name, value) in more.as_object().unwrap() {
            options[name] = value.clone();
        }
        Options::read(&options.to_string())
    }

    #[test]
    fn a_bucket_is_reached_by_host_or_by_path_at_aws_or_elsewhere() {
        for (more, origin) in [
            (json!({}), "https://calls.s3.eu-west-1.amazonaws.com"),
            (
                json!({ "path_style": true }),
                "https://s3.eu-west-1.amazonaws.com",
            ),
            // No certificate covers a host name with dots from the bucket's name.
            (
                json!({ "bucket": "a.b" }),
                "https://s3.eu-west-1.amazonaws.com",
            ),
            (
                json!({ "region": "cn-north-1" }),
                "https://calls.s3.cn-north-1.amazonaws.com.cn",
            ),
            (
                json!({ "region": "eusc-de-east-1" }),
                "https://calls.s3.eusc-de-east-1.amazonaws.eu",
            ),
            (
                json!({ "region": "us-gov-west-1" }),
                "https://calls.s3.us-gov-west-1.amazonaws.com",
            ),
            (
                json!({ "endpoint": "http://127.0.0.1:9000/", "path_style": true }),
                "http://127.0.0.1:9000",
            ),
            (
                json!({ "endpoint": "https://s3.corp.example" }),
                "https://calls.s3.corp.example",
            ),
        ] {
            assert_eq!(read(more).unwrap().origin, origin);
        }
        assert_eq!(read(json!({})).unwrap().root(), "org-1/");
        let below = read(json!({ "prefix": "/copy/of/" })).unwrap();
        assert_eq!(below.root(), "copy/of/org-1/");
    }

    #[test]
    fn each_mistake_is_named_by_its_option() {
        for (more, path) in [
            (json!({ "bucket": "a/b" }), "bucket"),
            (json!({ "organization": "../x" }), "organization"),
            (json!({ "region": null }), "region"),
            (json!({ "region": "Ireland" }), "region"),
            (json!({ "endpoint": "https://a/b" }), "endpoint"),
            (json!({ "endpoint": "ftp://a" }), "endpoint"),
            (json!({ "page_size": 1001 }), "page_size"),
            (json!({ "parallelism": 0 }), "parallelism"),
            (json!({ "sidecar_seconds": 86_401 }), "sidecar_seconds"),
            (json!({ "requester_pays": "yes" }), "requester_pays"),
            (json!({ "buckets": [] }), "buckets"),
        ] {
            let error = read(more.clone()).unwrap_err();
            let SourceError::Options(error) = error else {
                panic!("{more}: {error:?}");
            };
            assert!(
                error.path == path || error.message.contains(path),
                "{more}: {error:?}"
            );
        }
    }
}
