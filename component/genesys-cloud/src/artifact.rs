//! Files to fetch, and how.

use recording_source_sdk::{
    Artifact, ArtifactKey, BundleIndex, Container, Download, IndexColumn, IndexField,
};

use crate::outcome::UPLOADING;

/// The archive of a whole batch, in the guide dialect.
pub(crate) fn bundle(id: &str, url: String) -> Artifact {
    Artifact {
        container: Container::ZipBundle(BundleIndex {
            conversation_field: "conversationId".to_owned(),
            recording_field: "recordingId".to_owned(),
            file_field: "fileName".to_owned(),
            content_type_field: Some("contentType".to_owned()),
            error_field: Some("errorMsg".to_owned()),
            retryable_errors: vec![UPLOADING.0.to_owned()],
            columns: [
                ("ani", IndexColumn::Ani),
                ("dnis", IndexColumn::Dnis),
                ("agentName", IndexColumn::AgentName),
                ("tags", IndexColumn::Tag),
            ]
            .map(|(name, column)| IndexField {
                name: name.to_owned(),
                column,
            })
            .into(),
        }),
        ..Artifact::new(
            ArtifactKey::Bundle(id.to_owned()),
            Download::signed(url),
            Some("application/zip"),
        )
    }
}

/// A link without the parts that only sign it: the rest names the file.
pub(crate) fn identity(url: &str) -> String {
    let url = url.split('#').next().unwrap_or_default();
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let pairs: Vec<(&str, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| (pair, name(pair)))
        .collect();
    let azure = pairs.iter().any(|(_, name)| name == "sig");
    let signs = |name: &str| {
        ["x-amz-", "x-goog-"].iter().any(|of| name.starts_with(of))
            || SIGNATURE.contains(&name)
            || (azure && SHARED_ACCESS.contains(&name))
    };
    let named = pairs.iter().filter(|(_, name)| !signs(name));
    let mut named: Vec<&str> = named.map(|(pair, _)| *pair).collect();
    if named.is_empty() {
        return path.to_owned();
    }
    named.sort_unstable();
    format!("{path}?{}", named.join("&"))
}

/// Parameters that sign a link: of CloudFront, S3 (version 2), Google, Azure, and common ones.
const SIGNATURE: [&str; 13] = [
    "awsaccesskeyid",
    "expires",
    "expiry",
    "exp",
    "googleaccessid",
    "hmac",
    "key-pair-id",
    "policy",
    "sig",
    "sign",
    "signature",
    "token",
    "access_token",
];
/// Parameters that go with Azure's `sig` (service and account SAS, user delegation).
const SHARED_ACCESS: [&str; 15] = [
    "se", "sip", "ske", "skoid", "sks", "skt", "sktid", "skv", "sp", "spr", "sr", "srt", "ss",
    "st", "sv",
];

fn name(pair: &str) -> String {
    pair.split('=')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::identity;

    #[test]
    fn what_signs_a_link_is_no_part_of_what_it_names() {
        let plain = "https://media.example/a/b.ogg";
        for signed in [
            "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=1&X-Amz-Expires=60",
            "?Expires=9&Signature=x&Key-Pair-Id=k",
            "?Policy=p&Signature=x&Key-Pair-Id=k",
            "?AWSAccessKeyId=a&Expires=1&Signature=b",
            "?sv=2026-01-01&se=x&sr=b&sp=r&sig=y",
            "?X-Goog-Signature=x&GoogleAccessId=y",
            "?#fragment",
            "#fragment",
            "",
        ] {
            assert_eq!(identity(&format!("{plain}{signed}")), plain);
        }
        // Without Azure's signature, its short names may have any meaning.
        assert_eq!(identity("https://m/d?st=1"), "https://m/d?st=1");
        assert_eq!(
            identity("https://m/d?file=2&sig=z&n=1"),
            "https://m/d?file=2&n=1"
        );
    }
}
