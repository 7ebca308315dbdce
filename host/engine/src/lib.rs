//! Runs an export.
//!
//! The way of the data: [`run`] drives it; what a source reports passes [`privacy`] and is committed;
//! [`transfer`] brings the media to the sinks; a [`receipt`] is filed about them and their rows, by
//! which [`verify`] proves an archive. [`recover`], [`reconcile`] and [`plan`] start from the same parts.
//!
//! Nothing here knows a vendor.

pub mod dry_run;
mod examined;
pub mod identity;
mod marker;
pub mod plan;
pub mod preview;
pub mod privacy;
pub mod receipt;
pub mod reconcile;
pub mod recover;
mod repair;
mod replicate;
pub mod run;
mod shard;
mod source_session;
pub mod transfer;
pub mod verify;

pub use repair::RepairReport;
pub use run::{Pipeline, RunReport, RunSummary};
pub use shard::{Shard, ShardError};
