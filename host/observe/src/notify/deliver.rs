//! Delivers notices: over HTTP, or to a program.

use std::{process::Stdio, time::Duration};

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use recording_host_model::hex;
use reqwest::{Client, RequestBuilder, redirect::Policy};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use tokio::io::AsyncWriteExt;

use super::{Notice, NoticeTarget, NoticeTransport};

/// How long a receiver may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The pauses before a notice is sent again.
const PAUSES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(8),
];
/// The header of the signature.
const SIGNATURE: &str = "x-recording-host-signature";

/// Why a notice was not delivered, without any secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UndeliveredError(String);

/// Delivers to one target.
pub(super) struct Deliverer {
    client: Client,
    way: NoticeTransport,
    version: String,
}

impl Deliverer {
    pub(super) fn new(target: &NoticeTarget, version: &str) -> Result<Self, UndeliveredError> {
        let client = Client::builder()
            .timeout(TIMEOUT)
            // A URL may be a secret, and a notice is for nobody else.
            .redirect(Policy::none())
            .user_agent(concat!("recording-host/", env!("CARGO_PKG_VERSION")))
            .build();
        let client = client.map_err(|error| UndeliveredError(error.to_string()))?;
        Ok(Deliverer {
            client,
            way: target.way.clone(),
            version: version.to_owned(),
        })
    }

    /// Delivers a notice, in a few attempts.
    pub(super) async fn deliver(&self, notice: &Notice) -> Result<(), UndeliveredError> {
        let mut pauses = PAUSES.iter();
        loop {
            let result = self.attempt(notice).await;
            match (result, pauses.next()) {
                (Err(_), Some(pause)) => tokio::time::sleep(*pause).await,
                (result, _) => return result,
            }
        }
    }

    async fn attempt(&self, notice: &Notice) -> Result<(), UndeliveredError> {
        let now = Timestamp::now();
        match &self.way {
            NoticeTransport::Webhook {
                url,
                format,
                secret,
            } => {
                let body = notice.body(*format, &self.version, now).to_string();
                let mut request = self.client.post(url.expose_secret());
                request = request.header("content-type", "application/json");
                if let Some(secret) = secret {
                    request = request.header(SIGNATURE, signature(secret, &body, now));
                }
                answered(request.body(body)).await
            }
            NoticeTransport::Exec { command, timeout } => {
                let fields = notice.fields(&self.version, now);
                let running = run(command, fields.to_string());
                match tokio::time::timeout(*timeout, running).await {
                    Ok(result) => result,
                    Err(_) => Err(UndeliveredError(format!(
                        "the command took longer than {} s",
                        timeout.as_secs()
                    ))),
                }
            }
            NoticeTransport::Ping { .. } => self.ping().await,
        }
    }

    /// Says that all is well; the next one says it again, so that there is one attempt.
    pub(super) async fn ping(&self) -> Result<(), UndeliveredError> {
        match &self.way {
            NoticeTransport::Ping { url, .. } => {
                answered(self.client.get(url.expose_secret())).await
            }
            _ => Ok(()),
        }
    }
}

/// Sends a request that must be answered with success.
async fn answered(request: RequestBuilder) -> Result<(), UndeliveredError> {
    // The URL may be a secret: errors come without it.
    let response = request.send().await.map_err(|error| {
        let error = error.without_url();
        let mut reason = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            reason = format!("{reason}: {error}");
            cause = error.source();
        }
        UndeliveredError(reason)
    })?;
    match response.status() {
        status if status.is_success() => Ok(()),
        status => Err(UndeliveredError(format!(
            "the answer has the status {}",
            status.as_u16()
        ))),
    }
}

/// `t=SECONDS,v1=HEX`, where HEX is the HMAC-SHA256 of `SECONDS.BODY`.
fn signature(secret: &SecretString, body: &str, now: Timestamp) -> String {
    let seconds = now.as_second();
    let key = secret.expose_secret().as_bytes();
    // A key of any length is one.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return String::new();
    };
    mac.update(format!("{seconds}.{body}").as_bytes());
    format!("t={seconds},v1={}", hex(&mac.finalize().into_bytes()))
}

/// Runs a program with a notice on its standard input. What it prints is nowhere shown.
async fn run(command: &[String], input: String) -> Result<(), UndeliveredError> {
    let failed = |error: std::io::Error| UndeliveredError(format!("the command: {error}"));
    let Some((program, arguments)) = command.split_first() else {
        return Err(UndeliveredError("the command is empty".to_owned()));
    };
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that reads nothing may close it.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let status = child.wait().await.map_err(failed)?;
    match status.success() {
        true => Ok(()),
        false => Err(UndeliveredError(format!("the command ended with {status}"))),
    }
}
