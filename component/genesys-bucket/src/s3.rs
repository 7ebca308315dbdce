//! Requests to the bucket, ListObjectsV2 and GetObject, and the meaning of its refusals.
//!
//! Requests carry no credentials: the host signs them, and takes paths as they are. Hence keys are
//! encoded here as S3 encodes them to compare signatures.

use recording_source_sdk::{
    Request, RequestResult, Response, SourceError, excerpt,
    json::instant,
    options::wrong,
    url::{escape, escape_path, unescape},
};
use serde::Deserialize;

use crate::options::Options;

/// A page of a listing (ListBucketResult).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Page {
    /// `true` or `false`.
    is_truncated: String,
    encoding_type: Option<String>,
    pub(crate) contents: Vec<Object>,
    common_prefixes: Vec<Prefix>,
}

/// The common prefix of several keys of a listing, up to a slash.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Prefix {
    prefix: String,
}

/// An object of a listing.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Object {
    pub(crate) key: String,
    last_modified: String,
    size: String,
    storage_class: Option<String>,
}

impl Object {
    /// Returns true if it must be restored before it can be read.
    pub(crate) fn archived(&self) -> bool {
        matches!(
            self.storage_class.as_deref(),
            Some("GLACIER" | "DEEP_ARCHIVE")
        )
    }

    /// Its length, if that can be read.
    pub(crate) fn size(&self) -> Option<u64> {
        self.size.trim().parse().ok()
    }

    /// Its write time, ms since the epoch.
    pub(crate) fn written(&self) -> u64 {
        instant(self.last_modified.trim()).unwrap_or(0)
    }
}

impl Page {
    /// Returns true if there are more keys after these.
    pub(crate) fn is_truncated(&self) -> bool {
        self.is_truncated.trim().eq_ignore_ascii_case("true")
    }

    /// The folders of a listing by folders, whole.
    pub(crate) fn folders(&self) -> impl Iterator<Item = &str> {
        self.common_prefixes
            .iter()
            .map(|folder| folder.prefix.as_str())
    }

    /// Rejects a listing of the whole organization that has nothing in it.
    pub(crate) fn expect_some(&self, options: &Options) -> Result<(), SourceError> {
        if !self.contents.is_empty() {
            return Ok(());
        }
        Err(SourceError::Permanent(nothing(options)))
    }
}

/// The message that there is nothing of the organization, and how to fix it.
pub(crate) fn nothing(options: &Options) -> String {
    format!(
        "the bucket {} holds nothing under `{}`; check `organization` and `prefix`, and that the integration has pushed something",
        options.bucket,
        options.root()
    )
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ErrorBody {
    code: String,
    message: String,
    region: Option<String>,
}

/// Requests a page of the keys that begin with `prefix`.
pub(crate) fn list(options: &Options, prefix: &str, after: Option<&str>, most: u32) -> Request {
    let slash = if options.path_style { "" } else { "/" };
    let mut url = format!(
        "{}{slash}?encoding-type=url&list-type=2&max-keys={most}&prefix={}",
        base(options),
        escape(prefix)
    );
    if let Some(after) = after {
        url += &format!("&start-after={}", escape(after));
    }
    get(options, url)
}

/// Requests the entries directly below `prefix`: folders, and keys that are in none.
pub(crate) fn folders(options: &Options, prefix: &str) -> Request {
    let mut request = list(options, prefix, None, 1000);
    request.url = request.url.replacen("?", "?delimiter=%2F&", 1);
    request
}

/// Requests an object.
pub(crate) fn object(options: &Options, key: &str) -> Request {
    get(options, format!("{}/{}", base(options), escape_path(key)))
}

fn base(options: &Options) -> String {
    match options.path_style {
        true => format!("{}/{}", options.origin, options.bucket),
        false => options.origin.clone(),
    }
}

fn get(options: &Options, url: String) -> Request {
    let request = Request::get(url);
    match options.requester_pays {
        true => request.with_header("x-amz-request-payer", "requester"),
        false => request,
    }
}

/// Reads a page of a listing.
pub(crate) fn listed(options: &Options, answer: RequestResult) -> Result<Page, SourceError> {
    let response = answer?;
    if response.status != 200 {
        return Err(refused(options, &response, "s3:ListBucket"));
    }
    let odd = |reason: &str| {
        SourceError::Transient(format!(
            "the bucket's listing is not as documented: {reason}"
        ))
    };
    // A key that is not UTF-8 becomes an odd key, which is reported.
    let text = String::from_utf8_lossy(&response.body);
    let mut page: Page = quick_xml::de::from_str(&text).map_err(|error| odd(&error.to_string()))?;
    if page.is_truncated() && page.contents.is_empty() && page.common_prefixes.is_empty() {
        return Err(odd("it goes on after nothing"));
    }
    if page.encoding_type.as_deref() == Some("url") {
        let keys = page.contents.iter_mut().map(|object| &mut object.key);
        let folders = page.common_prefixes.iter_mut();
        for key in keys.chain(folders.map(|folder| &mut folder.prefix)) {
            // A key that is not UTF-8 becomes an odd key, which is reported.
            *key = unescape(key);
        }
    }
    Ok(page)
}

/// Reads an object; none if it does not exist.
pub(crate) fn read(
    options: &Options,
    answer: RequestResult,
) -> Result<Option<Vec<u8>>, SourceError> {
    let response = answer?;
    match response.status {
        200 => Ok(Some(response.body)),
        404 if body(&response).code != "NoSuchBucket" => Ok(None),
        _ => Err(refused(options, &response, "s3:GetObject")),
    }
}

fn body(response: &Response) -> ErrorBody {
    quick_xml::de::from_str(&String::from_utf8_lossy(&response.body)).unwrap_or_default()
}

/// The error for a refusal; `permission` is the permission that the request needs.
fn refused(options: &Options, response: &Response, permission: &str) -> SourceError {
    let reported = body(response);
    let status = response.status;
    let message = excerpt(&reported.message);
    let text = format!("status {status}, {}: {message}", reported.code);
    let region = response
        .header("x-amz-bucket-region")
        .or(reported.region.as_deref());
    match (status, reported.code.as_str()) {
        (301 | 307 | 400, _) if region.is_some() => {
            let region = region.unwrap_or_default();
            wrong("region", &format!("the bucket is in `{region}`: give that"))
        }
        (_, "NoSuchBucket") => wrong("bucket", "there is no such bucket"),
        (
            _,
            "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "InvalidToken"
            | "ExpiredToken"
            | "RequestTimeTooSkewed",
        )
        | (401, _) => SourceError::Auth(text),
        (403, _) => SourceError::Forbidden(format!("{permission} on {} ({text})", options.bucket)),
        (408 | 429 | 500..=599, _) => SourceError::Transient(text),
        _ => SourceError::Permanent(text),
    }
}
