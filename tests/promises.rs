//! What recording-host promises, checked through its public interfaces: one file a promise.

#[path = "promises/support.rs"]
mod support;

#[path = "promises/archives.rs"]
mod archives;
#[path = "promises/commands.rs"]
mod commands;
#[path = "promises/complete.rs"]
mod complete;
#[path = "promises/dialects.rs"]
mod dialects;
#[path = "promises/faults.rs"]
mod faults;
#[path = "promises/limits.rs"]
mod limits;
#[path = "promises/memory.rs"]
mod memory;
#[path = "promises/metadata.rs"]
mod metadata;
#[path = "promises/resume.rs"]
mod resume;
#[path = "promises/sandbox.rs"]
mod sandbox;
#[path = "promises/secrets.rs"]
mod secrets;
#[path = "promises/sinks.rs"]
mod sinks;
#[path = "promises/verify.rs"]
mod verify;
