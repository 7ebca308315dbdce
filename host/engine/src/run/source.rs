//! A source as a run needs it.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;

use super::{AwsAuth, Follow};
use crate::{identity, privacy::Privacy};
use recording_host_http::{AllowedOrigins, OriginAllowList, OriginError, RequestLimits};
use recording_host_model::{Origin, OriginRole};
use recording_host_network::ClientTls;

/// How long after a conversation's end its recordings are waited for, unless it is said.
const LATE: Duration = Duration::from_secs(24 * 3600);
/// How long after its end a conversation is requested once more, unless it is said.
const CONFIRM: Duration = Duration::from_secs(2 * 3600);

/// A source, ready to be set up.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// The component's options, a JSON object without `interval`.
    pub options: Value,
    /// The range of the export: conversations that began in it are exported.
    pub interval: Interval,
    /// The credentials.
    pub auth: Option<SourceAuth>,
    /// The origins that the operator allows; none for all that the component wants.
    pub allow: Option<OriginAllowList>,
    /// True if the component came with the program: where it says that tokens are issued, the client's
    /// secret is sent. Any other component has no say in that.
    pub builtin: bool,
    /// The certificate that its client shows, and authorities of one's own.
    pub tls: ClientTls,
    /// True if connections to private addresses are allowed.
    pub allow_private_addresses: bool,
    /// True if downloads are compared with the MD5 in their entity tags, where these look like one.
    pub check_etag: bool,
    /// The most requests with the source's credential.
    pub limits: RequestLimits,
    /// The values that are taken out of what the source reports before it is written down.
    pub privacy: Privacy,
    /// How an export with an open end keeps up.
    pub follow: Follow,
    /// How long after a conversation's end its recordings are waited for.
    pub late: Duration,
    /// How long after its end a conversation is requested once more, if it was fetched before.
    pub confirm: Duration,
}

impl SourceConfig {
    /// A source with these options, a JSON object without `interval`, and the default of everything else: no
    /// credentials, every origin that the component wants, no private address; recordings are waited
    /// for 24 hours, and conversations are requested once more two hours after their end.
    #[must_use]
    pub fn new(options: Value, interval: Interval) -> Self {
        SourceConfig {
            options,
            interval,
            auth: None,
            allow: None,
            builtin: false,
            tls: ClientTls::default(),
            allow_private_addresses: false,
            check_etag: false,
            limits: RequestLimits::default(),
            privacy: Privacy::default(),
            follow: Follow::default(),
            late: LATE,
            confirm: CONFIRM,
        }
    }

    /// Warnings about the options of the source `name`: those that are given by a former name, each with
    /// the name that it has now, and one of the component that the host takes out; `schema` is the
    /// component's.
    #[must_use]
    pub fn warnings(&self, name: &str, schema: &str) -> Vec<String> {
        let schema: Value = serde_json::from_str(schema).unwrap_or_default();
        let given = self.options.as_object().into_iter().flatten();
        let renamed = given.filter_map(|(former, _)| {
            let now = identity::renamed_to(&schema, former)?;
            Some(format!(
                "sources.{name}.options.{former}: this option is called `{now}` now; the former name still works"
            ))
        });
        // It is taken out before the component sees the options, and every component has it.
        let taken = schema["properties"].get("interval").map(|_| {
            format!(
                "sources.{name}: the component's schema has an option `interval`, which is the host's: the component never sees it, but as the range of `find`"
            )
        });
        renamed.chain(taken).collect()
    }

    /// The origins of a source that may be reached.
    pub(super) fn allowed_origins(&self, origins: &[Origin]) -> AllowedOrigins {
        let allow = AllowedOrigins::new(origins, self.allow.as_ref(), self.allow_private_addresses);
        match &self.auth {
            Some(SourceAuth::Client {
                token_url: Some(url),
                ..
            }) => allow.with_token(url),
            _ => allow,
        }
    }

    /// Where access tokens are issued: what the operator says comes before what a built-in source says.
    pub(super) fn token_endpoint<'a>(&'a self, origins: &'a [Origin]) -> Option<&'a str> {
        match &self.auth {
            Some(SourceAuth::Client {
                token_url: Some(url),
                ..
            }) => Some(url),
            Some(SourceAuth::Client { .. }) if self.builtin => {
                let proposed = origins.iter().find(|it| it.role == OriginRole::Token)?;
                Some(&proposed.url)
            }
            _ => None,
        }
    }

    /// Checks that a run could log in, ask, and download: a source's origins are of use if one for each of
    /// these may be reached.
    ///
    /// # Errors
    /// Names the rule that forbids the first of them.
    #[doc(hidden)]
    pub fn check_origins(&self, origins: &[Origin]) -> Result<(), OriginError> {
        let allowed = self.allowed_origins(origins);
        if let Some(endpoint) = self.token_endpoint(origins) {
            allowed.token(endpoint)?;
        }
        let one_of = |role: OriginRole, check: &dyn Fn(&str) -> Result<(), OriginError>| {
            let of_role = origins.iter().filter(|origin| origin.role == role);
            let mut first = None;
            for origin in of_role {
                match check(&origin.url) {
                    Ok(()) => return Ok(()),
                    Err(error) => first = first.or(Some(error)),
                }
            }
            first.map_or(Ok(()), Err)
        };
        one_of(OriginRole::Api, &|url| allowed.api(url).map(drop))?;
        one_of(OriginRole::Media, &|url| allowed.media(url).map(drop))
    }
}

/// A half-open range of time, in ms since the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The first instant inside.
    pub from: u64,
    /// The first instant after it; none if it has no end.
    pub until: Option<u64>,
}

/// Who a source's requests are made as.
#[derive(Clone, Debug)]
pub enum SourceAuth {
    /// An OAuth client.
    Client {
        /// The client's id.
        id: SecretString,
        /// The client's secret.
        secret: SecretString,
        /// The token endpoint, if it is not the one that the source proposes.
        token_url: Option<String>,
    },
    /// A user name and a password.
    Basic {
        /// The user name.
        username: SecretString,
        /// The password.
        password: SecretString,
    },
    /// A secret for the header that the source names, such as an API key.
    Secret(SecretString),
    /// An AWS identity.
    Aws(Box<AwsAuth>),
}
