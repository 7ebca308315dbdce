//! A strict stand-in for the parts of the Genesys Cloud API that a recording export uses.
//!
//! An [`Organization`] is a function of its settings: nothing of it is kept in
//! memory, however large it is. The [`Simulator`] serves it on three
//! origins, as the vendor does: API, log-in, and the media behind signed links; or all on one. The
//! vendor's SDKs can drive it: they log in at the API's address if that is none of the vendor's. It
//! refuses what the vendor would refuse. Time may run fast.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use genesys_simulator::{Settings, Simulator};
//!
//! let simulator = Simulator::start("127.0.0.1:0".parse().unwrap(), Settings::default()).await?;
//! println!("{} {}", simulator.api_url(), simulator.client_id());
//! # Ok(()) }
//! ```

mod api;
mod faults;
mod http;
mod id;
mod media;
mod organization;
mod push;
mod rng;
mod server;
mod time;

use std::time::Duration;

pub use api::Batches;
pub use faults::{Faults, FaultsError};
pub use organization::{
    Conversation, Given, MediaType, Organization, Recording, RecordingKind, State,
};
pub use push::{Push, Pushed};
pub use server::{Simulator, Stats};

/// How the batch API is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// As the vendor's SDKs do: `batchDownloadRequestList`, a link for each file.
    #[default]
    Cloud,
    /// As the guide on bulk export does: `batchDownloadJobSubmissionQuery`, one zip for all.
    Guide,
}

/// The format of voice recordings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AudioMix {
    /// Mostly OGG/Opus, some WAV and MP3.
    #[default]
    Mixed,
    /// WAV alone.
    Wav,
}

/// The settings of a simulation.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The same seed makes the same organization.
    pub seed: u64,
    /// How many conversations it has.
    pub conversations: u64,
    /// How the batch API is spoken.
    pub dialect: Dialect,
    /// How many times faster than real its time runs.
    pub speed: f64,
    /// The day (UTC) on which its first conversation begins.
    pub first_day: jiff::civil::Date,
    /// Over how many days the conversations are spread.
    pub days: u32,
    /// How long a conversation lasts on average.
    pub mean_call: Duration,
    /// Requests that a token may make in a minute.
    pub rate_limit: u32,
    /// How long a signed link works.
    pub link_lifetime: Duration,
    /// How long a batch job takes on average.
    pub job_time: Duration,
    /// How long a token works.
    pub token_lifetime: Duration,
    /// The longest interval of a query, in days.
    pub max_interval_days: u32,
    /// The most hits that a query may have.
    pub max_hits: u64,
    /// The format of voice recordings.
    pub audio: AudioMix,
    /// Makes the first voice recording a WAV of about this many bytes.
    pub giant: Option<u64>,
    /// The share of archived recordings, among the first ones of the conversations.
    pub archived: f64,
    /// The share of deleted ones.
    pub deleted: f64,
    /// The share of those whose upload never ends.
    pub uploading: f64,
    /// The share of conversations that recording was begun of.
    pub recorded: f64,
    /// The share of sensitive recordings, which are left out silently.
    pub sensitive: f64,
    /// The share of conversations that stay open after everybody has left: they never get an end.
    pub never_ended: f64,
    /// How far the data of analytics jobs lag behind.
    pub jobs_lag: Duration,
    /// How long an analytics job takes on average.
    pub analytics_job_time: Duration,
    /// Analytics jobs that may be under way at once (`details.jobs.concurrent.access.max`).
    pub jobs_at_once: u64,
    /// The most conversations that are given by their ids at once.
    pub max_ids: usize,
    /// Batches that may be submitted in a minute, below the documented limit of requests.
    pub batches_per_minute: Option<u64>,
    /// How long it takes to turn a recording into another format.
    pub transcode_time: Duration,
    /// How long it takes to restore an archived recording.
    pub restore_time: Duration,
    /// True if the analytics leave out the names of agents.
    pub nameless: bool,
    /// The divisions, by number, that the client's role is limited to.
    pub divisions: Option<Vec<u64>>,
    /// Permissions that the client's role lacks.
    pub denied: Vec<String>,
    /// After how long without a request a token is worthless, as with HIPAA.
    pub idle_timeout: Option<Duration>,
    /// How many recordings have no conversation.
    pub orphans: u64,
    /// The share of recordings that are late.
    pub late: f64,
    /// How long after the end of a conversation a late recording is ready.
    pub late_by: Duration,
    /// The instant at which the simulator's clock starts; without one, the real time.
    ///
    /// Conversations that have not begun by that clock are not there yet, and those that have not ended
    /// continue.
    pub clock_start: Option<jiff::Timestamp>,
    /// True if some analytics rows have fields and values that no SDK knows yet.
    pub newer_than_sdks: bool,
    /// True if log-in and media are served at the API's address, too.
    pub one_port: bool,
    /// The rates of faults.
    pub faults: Faults,
    /// The same seed lets the same faults strike; without one, the organization's seed.
    pub fault_seed: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            seed: 1,
            conversations: 500,
            dialect: Dialect::Cloud,
            speed: 1.0,
            first_day: jiff::civil::date(2026, 1, 5),
            days: 7,
            mean_call: Duration::from_secs(20),
            rate_limit: 300,
            link_lifetime: Duration::from_secs(3600),
            job_time: Duration::from_secs(20),
            token_lifetime: Duration::from_secs(86_400),
            max_interval_days: 31,
            max_hits: 100_000,
            audio: AudioMix::Mixed,
            giant: None,
            archived: 3.0 / 300.0,
            deleted: 2.0 / 300.0,
            uploading: 1.0 / 300.0,
            recorded: 0.94,
            sensitive: 0.0,
            never_ended: 0.0,
            jobs_lag: Duration::from_secs(86_400),
            analytics_job_time: Duration::from_secs(60),
            jobs_at_once: 10,
            max_ids: 100,
            batches_per_minute: None,
            transcode_time: Duration::from_secs(20),
            restore_time: Duration::from_secs(600),
            nameless: false,
            divisions: None,
            denied: Vec::new(),
            idle_timeout: None,
            orphans: 0,
            late: 0.0,
            late_by: Duration::from_secs(3600),
            clock_start: None,
            newer_than_sdks: true,
            one_port: false,
            faults: Faults::default(),
            fault_seed: None,
        }
    }
}
