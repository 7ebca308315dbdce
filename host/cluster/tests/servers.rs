//! The crate against real NATS servers: one, and three with each stream on all of them.

#[path = "servers/fetches.rs"]
mod fetches;
#[path = "servers/journal.rs"]
mod journal;
#[path = "servers/leader.rs"]
mod leader;
#[path = "servers/limiters.rs"]
mod limiters;
#[path = "servers/nats.rs"]
mod nats;
#[path = "servers/rate.rs"]
mod rate;
#[path = "servers/snapshots.rs"]
mod snapshots;
#[path = "servers/streams.rs"]
mod streams;
