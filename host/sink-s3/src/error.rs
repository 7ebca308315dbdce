//! Errors of a bucket, each in one line, and how to fix them.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::{NAME, S3, object::ExistingObject};
use recording_host_network::{failed, layers, proxy};
use recording_host_sink::{PutOptions, SinkError};
use url::Url;

/// The code that the server gives, such as `NoSuchKey`.
pub(super) fn code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> &str {
    error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code)
        .unwrap_or_default()
}

/// The status of the answer, if there is one.
pub(super) fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|answer| answer.status().as_u16())
}

impl S3 {
    pub(super) fn failure(
        &self,
        key: &str,
        reason: impl Into<String>,
        retryable: bool,
    ) -> SinkError {
        let key = format!("s3://{}/{key}", self.settings.bucket);
        SinkError::new(NAME, &key, reason).with_retryable(retryable)
    }

    /// A different object is there, and stays.
    pub(super) fn refused(
        &self,
        key: &str,
        there: &ExistingObject,
        info: &PutOptions,
    ) -> SinkError {
        let overwrite = self.settings.objects.overwrite;
        let reason = overwrite.refusal(there.size, info);
        let error = self.failure(key, reason, false);
        error.with_different(key, overwrite, info)
    }

    pub(super) fn broken(&self, key: &str) -> SinkError {
        self.failure(key, recording_host_sink::BodyAborted.to_string(), true)
    }

    pub(super) fn error<E>(&self, key: &str, error: &SdkError<E>) -> SinkError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let Some(status) = status(error) else {
            let (reason, retryable) = self.unreached(error);
            return self.failure(key, reason, retryable);
        };
        let code = code(error);
        let said = error
            .as_service_error()
            .and_then(ProvideErrorMetadata::message)
            .map(|text| text.lines().next().unwrap_or_default().trim())
            .filter(|text| !text.is_empty())
            .map(|text| format!(": {text}"))
            .unwrap_or_default();
        let elsewhere = error
            .raw_response()
            .and_then(|answer| answer.headers().get("x-amz-bucket-region"))
            .filter(|there| Some(*there) != self.settings.region.as_deref())
            .map(str::to_owned);
        let redirected = matches!(
            code,
            "PermanentRedirect"
                | "TemporaryRedirect"
                | "AuthorizationHeaderMalformed"
                | "IllegalLocationConstraintException"
        ) || (code.is_empty()
            && (matches!(status, 301 | 307 | 308) || (status == 400 && elsewhere.is_some())));
        if code.starts_with("ExpiredToken")
            && let Some(renewed) = &self.renewed
        {
            renewed.expire();
        }
        let by = self.server_url();
        if let Some(by) = by.and_then(|url| proxy::answered(&url, status))
            && code.is_empty()
        {
            return self.failure(key, by, status != 407);
        }
        let (reason, retryable) = match redirected {
            true => {
                let code = if code.is_empty() { "redirect" } else { code };
                (self.redirected(code, elsewhere, &said), false)
            }
            false => of_setting(code, &said)
                .map(
                    |reason| match code.starts_with("ExpiredToken") && self.renewed.is_some() {
                        true => (
                            format!("{code}: the credentials have expired; they are fetched again"),
                            true,
                        ),
                        false => (reason, false),
                    },
                )
                .or_else(|| of_request(code, &said))
                .unwrap_or_else(|| of_status(code, status, &said)),
        };
        self.failure(key, reason, retryable)
    }

    /// The URL of the server, as far as it decides which proxy is on the way.
    fn server_url(&self) -> Option<Url> {
        match &self.settings.endpoint {
            Some(endpoint) => Url::parse(endpoint).ok(),
            None => Url::parse("https://s3.amazonaws.com").ok(),
        }
    }

    fn redirected(&self, code: &str, region: Option<String>, said: &str) -> String {
        match region {
            Some(region) => format!("the bucket is in another region; set `region: {region}`"),
            None => format!(
                "{code}: the bucket is not at this address; check `region` and `endpoint`{said}"
            ),
        }
    }

    /// The cause if there was no answer, and true if that may pass.
    fn unreached<E>(&self, error: &SdkError<E>) -> (String, bool)
    where
        E: std::error::Error + 'static,
    {
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        if let Some(without) = without_credentials(error, cause) {
            return without;
        }
        let kind = match error {
            SdkError::TimeoutError(_) => "timed out",
            _ => "no connection",
        };
        // What stands in the way may be a proxy, or a matter of certificates.
        let cause = match self.server_url() {
            Some(url) => failed(&url, kind, &layers(error)),
            None => cause.to_string(),
        };
        match (error, &self.settings.endpoint) {
            (SdkError::DispatchFailure(_) | SdkError::TimeoutError(_), Some(endpoint)) => (
                format!("no answer from {endpoint}: {cause}; check `endpoint`"),
                true,
            ),
            (SdkError::DispatchFailure(_) | SdkError::TimeoutError(_), None) => (
                format!(
                    "no answer from AWS: {cause}; check `region`, the network, and where the credentials come from"
                ),
                true,
            ),
            (SdkError::ConstructionFailure(_), _) => (
                format!(
                    "the request cannot be made: {cause}; check `region`, `endpoint` and `bucket`"
                ),
                false,
            ),
            (error, _) => (format!("{error}: {cause}"), true),
        }
    }
}

