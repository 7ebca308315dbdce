//! The promises of recording-host, checked through its public interfaces: one file a promise.

#[path = "e2e/support.rs"]
mod support;

#[path = "e2e/running.rs"]
mod running;

#[path = "e2e/archives.rs"]
mod archives;
#[path = "e2e/browse.rs"]
mod browse;
#[path = "e2e/bucket_source.rs"]
mod bucket_source;
#[path = "e2e/budgets.rs"]
mod budgets;
#[path = "e2e/cases.rs"]
mod cases;
#[path = "e2e/ceilings.rs"]
mod ceilings;
#[path = "e2e/commands.rs"]
mod commands;
#[path = "e2e/compaction.rs"]
mod compaction;
#[path = "e2e/compare.rs"]
mod compare;
#[path = "e2e/complete.rs"]
mod complete;
#[cfg(unix)]
#[path = "e2e/control.rs"]
mod control;
#[path = "e2e/crashes.rs"]
mod crashes;
#[path = "e2e/dialects.rs"]
mod dialects;
#[path = "e2e/encryption.rs"]
mod encryption;
#[path = "e2e/errors.rs"]
mod errors;
#[path = "e2e/events.rs"]
mod events;
#[path = "e2e/evidence.rs"]
mod evidence;
#[path = "e2e/faults.rs"]
mod faults;
#[path = "e2e/fleet.rs"]
mod fleet;
#[path = "e2e/fleet_commands.rs"]
mod fleet_commands;
#[path = "e2e/fleet_kills.rs"]
mod fleet_kills;
#[path = "e2e/follow.rs"]
mod follow;
#[path = "e2e/foreign_source.rs"]
mod foreign_source;
#[cfg(target_os = "linux")]
#[path = "e2e/full_disk.rs"]
mod full_disk;
#[path = "e2e/genesys.rs"]
mod genesys;
#[path = "e2e/guest_mistakes.rs"]
mod guest_mistakes;
#[cfg(unix)]
#[path = "e2e/guides.rs"]
mod guides;
#[path = "e2e/hostile_source.rs"]
mod hostile_source;
#[path = "e2e/identity.rs"]
mod identity;
#[path = "e2e/layouts.rs"]
mod layouts;
#[path = "e2e/limits.rs"]
mod limits;
#[path = "e2e/memory.rs"]
mod memory;
#[path = "e2e/metadata.rs"]
mod metadata;
#[path = "e2e/monitoring.rs"]
mod monitoring;
#[path = "e2e/names.rs"]
mod names;
#[path = "e2e/new_source.rs"]
mod new_source;
#[path = "e2e/notify.rs"]
mod notify;
#[path = "e2e/observe.rs"]
mod observe;
#[path = "e2e/official_clients.rs"]
mod official_clients;
#[path = "e2e/other_hosts.rs"]
mod other_hosts;
#[path = "e2e/outage.rs"]
mod outage;
#[path = "e2e/pace.rs"]
mod pace;
#[path = "e2e/packaging.rs"]
mod packaging;
#[path = "e2e/plan_and_check.rs"]
mod plan_and_check;
#[path = "e2e/privacy.rs"]
mod privacy;
#[path = "e2e/push.rs"]
mod push;
#[path = "e2e/reference.rs"]
mod reference;
#[path = "e2e/resume.rs"]
mod resume;
#[path = "e2e/retry.rs"]
mod retry;
#[path = "e2e/routing.rs"]
mod routing;
#[path = "e2e/s3_odd.rs"]
mod s3_odd;
#[path = "e2e/s3_options.rs"]
mod s3_options;
#[path = "e2e/s3_patience.rs"]
mod s3_patience;
#[path = "e2e/s3_readers.rs"]
mod s3_readers;
#[path = "e2e/s3_resume.rs"]
mod s3_resume;
#[path = "e2e/s3_seaweed.rs"]
mod s3_seaweed;
#[path = "e2e/s3_server.rs"]
mod s3_server;
#[path = "e2e/s3_servers.rs"]
mod s3_servers;
#[path = "e2e/samples.rs"]
mod samples;
#[path = "e2e/sandbox.rs"]
mod sandbox;
#[path = "e2e/scale.rs"]
mod scale;
#[path = "e2e/schema.rs"]
mod schema;
#[path = "e2e/secrets.rs"]
mod secrets;
#[cfg(unix)]
#[path = "e2e/service.rs"]
mod service;
#[path = "e2e/shards.rs"]
mod shards;
#[path = "e2e/signals.rs"]
mod signals;
#[path = "e2e/simulated_clock.rs"]
mod simulated_clock;
#[path = "e2e/sinks.rs"]
mod sinks;
#[path = "e2e/sinks_azurite.rs"]
mod sinks_azurite;
#[path = "e2e/sinks_cloud.rs"]
mod sinks_cloud;
#[path = "e2e/sinks_http.rs"]
mod sinks_http;
#[path = "e2e/sinks_network.rs"]
mod sinks_network;
#[cfg(unix)]
#[path = "e2e/terminal.rs"]
mod terminal;
#[path = "e2e/traces.rs"]
mod traces;
#[path = "e2e/transcode.rs"]
mod transcode;
#[path = "e2e/upgrade.rs"]
mod upgrade;
#[path = "e2e/verify.rs"]
mod verify;
#[path = "e2e/what_it_claims.rs"]
mod what_it_claims;
