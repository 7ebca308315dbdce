//! What recording-host promises, checked through its public interfaces: one file a promise.

#[path = "promises/support.rs"]
mod support;

#[path = "promises/again.rs"]
mod again;
#[path = "promises/archives.rs"]
mod archives;
#[path = "promises/bucket_source.rs"]
mod bucket_source;
#[path = "promises/cases.rs"]
mod cases;
#[path = "promises/commands.rs"]
mod commands;
#[path = "promises/compaction.rs"]
mod compaction;
#[path = "promises/complete.rs"]
mod complete;
#[path = "promises/crashes.rs"]
mod crashes;
#[path = "promises/dialects.rs"]
mod dialects;
#[path = "promises/encryption.rs"]
mod encryption;
#[path = "promises/errors.rs"]
mod errors;
#[path = "promises/events.rs"]
mod events;
#[path = "promises/faults.rs"]
mod faults;
#[path = "promises/follow.rs"]
mod follow;
#[path = "promises/foreign_source.rs"]
mod foreign_source;
#[path = "promises/foresight.rs"]
mod foresight;
#[cfg(target_os = "linux")]
#[path = "promises/full_disk.rs"]
mod full_disk;
#[path = "promises/genesys.rs"]
mod genesys;
#[path = "promises/identity.rs"]
mod identity;
#[path = "promises/layouts.rs"]
mod layouts;
#[path = "promises/limits.rs"]
mod limits;
#[path = "promises/memory.rs"]
mod memory;
#[path = "promises/metadata.rs"]
mod metadata;
#[path = "promises/outage.rs"]
mod outage;
#[path = "promises/pace.rs"]
mod pace;
#[path = "promises/privacy.rs"]
mod privacy;
#[path = "promises/push.rs"]
mod push;
#[path = "promises/resume.rs"]
mod resume;
#[path = "promises/routing.rs"]
mod routing;
#[path = "promises/s3_options.rs"]
mod s3_options;
#[path = "promises/s3_patience.rs"]
mod s3_patience;
#[path = "promises/s3_readers.rs"]
mod s3_readers;
#[path = "promises/s3_resume.rs"]
mod s3_resume;
#[path = "promises/s3_seaweed.rs"]
mod s3_seaweed;
#[path = "promises/s3_server.rs"]
mod s3_server;
#[path = "promises/s3_servers.rs"]
mod s3_servers;
#[path = "promises/sandbox.rs"]
mod sandbox;
#[path = "promises/scale.rs"]
mod scale;
#[path = "promises/schema.rs"]
mod schema;
#[path = "promises/secrets.rs"]
mod secrets;
#[path = "promises/simulated_clock.rs"]
mod simulated_clock;
#[path = "promises/sinks.rs"]
mod sinks;
#[cfg(all(feature = "sink-azure-blob", feature = "sink-gcs"))]
#[path = "promises/sinks_azurite.rs"]
mod sinks_azurite;
#[path = "promises/sinks_cloud.rs"]
mod sinks_cloud;
#[cfg(feature = "sink-http")]
#[path = "promises/sinks_http.rs"]
mod sinks_http;
#[cfg(feature = "transcode")]
#[path = "promises/transcode.rs"]
mod transcode;
#[path = "promises/upgrade.rs"]
mod upgrade;
#[path = "promises/verify.rs"]
mod verify;
#[path = "promises/what_it_claims.rs"]
mod what_it_claims;
