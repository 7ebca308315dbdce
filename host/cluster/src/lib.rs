//! The state that the nodes of a fleet share, kept in NATS JetStream: who leads, which work is to be done by whom, and
//! the rate that the vendor allows to all of them together.
//!
//! - [`Fleet`] is a connection, made with [`FleetSettings`]; [`Fleet::init`] makes the streams and buckets, which is
//!   done by one node once, and [`Fleet::open`] looks them up.
//! - [`FleetNode`] is a node as the engine sees it: it has what follows.
//! - [`Candidate`] asks for the lease of the export of a source; a [`Leader`] publishes work that no stale leader can.
//! - [`FleetPublisher`] and [`FleetConsumer`] carry the fetches of a source to nodes, and their reports to the leader; see
//!   [`recording_host_state::fleet`].
//! - [`FleetJournal`] keeps the changes to the ledger of an export and snapshots of it, for a
//!   [`JournaledLedger`](recording_host_state::JournaledLedger).
//! - [`Fleet::attend`] has a node answer for itself; [`Fleet::nodes`], [`Fleet::leaders`] and [`Fleet::fetches`] say how
//!   the fleet is, [`Fleet::ask`] has a node end.
//! - [`FleetRateLimiter`] leases the times at which requests may be sent; [`FleetRates`] gives it to the limiters of
//!   sources ([`Limiters::shared`](recording_host_http::Limiters::shared)), and counts their months.
//!
//! A server that is away, and an election among servers, are waited for: calls are repeated for
//! [`FleetSettings::patience`]. No signed link, token or key is ever written to a server; each message carries the
//! version of its format. `docs/scale.md` has streams, limits, settings of the servers, and what is not there
//! yet.

mod compression;
mod connection;
mod error;
mod fetches;
mod journal;
mod leader;
mod member;
mod messages;
mod nodes;
mod publish;
mod rate;
mod settings;
mod snapshots;
mod streams;

pub use connection::Fleet;
pub use error::ClusterError;
pub use fetches::{FleetConsumer, FleetPublisher};
pub use journal::FleetJournal;
pub use leader::{Candidate, Holder, Leader, Queued, SteppedDown, WorkMessage};
pub use member::FleetNode;
pub use nodes::{NodeRequest, NodeState, Presence};
pub use rate::{FleetRateLimiter, FleetRates, RateLimit, Slot};
pub use settings::{FleetSettings, Storage, Tls};
pub use streams::{StreamState, StreamUse};
