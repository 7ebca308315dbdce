//! Brings call recordings out of a contact-center cloud into storage of your own.
//!
//! The way of the data, module by module: a [`config`] names a source and its
//! sinks; the [sandbox](recording_host_source) runs the source's component; [`grant`] makes the
//! requests that it asks for; the [`queue`] keeps what is to be done, once [`privacy`] has
//! taken personal values out; [`run`] drives it all; [`transfer`] brings the media to the [`sink`]s,
//! where a [`layout`] says, unpacking an [`archive`] and making other formats ([`transcode`]) on the way,
//! under the [`encryption`] that a sink asks for; [`metadata`] is written as rows, and a [`receipt`] about
//! them and the objects, by which [`verify`] proves an archive. A [trace](recording_host_source::Trace) of the steps repeats a run without network or sinks.
//!
//! The library has no global state, sets up no logging and handles no signals.

mod ask;
pub mod config;
pub mod identity;
mod marker;
pub mod plan;
pub mod privacy;
pub mod push;
pub mod receipt;
pub mod reconcile;
pub mod recover;
mod repair;
mod replicate;
pub mod run;
pub mod secret;
pub mod transfer;
pub mod verify;

pub use config::Config;
pub use repair::Repaired;
pub use run::{Pipeline, RunError, Summary};
