//! Brings call recordings out of a contact-center cloud into storage of your own.
//!
//! A [`Config`] names a source and its sinks; a [`Pipeline`] made of it runs the export. Run again, it
//! resumes where it left off, and brings what is new.
//!
//! ```
//! use recording_host::{Clock, Config};
//! use serde_json::json;
//!
//! # async fn export() -> Result<(), Box<dyn std::error::Error>> {
//! # let settings = genesys_simulator::Settings { conversations: 10, speed: 20.0, ..Default::default() };
//! # let simulator = genesys_simulator::Simulator::start("127.0.0.1:0".parse()?, settings).await?;
//! # let (from, until) = simulator.organization().interval();
//! # let interval = format!("{from}/{until}");
//! # let (id, secret, folder) = (simulator.client_id(), simulator.client_secret(), tempfile::tempdir()?);
//! # let (api, login, media) = (simulator.api_url(), simulator.login_url(), simulator.media_url());
//! # let clock = Clock::new(20.0);
//! # let folder = folder.path();
//! let config = Config::new(json!({
//!     "data_dir": folder.join("queue"),
//!     "sources": { "calls": {
//!         "type": "genesys_cloud",
//!         "auth": { "client_id": id, "client_secret": secret },
//! #       "allow_private_addresses": true,
//!         "options": {
//!             "interval": interval,
//! #           "api_url": api, "login_url": login, "media_origins": [media],
//!         },
//!     } },
//!     "sinks": { "lake": { "type": "filesystem", "path": folder.join("archive") } },
//! }))?;
//! for pipeline in config.pipelines(clock).await? {
//!     let summary = pipeline.run().await?;
//!     println!("{} of {} conversations are complete", summary.outcomes["stored"], summary.conversations);
//! }
//! # simulator.shutdown().await;
//! # Ok(())
//! # }
//! # tokio::runtime::Runtime::new().unwrap().block_on(export()).unwrap();
//! ```
//!
//! | Task | Example |
//! |---|---|
//! | A pipeline from a configuration | above |
//! | A pipeline by hand | `examples/by_hand.rs` |
//! | A sink of your own | `examples/own_sink.rs` |
//! | A subscriber of what happens | `examples/watch.rs` |
//! | A stream of deliveries that you acknowledge | `examples/deliveries.rs` |
//! | Cancellation | `examples/cancel.rs` |
//!
//! A **source** is a component in the sandbox, with its options ([`SourceComponent`], [`SourceConfig`]). A
//! **sink** is where recordings go ([`sink::Sink`], [`SinkBinding`]). A **pipeline** runs the export of one
//! source into some sinks, and keeps what it knows in a queue; **receipts** in each sink prove what is
//! there ([`verify`]).
//!
//! | Feature | |
//! |---|---|
//! | `config` (default) | [`Config`]: pipelines from YAML and TOML |
//! | `s3`, `sink-gcs`, `sink-azure-blob`, `sink-http` | sinks for a configuration; `s3` also has log-ins with AWS credentials |
//! | `parquet` | rows as Parquet |
//! | `cluster` | `Pipeline::fleet`, and what gives it a fleet on NATS: several machines that share the work |
//! | `transcode` | recordings as WAV or FLAC |
//!
//! The library has no global state, sets up no logging and handles no signals.

#[cfg(feature = "config")]
pub use recording_host_config::Config;
pub use recording_host_engine::{
    Pipeline, RepairReport, RunReport, RunSummary, Shard,
    plan::Prices,
    privacy::Privacy,
    run::{
        CheckFinding, CheckState, Concurrency, Follow, Interval, Loss, MonthlyRequests,
        OriginAllowList, RequestLimits, SourceAuth, SourceConfig, Throttle, Timetable,
    },
    transfer::{ArchiveMode, SinkBinding},
    verify,
};
pub use recording_host_model::{
    Error, ErrorKind, Event, Level, Progress, Subscriber, clock::Clock,
};
pub use recording_host_source::{BUILTIN, CompilationCache, SourceComponent};

/// Sinks: the trait that one of your own implements, and what goes through it.
pub mod sink {
    pub use recording_host_sink::{
        Body, BodyAborted, BodySender, DifferentObject, EncryptedObject, Health, ObjectMeta,
        Overwrite, PutOptions, PutResult, ReceiverClosed, Sink, SinkError, SinkExt, Store,
        StoreExt, conformance,
        deliveries::{CountedBody, Deliveries, Delivery, DeliverySink, deliveries},
        filesystem::{Filesystem, FilesystemOptions},
    };
}

/// Several machines that share the work of a [`Pipeline`]: each gives its own the
/// [`fleet`](Pipeline::fleet) that all of them are.
#[cfg(feature = "cluster")]
pub mod cluster {
    pub use recording_host_cluster::{
        ClusterError, Fleet, FleetNode, FleetRates, FleetSettings, NodeRequest, NodeState,
        Presence, SteppedDown, Storage, StreamState, StreamUse, Tls,
    };
    #[cfg(feature = "config")]
    pub use recording_host_config::Cluster;
    pub use recording_host_state::fleet::FetchCounts;
}

/// The settings of a [`SourceConfig`], a [`SinkBinding`] or a [`Pipeline`] besides numbers and texts.
pub mod settings {
    #[cfg(feature = "config")]
    pub use recording_host_config::SecretScope;
    pub use recording_host_engine::{
        ShardError,
        privacy::{PrivacyError, PrivacyFields},
        run::AwsAuth,
    };
    pub use recording_host_http::{Limiters, TimetableError};
    pub use recording_host_metadata::{Compression, RowFormat, RowSettings, RowSettingsError};
    pub use recording_host_model::{
        layout::{Layout, LayoutError, TemplateError},
        route::{Condition, Content, Direction, Route},
    };
    pub use recording_host_network::{ClientTls, TlsError};
    pub use recording_host_source::Trace;
    pub use recording_host_transcode::{Channels, Form, Media, Original, TranscodeSettings};
}

/// The results of a [`Pipeline`] besides its [`RunSummary`], and the contents of an [`Event`].
pub mod report {
    pub use recording_host_engine::{
        dry_run::{DryRun, DrySink},
        identity::ExportIdentity,
        plan::{Cost, CostItem, DayEstimate, Plan, SizeSample},
        reconcile::{DayDifference, ReconcileReport},
    };
    pub use recording_host_model::{Activity, Backlog, Events, StoredArtifact};
    pub use recording_host_source::SandboxError;
    pub use recording_host_state::{CountMismatch, SinkLag, Status};
}

#[cfg(all(test, feature = "config"))]
mod tests {
    use super::{Clock, Config, Pipeline, sink::Store, verify};

    /// The compiler judges it: a future that cannot be sent to another thread cannot be spawned.
    fn can_be_spawned<F: Fn() -> Pipeline>(config: &Config, pipeline: F, store: &dyn Store) {
        fn is<T: Send>(_: T) {}
        is(config.pipelines(Clock::new(1.0)));
        is(config.sinks());
        is(pipeline().run());
        let (_, stop) = tokio::sync::watch::channel(false);
        is(pipeline().run_until(stop));
        let it = pipeline();
        is(it.check());
        is(it.plan());
        is(it.dry_run());
        is(it.reconcile());
        is(it.status());
        is(it.losses(1));
        is(verify::verify(store, true));
    }

    #[test]
    fn each_future_of_the_library_can_be_spawned() {
        let _ = can_be_spawned::<fn() -> Pipeline>;
    }
}
