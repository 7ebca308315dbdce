//! Permissions: each call needs one of some.

use hyper::{Method, StatusCode};

use super::Refusal;
use crate::server::World;

pub(super) const DETAILS: &[&str] = &[
    "analytics:conversationDetail:view",
    "analytics:agentConversationDetail:view",
];
pub(super) const AVAILABILITY: &[&str] = &["analytics:conversationDetail:view"];
pub(super) const RECORDINGS: &[&str] = &[
    "recording:recording:view",
    "recording:recordingSegment:view",
    "recording:snippetRecording:view",
    "recording:screenRecording:view",
];
pub(super) const RESTORE: &[&str] = &[
    "recording:recording:restore",
    "recording:screenRecording:restore",
    "recording:snippetRecording:restore",
];
const EDIT_RETENTION: &[&str] = &[
    "recording:recording:editRetention",
    "recording:screenRecording:editRetention",
    "recording:snippetRecording:editRetention",
];
/// The permissions for annotations, both of them; without, they are left out and nothing is refused.
const ANNOTATIONS: [&[&str]; 2] = [
    &["recording:recording:view"],
    &["recording:annotation:view"],
];
/// The permission for recordings with sensitive data in bulk actions.
pub(super) const SENSITIVE: &[&str] = &["recording:recording:viewSensitiveData"];
pub(super) const ORPHANS: &[&str] = &["recording:orphan:view"];
pub(super) const QUEUES: &[&str] = &["routing:queue:view"];
pub(super) const DIVISIONS: &[&str] = &["authorization:division:view"];
pub(super) const WRAP_UP_CODES: &[&str] = &["routing:wrapupCode:view"];

/// The permissions for a call about bulk actions: one of each of these.
pub(super) fn of_jobs(method: &Method) -> &'static [&'static [&'static str]] {
    match *method {
        Method::POST => &[&["recording:job:add"]],
        Method::PUT => &[&["recording:job:edit"], EDIT_RETENTION],
        Method::DELETE => &[&["recording:job:delete"]],
        _ => &[&["recording:job:view"]],
    }
}

/// Returns true if the client's role lets it see annotations.
pub(super) fn sees_annotations(world: &World) -> bool {
    ANNOTATIONS
        .iter()
        .all(|any_of| check(world, any_of).is_ok())
}

/// Refuses a call if the client's role has none of these permissions.
pub(super) fn check(world: &World, any_of: &[&str]) -> Result<(), Refusal> {
    let denied = &world.settings.denied;
    let lacks = |one: &&str| denied.iter().any(|denied| denied == one);
    if any_of.iter().all(lacks) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "missing.any.permissions",
            format!(
                "Unable to perform the requested action. You are missing one of the following permissions: {}",
                any_of.join(", ")
            ),
        ));
    }
    Ok(())
}
