//! Finds out what a server can do: by an object that is put, read, and removed.

use aws_sdk_s3::{
    Client,
    config::retry::RetryConfig,
    error::{ProvideErrorMetadata, SdkError},
    primitives::{DateTime, DateTimeFormat},
};
use bytes::Bytes;

use super::{
    Checksum, ObjectLock, Retention, S3, S3SinkConfig,
    body::stream,
    checksum::{Algorithm, Sum, with_body_sum},
    error::{code, status},
    object::with_options,
};
use recording_host_sink::{BodyReader, Health, PutOptions, Segments, SinkError, probe_name};

/// How long the version of the probe stays in a bucket whose objects get a retention.
const RETENTION: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);
/// How far two clocks are apart when S3 refuses a request for that, in seconds.
const SKEWED: i64 = 15 * 60;
const PROBE: &[u8] = b"recording-host checks that it can write here\n";

/// The capabilities that a server was found to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ServerCapabilities {
    /// The checksum that goes with objects.
    pub(super) algorithm: Option<Algorithm>,
    /// True if the server refuses an object whose checksum is wrong.
    pub(super) checks: bool,
    /// True if it keeps an object that is there when asked to.
    pub(super) conditional: bool,
}

/// By how many seconds the clock of a server that answered differs from this machine's.
fn skew<E>(error: &SdkError<E>) -> Option<i64> {
    let date = error.raw_response()?.headers().get("date")?;
    let theirs = DateTime::from_str(date, DateTimeFormat::HttpDate).ok()?;
    Some((theirs.secs() - jiff::Timestamp::now().as_second()).abs())
}

/// How the server took a probe.
enum Taken {
    Yes,
    /// It keeps what is there.
    Kept,
    /// It does not take requests of this kind.
    No(SinkError),
}

impl S3 {
    /// Tries the bucket, with each request once.
    pub(super) async fn probe(&self) -> Result<Health, SinkError> {
        // Whoever waits for the answer repeats it: what is amiss is to be named within seconds.
        let once = self.client.config().to_builder();
        let once = once.retry_config(RetryConfig::disabled()).build();
        let once = S3 {
            client: Client::from_conf(once),
            ..self.clone()
        };
        once.tried().await
    }

    async fn tried(&self) -> Result<Health, SinkError> {
        self.reach().await?;
        let key = self.key(&probe_name());
        let result = self.try_out(&key).await;
        let deleted = self.remove(&key).await;
        let server = result?;
        let stays = match deleted {
            Ok(()) => "",
            // An archive may well forbid deletion.
            Err(error) if status(&error) == Some(403) => {
                "; deletion is forbidden, so a probe of some bytes stays"
            }
            Err(error) => return Err(self.error(&key, &error)),
        };
        *self
            .found
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = server;
        let checksum = match (server.algorithm, server.checks) {
            (Some(algorithm), true) => format!("{} checked by the server", algorithm.name()),
            (Some(algorithm), false) => {
                format!("{} sent, not checked by the server", algorithm.name())
            }
            (None, _) => "no checksum, sizes are compared".to_owned(),
        };
        let conditional = if server.conditional {
            "conditional writes honoured"
        } else {
            "conditional writes ignored, so each key is looked up before it is written"
        };
        Ok(Health {
            found: format!(
                "s3://{}/{}: {checksum}; {conditional}{stays}",
                self.settings.bucket, self.settings.objects.prefix
            ),
        })
    }

    /// Checks that the bucket exists and can hold what is requested.
    async fn reach(&self) -> Result<(), SinkError> {
        let head = self.client.head_bucket().bucket(&self.settings.bucket);
        if let Err(error) = head.send().await {
            let mut failure = self.error("", &error);
            // Answers to HEAD have no body, so the status is all there is, and the time.
            match status(&error) {
                Some(404) => {
                    failure.reason = "the bucket does not exist; make it or mend `bucket`".into();
                    failure.retryable = false;
                }
                Some(403) => match skew(&error) {
                    Some(seconds) if seconds >= SKEWED => {
                        failure.reason = format!(
                            "the server refuses the request, and its clock differs from this machine's by {seconds} s; set the clock (NTP)"
                        );
                        failure.retryable = true;
                    }
                    _ => {
                        failure.reason = "the server refuses the credentials for this bucket; check `credentials` and the policy".into();
                        failure.retryable = false;
                    }
                },
                _ => {}
            }
            return Err(failure);
        }
        if self.settings.object_lock.is_some() {
            let lock = self
                .client
                .get_object_lock_configuration()
                .bucket(&self.settings.bucket);
            if let Err(error) = lock.send().await
                && code(&error) == "ObjectLockConfigurationNotFoundError"
            {
                let reason =
                    "the bucket has no object lock; make one that has, or leave `object_lock` out";
                return Err(self.failure("", reason, false));
            }
        }
        Ok(())
    }

