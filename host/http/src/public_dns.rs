//! Resolves host names, leaving out private addresses: a public name must not lead inside.

use std::net::SocketAddr;

use reqwest::dns::{Name, Resolve, Resolving};

use super::private::is_private;

/// The system's resolver without private addresses.
#[derive(Clone, Debug, Default)]
pub struct PublicDnsResolver {
    inside: Vec<String>,
}

impl PublicDnsResolver {
    /// The same, but for names that may lead inside, such as those of proxies.
    #[must_use]
    pub fn except(inside: Vec<String>) -> Self {
        PublicDnsResolver { inside }
    }
}

impl Resolve for PublicDnsResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let inside = self.inside.iter().any(|known| known == name.as_str());
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found
                .filter(|found| inside || !is_private(found.ip()))
                .collect();
            if public.is_empty() {
                return Err(format!(
                    "{} resolves only to private addresses; set `allow_private_addresses: true` of the source if that is intended",
                    name.as_str()
                )
                .into());
            }
            let addresses: reqwest::dns::Addrs = Box::new(public.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_resolved_unless_it_is_a_proxys() {
        let resolve = |resolver: PublicDnsResolver| resolver.resolve("localhost".parse().unwrap());
        let error = resolve(PublicDnsResolver::default()).await.err().unwrap();
        assert!(error.to_string().contains("allow_private_addresses"));
        let other = PublicDnsResolver::except(vec!["proxy.example".to_owned()]);
        assert!(resolve(other).await.is_err());
        let proxy = PublicDnsResolver::except(vec!["localhost".to_owned()]);
        assert!(resolve(proxy).await.is_ok());
    }
}