/// The cause if the request was not sent for want of credentials, and true if that may pass.
fn without_credentials(
    error: &(dyn std::error::Error + 'static),
    cause: &dyn std::error::Error,
) -> Option<(String, bool)> {
    let mut layer = Some(error);
    let failed = loop {
        let at = layer?;
        match at.downcast_ref::<CredentialsError>() {
            Some(failed) => break failed,
            None => layer = at.source(),
        }
    };
    let text = cause.to_string();
    Some(match failed {
        _ if text.contains("SSO token") => {
            let text = format!("no credentials: {text}; log in with `aws sso login`");
            (text, false)
        }
        // A server that gives credentials does not answer, or a program that does has failed.
        CredentialsError::ProviderError(_) | CredentialsError::ProviderTimedOut(_) => (
            format!("no credentials: {text}; check where they come from (`credentials`)"),
            true,
        ),
        _ => (
            format!(
                "no credentials: {text}; give `credentials`, or set up what AWS' default chain reads"
            ),
            false,
        ),
    })
}

/// The meaning of a code whose cause is a setting, the credentials or this machine's clock.
fn of_setting(code: &str, said: &str) -> Option<String> {
    Some(match code {
        "NoSuchBucket" => "the bucket does not exist; make it or mend `bucket`".into(),
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "InvalidSecurity" => {
            format!("{code}: the server does not accept the credentials; check `credentials`")
        }
        "ExpiredToken" | "ExpiredTokenException" => {
            "the credentials have expired; give new ones in `credentials`, or a role that is renewed by itself".into()
        }
        "InvalidStorageClass" => {
            format!("the server does not know the storage class; mend `storage_class`{said}")
        }
        "InvalidTag" => format!("the server does not take the tags; mend `tags`{said}"),
        "AccessControlListNotSupported" => {
            "the bucket takes no access control lists; leave `acl` and `grants` out, or change the bucket's object ownership".into()
        }
        code if code.starts_with("KMS.") => {
            format!("{code}: the key cannot be used; check `sse.key_id` and the key's policy{said}")
        }
        "AccessDenied" | "Forbidden" => denied(said),
        _ => return None,
    })
}

/// The meaning of a code that is about the object or the moment, and true if a retry may help.
fn of_request(code: &str, said: &str) -> Option<(String, bool)> {
    Some(match code {
        "InvalidObjectState" => (
            "the object is in an archive storage class and cannot be read; restore it first".into(),
            false,
        ),
        "EntityTooLarge" => (
            format!("the server takes no object of this size{said}"),
            false,
        ),
        "SlowDown" | "ServiceUnavailable" | "TooManyRequests" | "RequestLimitExceeded" => (
            format!("{code}: the server asks for fewer requests; it is tried again later"),
            true,
        ),
        "BadDigest" | "InvalidDigest" | "XAmzContentChecksumMismatch" | "IncompleteBody" => (
            format!("{code}: the object was damaged on the way{said}"),
            true,
        ),
        // It may have struck once, while a machine slept or its clock was being set.
        "RequestTimeTooSkewed" => (
            "the clock of this machine differs from the server's by too much; it is tried again, and if it stays so, set the clock (NTP)".into(),
            true,
        ),
        "RequestTimeout"
        | "OperationAborted"
        | "ConditionalRequestConflict"
        | "NoSuchUpload"
        | "InvalidPart" => (format!("{code}{said}; it can be tried again"), true),
        _ => return None,
    })
}

/// The meaning of a status whose code is missing or not known, and true if a retry may help.
fn of_status(code: &str, status: u16, said: &str) -> (String, bool) {
    match (code, status) {
        ("", 403) => return (denied(""), false),
        ("", 200..=299) => {
            let reason = "the server's answer has no content that can be read; it is tried again";
            return (reason.into(), true);
        }
        ("", 404) => return ("not found; check `bucket` and `endpoint`".into(), false),
        _ => {}
    }
    let name = if code.is_empty() {
        format!("status {status}")
    } else {
        format!("{code} (status {status})")
    };
    // An error within an answer that began as a success came up on the way.
    let retryable =
        (status >= 500 && status != 501) || matches!(status, 200..=299 | 408 | 409 | 429);
    let way = if retryable {
        "; it can be tried again"
    } else {
        "; check what the sink's configuration asks of this server"
    };
    (format!("the server refuses: {name}{said}{way}"), retryable)
}

fn denied(said: &str) -> String {
    format!(
        "access denied{said}; the credentials need s3:PutObject, s3:GetObject, s3:AbortMultipartUpload and s3:ListBucket, and what the sink's options ask for"
    )
}