    async fn try_out(&self, key: &str) -> Result<ServerCapabilities, SinkError> {
        let (algorithm, checks) = match self.settings.checksum {
            Checksum::Auto => self.best(key).await?,
            given => {
                let algorithm = Algorithm::of(given);
                if let Taken::No(mut error) = self.takes(key, self.right(algorithm), false).await? {
                    if algorithm.is_some() {
                        error.reason +=
                            "; or the server does not take this `checksum`: set `checksum: auto`";
                    }
                    return Err(error);
                }
                let checks =
                    algorithm.is_some() && self.refuses_a_wrong_sum(key, algorithm).await?;
                (algorithm, checks)
            }
        };
        self.reads_as_written(key).await?;
        let again = self.takes(key, self.right(algorithm), true).await?;
        let conditional = matches!(again, Taken::Kept);
        Ok(ServerCapabilities {
            algorithm,
            checks,
            conditional,
        })
    }

    /// The first checksum that the server takes, and refuses if it is wrong; none if there is none.
    async fn best(&self, key: &str) -> Result<(Option<Algorithm>, bool), SinkError> {
        for algorithm in Algorithm::ALL.map(Some) {
            if let Taken::Yes = self.takes(key, self.right(algorithm), false).await?
                && self.refuses_a_wrong_sum(key, algorithm).await?
            {
                return Ok((algorithm, true));
            }
        }
        match self.takes(key, None, false).await? {
            Taken::No(error) => Err(error),
            Taken::Yes | Taken::Kept => Ok((None, false)),
        }
    }

    fn right(&self, algorithm: Option<Algorithm>) -> Option<Sum> {
        algorithm.map(|algorithm| algorithm.sum(&probe()))
    }

    async fn refuses_a_wrong_sum(
        &self,
        key: &str,
        algorithm: Option<Algorithm>,
    ) -> Result<bool, SinkError> {
        let wrong = self.right(algorithm).map(Sum::wrong);
        Ok(matches!(self.takes(key, wrong, false).await?, Taken::No(_)))
    }

    /// Puts the probe.
    async fn takes(
        &self,
        key: &str,
        sum: Option<Sum>,
        conditional: bool,
    ) -> Result<Taken, SinkError> {
        // A probe that cannot be read would prove nothing. One with a retention shows what the server asks of
        // such objects; it is short, and a legal hold is left out, since nothing lifts it.
        let lock = self.settings.object_lock.as_ref();
        let until = jiff::Timestamp::now() + RETENTION;
        let retention = lock.and_then(|lock| lock.retention);
        let settings = S3SinkConfig {
            storage_class: None,
            object_lock: retention.map(|(mode, _)| ObjectLock {
                retention: Some((mode, Retention::Until(until))),
                legal_hold: false,
            }),
            ..S3SinkConfig::clone(&self.settings)
        };
        let info = PutOptions {
            content_type: "text/plain".into(),
            size: Some(PROBE.len() as u64),
            replace: true,
            plaintext: false,
        };
        let request = with_options!(self.client.put_object(), &settings, info)
            .key(key)
            .content_length(PROBE.len() as i64)
            .set_checksum_algorithm(self.settings.named(sum.map(|sum| sum.algorithm)))
            .set_if_none_match(conditional.then(|| "*".to_owned()))
            .body(stream(probe()));
        match with_body_sum!(request, sum).send().await {
            Ok(_) => Ok(Taken::Yes),
            Err(error) if status(&error) == Some(412) => Ok(Taken::Kept),
            Err(error) if of_this_kind(&error) => Ok(Taken::No(self.error(key, &error))),
            Err(error) => Err(self.error(key, &error)),
        }
    }

    /// Checks that the probe comes back as it was sent, and encrypted as it should be.
    async fn reads_as_written(&self, key: &str) -> Result<(), SinkError> {
        let there = self.head(key).await?;
        let wanted = self.settings.encryption();
        let missing = || {
            self.failure(
                key,
                "the server reports success, and the object is not there",
                true,
            )
        };
        let there = there.ok_or_else(missing)?;
        if wanted.is_some() && there.encryption != wanted {
            let reason = "the server does not encrypt the object as `sse` asks; leave `sse` out, or set the server's encryption up";
            return Err(self.failure(key, reason, false));
        }
        let mut read = BodyReader::new(self.read(key, None).await?.ok_or_else(missing)?);
        let most = PROBE.len() + 4096;
        let data = read.take(most).await.map_err(|_| self.broken(key))?;
        let data: Vec<u8> = data.iter().flat_map(|data| data.to_vec()).collect();
        if data == PROBE {
            return Ok(());
        }
        let framed = data.windows(15).any(|part| part == b"chunk-signature");
        let reason = if framed {
            "the server stores the framing of uploads as content: objects would be damaged; use another server or a newer one"
        } else {
            "what is read is not what was written; the server, or something before it, changes objects"
        };
        Err(self.failure(key, reason, false))
    }
}

fn probe() -> Segments {
    let mut segments = Segments::default();
    segments.push(Bytes::from_static(PROBE));
    segments
}

/// Returns true if a server refuses what a request asks for, and not whom it is from or where it goes.
fn of_this_kind<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    let otherwise = matches!(
        code(error),
        "AccessDenied"
            | "NoSuchBucket"
            | "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "InvalidToken"
            | "ExpiredToken"
            | "AuthorizationHeaderMalformed"
            | "RequestTimeTooSkewed"
            | "InvalidTag"
            | "AccessControlListNotSupported"
            | "PermanentRedirect"
    ) || code(error).starts_with("KMS.");
    matches!(status(error), Some(400 | 411 | 501)) && !otherwise
}
