//! AWS credentials: where they come from, and the role that is taken with them.

use aws_config::{
    BehaviorVersion, ConfigLoader, Region, SdkConfig, profile::ProfileFileCredentialsProvider,
    sts::AssumeRoleProvider,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use aws_credential_types::provider::{self, ProvideCredentials, future};
use aws_sdk_s3::config::SharedCredentialsProvider;
use secrecy::{ExposeSecret, SecretString};

/// Who speaks with AWS.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// Where the credentials come from.
    pub source: Credentials,
    /// A role that is taken with them.
    pub role: Option<Role>,
}

impl Identity {
    /// Returns true if no other credentials than these can ever come.
    pub(crate) fn is_fixed(&self) -> bool {
        self.role.is_none() && matches!(self.source, Credentials::Static { .. })
    }
}

/// How long before their end credentials are fetched anew.
const EARLY: Duration = Duration::from_secs(60);

/// How long after credentials were fetched because others had expired a server's word that they have is about
/// those: requests were under way with them.
const UNDER_WAY: Duration = Duration::from_secs(60);

/// Credentials that are kept until shortly before their end, or until a server says that they have expired:
/// it may know better.
#[derive(Clone, Debug)]
pub(crate) struct Renewed {
    from: SharedCredentialsProvider,
    kept: Arc<tokio::sync::Mutex<Option<Kept>>>,
    expired: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Kept {
    credentials: aws_sdk_s3::config::Credentials,
    /// When they took the place of others that had expired by a server's word.
    replaced: Option<Instant>,
}

impl Renewed {
    pub(crate) fn new(from: SharedCredentialsProvider) -> Self {
        Renewed {
            from,
            kept: Arc::default(),
            expired: Arc::default(),
        }
    }

    /// Has the next request be made with other credentials.
    pub(crate) fn expire(&self) {
        self.expired.store(true, Ordering::Relaxed);
    }

    async fn credentials(&self) -> provider::Result {
        // One at a time: the others take what it has fetched.
        let mut kept = self.kept.lock().await;
        let expired = self.expired.load(Ordering::Relaxed);
        let stays = |kept: &&Kept| {
            let soon = SystemTime::now() + EARLY;
            let of_others = |at: Instant| at.elapsed() < UNDER_WAY;
            (!expired || kept.replaced.is_some_and(of_others))
                && kept.credentials.expiry().is_none_or(|end| end > soon)
        };
        if let Some(kept) = kept.as_ref().filter(stays) {
            self.expired.store(false, Ordering::Relaxed);
            return Ok(kept.credentials.clone());
        }
        let credentials = self.from.provide_credentials().await?;
        // Not before: who fetches them may be given up, with the upload of which it is a part.
        self.expired.store(false, Ordering::Relaxed);
        *kept = Some(Kept {
            credentials: credentials.clone(),
            replaced: expired.then(Instant::now),
        });
        Ok(credentials)
    }
}

impl ProvideCredentials for Renewed {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}

/// Where credentials come from.
#[derive(Clone, Debug, Default)]
pub enum Credentials {
    /// AWS' default chain: environment, profile, web identity, container, instance.
    #[default]
    Chain,
    /// A profile of the AWS configuration files.
    Profile(String),
    /// Given as they are.
    Static {
        /// The access key's id.
        access_key_id: SecretString,
        /// The access key's secret.
        secret_access_key: SecretString,
        /// The token of temporary credentials.
        session_token: Option<SecretString>,
    },
}

/// A role to take by STS.
#[derive(Clone, Debug)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// The external id that its trust policy asks for.
    pub external_id: Option<SecretString>,
    /// The name of the session, as CloudTrail shows it.
    pub session_name: String,
    /// The URL of the token service, if not that of AWS.
    pub endpoint: Option<String>,
}

/// Makes a loader of AWS settings take its credentials from `source`.
pub(crate) fn identified(loader: ConfigLoader, source: &Credentials) -> ConfigLoader {
    match source {
        Credentials::Chain => loader,
        Credentials::Profile(name) => {
            // The chain would look into the environment first.
            let profile = ProfileFileCredentialsProvider::builder().profile_name(name);
            loader
                .profile_name(name)
                .credentials_provider(profile.build())
        }
        Credentials::Static {
            access_key_id,
            secret_access_key,
            session_token,
        } => loader.credentials_provider(aws_sdk_s3::config::Credentials::new(
            access_key_id.expose_secret(),
            secret_access_key.expose_secret(),
            session_token
                .as_ref()
                .map(|token| token.expose_secret().to_owned()),
            None,
            "configuration",
        )),
    }
}

/// Yields the credentials of a role that is taken with those of `base`.
pub(crate) async fn assumed(role: &Role, base: SdkConfig) -> AssumeRoleProvider {
    let base = match &role.endpoint {
        Some(endpoint) => base.into_builder().endpoint_url(endpoint).build(),
        None => base,
    };
    let mut provider = AssumeRoleProvider::builder(&role.arn).session_name(&role.session_name);
    if let Some(id) = &role.external_id {
        provider = provider.external_id(id.expose_secret());
    }
    provider.configure(&base).build().await
}

/// Yields the credentials of `identity`, if it has any, and the region: the given one, or that of
/// AWS' own settings.
pub async fn provider(
    identity: &Identity,
    region: Option<&str>,
) -> (Option<SharedCredentialsProvider>, Option<String>) {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    let base = identified(loader, &identity.source).load().await;
    let region = base.region().map(ToString::to_string);
    let provider = match &identity.role {
        Some(role) => Some(SharedCredentialsProvider::new(assumed(role, base).await)),
        None => base.credentials_provider(),
    };
    (provider, region)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use aws_sdk_s3::config::Credentials as Keys;
    use futures_util::FutureExt;

    use super::*;

    /// Gives other credentials each time, after a moment.
    #[derive(Debug, Default)]
    struct Numbered(AtomicU32);

    impl ProvideCredentials for Numbered {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::new(async {
                tokio::task::yield_now().await;
                let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
                let key = format!("KEY{number}");
                Ok(Keys::new(key, "secret", None, None, "test"))
            })
        }
    }

    #[tokio::test]
    async fn expired_ones_are_fetched_anew_once_whoever_is_given_up_or_was_under_way() {
        let renewed = Renewed::new(SharedCredentialsProvider::new(Numbered::default()));
        let key = async || {
            let keys = renewed.credentials().await.unwrap();
            keys.access_key_id().to_owned()
        };
        assert_eq!(key().await, "KEY1");
        assert_eq!(key().await, "KEY1");
        renewed.expire();
        // Who fetches others is given up.
        assert!(renewed.credentials().now_or_never().is_none());
        assert_eq!(key().await, "KEY2");
        // The answer to the second of them.
        renewed.expire();
        assert_eq!(key().await, "KEY2");
        // Later it is about these.
        let long_ago = Instant::now().checked_sub(UNDER_WAY);
        renewed.kept.lock().await.as_mut().unwrap().replaced = long_ago;
        renewed.expire();
        assert_eq!(key().await, "KEY3");
    }
}
