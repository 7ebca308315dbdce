//! Resolves host names, leaving out private addresses: a public name must not lead inside.

use std::net::SocketAddr;

use reqwest::dns::{Name, Resolve, Resolving};

use super::allowed_origins::is_private;

/// The system's resolver without private addresses.
#[derive(Clone, Copy, Debug)]
pub struct PublicDnsResolver;

impl Resolve for PublicDnsResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|found| !is_private(found.ip())).collect();
            if public.is_empty() {
                return Err(format!(
                    "{} has private addresses alone; set `allow_private_addresses: true` if that is meant",
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
    async fn a_name_that_leads_inside_is_not_resolved() {
        let error = PublicDnsResolver
            .resolve("localhost".parse().unwrap())
            .await
            .err()
            .unwrap();
        assert!(error.to_string().contains("allow_private_addresses"));
    }
}
