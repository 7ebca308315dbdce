//! The data that all parts of recording-host share, without anything that works on it.
//!
//! The exchange between a source and its host: a [`Descriptor`], [`Split`]s and their [`Step`]s,
//! [`Request`]s and [`Response`]s, [`Artifact`]s. And the records of an export: a [`ConversationRecord`],
//! its [`Outcome`] and its [`Object`]s, together a [`CompletedConversation`], filed in a [`Segment`].
//!
//! Instants are milliseconds since 1970-01-01T00:00:00Z unless they say something else; lengths are bytes.

mod artifact;
mod backpressure;
pub mod clock;
mod conversation;
mod descriptor;
mod digest;
mod error;
mod event;
mod file_name;
mod found;
pub mod layout;
mod object;
mod one_line;
mod outcome;
mod private;
pub mod quantity;
mod request;
pub mod route;
mod segment;
mod source_error;
mod split;
mod update;

pub use artifact::{
    Artifact, ArtifactKey, BundleIndex, Container, Download, IndexColumn, IndexField, RecordingKey,
};
pub use backpressure::Backpressure;
pub use conversation::{CompletedConversation, ConversationRecord, IndexMetadata, KeyContext, day};
pub use descriptor::{AuthHeader, AuthScheme, DataClass, Descriptor, RateLimit};
pub use digest::hex;
pub use error::{Error, ErrorKind};
pub use event::{Activity, Backlog, Event, Events, Progress, StoredArtifact, Subscriber};
pub use file_name::{LONGEST_FILE_NAME, printable, safe_file_name, split_extension};
pub use found::{
    Conversation, Direction, Failure, HandedOver, Missing, Party, Reported, ReportedOutcome,
};
pub use object::{ArtifactContents, ArtifactResult, MissingRecording, Object};
pub use one_line::{lines, one_line, steers};
pub use outcome::Outcome;
pub use private::{create_private_folder, open_private_file};
pub use request::{Method, Origin, OriginRole, Request, RequestError, Response};
pub use segment::Segment;
pub use source_error::{OptionError, SourceError};
pub use split::{
    ConversationRef, Fetch, Find, Job, Next, Purpose, Send, Split, SplitInput, SplitState, Started,
    Step, TimeRange, Wait,
};
pub use update::{
    ConversationCount, Finding, Level, Named, Note, RecordingAttributes, Update, Verdict,
};

/// The suffix of the keys of encrypted objects.
pub const ENCRYPTED_SUFFIX: &str = ".age";
