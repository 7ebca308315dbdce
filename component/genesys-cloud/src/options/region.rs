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
            let domain = REGIONS
                .iter()
                .find(|(name, _)| name == region)
                .map_or(region.as_str(), |(_, domain)| domain);
            if !domain.contains('.') || !is_plain(domain, ".-") {
                return Err(wrong(
                    "region",
                    &format!(
                        "`{region}` is neither an AWS region of Genesys Cloud, such as `eu-west-1`, nor a domain, such as `mypurecloud.ie`"
                    ),
                ));
            }
            (
                format!("https://api.{domain}"),
                format!("https://login.{domain}"),
                Some(domain.to_owned()),
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
