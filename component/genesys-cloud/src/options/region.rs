//! The location of an organization: its region's hosts, or base URLs given one by one.

use recording_source_sdk::{
    SourceError,
    options::{is_plain, wrong},
};

use super::{
    Raw,
    origin::{base_url, media_origin},
};

/// Domains by AWS region, from the vendor's list of regions; any other domain may be given as it is.
const REGIONS: [(&str, &str); 18] = [
    ("us-east-1", "mypurecloud.com"),
    ("us-east-2", "use2.us-gov-pure.cloud"),
    ("us-west-2", "usw2.pure.cloud"),
    ("ca-central-1", "cac1.pure.cloud"),
    ("mx-central-1", "mxc1.pure.cloud"),
    ("sa-east-1", "sae1.pure.cloud"),
    ("eu-west-1", "mypurecloud.ie"),
    ("eu-west-2", "euw2.pure.cloud"),
    ("eu-central-1", "mypurecloud.de"),
    ("eu-central-2", "euc2.pure.cloud"),
    ("eusc-de-east-1", "edee1.eusc-pure.cloud"),
    ("me-central-1", "mec1.pure.cloud"),
    ("ap-south-1", "aps1.pure.cloud"),
    ("ap-northeast-1", "mypurecloud.jp"),
    ("ap-northeast-2", "apne2.pure.cloud"),
    ("ap-northeast-3", "apne3.pure.cloud"),
    ("ap-southeast-1", "apse1.pure.cloud"),
    ("ap-southeast-2", "mypurecloud.com.au"),
];

/// Services of the vendor whose hosts are mistaken for a region.
const SERVICES: [&str; 3] = ["api", "apps", "login"];

/// Domains of the buckets that recordings lie in, one for each partition of AWS, those of its dual-stack
/// endpoints, and its network of caches.
const MEDIA: [&str; 5] = [
    "amazonaws.com",
    "amazonaws.eu",
    "amazonaws.com.cn",
    "api.aws",
    "cloudfront.net",
];

/// The addresses of API, log-in and media.
pub(super) struct Hosts {
    pub(super) api_url: String,
    pub(super) login_url: String,
    pub(super) media_origins: Vec<String>,
}

/// Base URLs of API and log-in, and the origins of media.
pub(super) fn hosts(raw: &Raw) -> Result<Hosts, SourceError> {
    let trimmed = |url: &String| url.trim_end_matches('/').to_owned();
    let (api_url, login_url, domain) = match (&raw.region, &raw.api_url, &raw.login_url) {
        (Some(region), None, None) => {
            let domain = domain(region).map_err(|reason| wrong("region", &reason))?;
            (
                format!("https://api.{domain}"),
                format!("https://login.{domain}"),
                Some(domain),
            )
        }
        (None, Some(api), Some(login)) => (trimmed(api), trimmed(login), None),
        _ => {
            return Err(wrong(
                "region",
                "give either `region`, such as `mypurecloud.ie`, or both `api_url` and `login_url`",
            ));
        }
    };
    for (path, url) in [("api_url", &api_url), ("login_url", &login_url)] {
        base_url(url).map_err(|reason| wrong(path, &reason))?;
    }
    if raw.media_origins.as_ref().is_some_and(Vec::is_empty) {
        return Err(wrong(
            "media_origins",
            "is empty, so no recording could be downloaded; leave it out for the vendor's",
        ));
    }
    for (index, text) in raw.media_origins.iter().flatten().enumerate() {
        media_origin(text).map_err(|reason| wrong(&format!("media_origins[{index}]"), &reason))?;
    }
    let media_origins = raw.media_origins.clone().unwrap_or_else(|| {
        let mut origins: Vec<String> = MEDIA.map(|name| format!("https://*.{name}")).into();
        origins.extend(domain.map(|domain| format!("https://*.{domain}")));
        origins
    });
    Ok(Hosts {
        api_url,
        login_url,
        media_origins,
    })
}

/// The domain of a region that is given by its name or by its domain.
fn domain(region: &str) -> Result<String, String> {
    if let Some((_, domain)) = REGIONS.iter().find(|(name, _)| *name == region) {
        return Ok((*domain).to_owned());
    }
    if !region.contains('.') || !is_plain(region, ".-") {
        return Err(format!(
            "`{region}` is neither an AWS region of Genesys Cloud, such as `eu-west-1`, nor a domain, such as `mypurecloud.ie`"
        ));
    }
    let (service, rest) = region.split_once('.').unwrap_or((region, ""));
    if SERVICES.contains(&service) {
        return Err(format!(
            "`{region}` is the host of one service of a region; give the region's domain, `{rest}`"
        ));
    }
    // The vendor gives this name no further domains: newer regions are below others.
    let known = REGIONS.iter().any(|(_, domain)| *domain == region);
    if service == "mypurecloud" && !known {
        let domains = REGIONS.map(|(_, domain)| domain).into_iter();
        let domains: Vec<_> = domains.filter(|it| it.starts_with(service)).collect();
        return Err(format!(
            "there is no `{region}`; the domains of that name are {}",
            domains.join(", ")
        ));
    }
    Ok(region.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_given_by_its_name_or_its_domain_and_by_no_host_of_one_service() {
        for (given, domain_of) in [
            ("eu-west-1", "mypurecloud.ie"),
            ("mypurecloud.com.au", "mypurecloud.com.au"),
            ("usw2.pure.cloud", "usw2.pure.cloud"),
            // One that was opened after this was written.
            ("new1.pure.cloud", "new1.pure.cloud"),
        ] {
            assert_eq!(domain(given).as_deref(), Ok(domain_of));
        }
        for (wrong, words) in [
            ("mypurecloud", "is neither an AWS region"),
            ("eu-north-9", "is neither an AWS region"),
            ("https://mypurecloud.ie", "is neither an AWS region"),
            (
                "api.mypurecloud.ie",
                "give the region's domain, `mypurecloud.ie`",
            ),
            ("login.usw2.pure.cloud", "domain, `usw2.pure.cloud`"),
            (
                "mypurecloud.xx",
                "there is no `mypurecloud.xx`; the domains",
            ),
            ("mypurecloud.uk", "mypurecloud.com.au"),
        ] {
            let error = domain(wrong).unwrap_err();
            assert!(error.contains(words), "{wrong}: {error}");
        }
    }
}
