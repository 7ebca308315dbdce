//! Files to fetch, and how.

use recording_source_sdk::{
    Artifact, ArtifactKey, BundleIndex, Container, Download, IndexField, IndexMeaning,
};

use crate::outcome::UPLOADING;

/// The archive of a whole batch, in the guide dialect.
pub(crate) fn bundle(id: &str, url: String) -> Artifact {
    Artifact {
        key: ArtifactKey::Bundle(id.to_owned()),
        download: download(url),
        content_type: Some("application/zip".to_owned()),
        container: Container::ZipBundle(BundleIndex {
            conversation_field: "conversationId".to_owned(),
            recording_field: "recordingId".to_owned(),
            file_field: "fileName".to_owned(),
            content_type_field: Some("contentType".to_owned()),
            error_field: Some("errorMsg".to_owned()),
            passing_errors: vec![UPLOADING.0.to_owned()],
            known_fields: [
                ("ani", IndexMeaning::Ani),
                ("dnis", IndexMeaning::Dnis),
                ("agentName", IndexMeaning::AgentName),
                ("tags", IndexMeaning::Tag),
            ]
            .map(|(name, meaning)| IndexField {
                name: name.to_owned(),
                meaning,
            })
            .into(),
        }),
        size: None,
        sha256: None,
    }
}

/// A signed link is fetched as it is, without credentials.
pub(crate) fn download(url: String) -> Download {
    Download {
        url,
        headers: Vec::new(),
        authenticated: false,
        expires: None,
    }
}

/// A link without its query, which is where the signature is.
pub(crate) fn path(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}
