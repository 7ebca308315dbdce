//! Brings call recordings out of a contact-center cloud into storage of your own.
//!
//! A [`Config`] names a source and its sinks; a [`Pipeline`] made of it runs the export. A sink of your
//! own implements [`sink::Sink`].
//!
//! The library has no global state, sets up no logging and handles no signals.

#[cfg(feature = "config")]
pub use recording_host_config::{Config, ConfigError};
pub use recording_host_engine::{
    Pipeline, Repaired, RunError, Summary,
    run::{Concurrency, Finding, Follow, Interval, Loss, SourceConfig, State},
    transfer::{Output, Zip},
    verify,
};
pub use recording_host_model::clock::Clock;
pub use recording_host_source::SourceComponent;

/// Sinks: the trait that one of your own implements, and what goes through it.
pub mod sink {
    pub use recording_host_sink::{
        Body, BodyAborted, BodySender, Health, ObjectMeta, PutOptions, PutResult, Sink, SinkError,
        SinkExt, Store, StoreExt, conformance, filesystem::Filesystem,
    };
}
