//! An archive in a browser: search, listen, verify.
//!
//! [`Page`] reads an archive through its sink and keeps an [`Index`] of it outside of the archive, up to date
//! with its receipts. It serves pages that work without script, and media by ranges. Nothing of the
//! archive is changed. Names, texts and media are shown as text or played, never as pages of their own.

mod access;
mod archive;
mod evidence;
mod guard;
mod index;
mod live;
mod media;
mod refresh;
mod respond;
mod route;
mod server;
mod table;
mod verify;
mod view;

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

pub use access::AccessLog;
pub use archive::Archive;
pub use evidence::{Package, Packed, Selection};
pub use guard::{Guard, Token, new_token};
pub use index::{Hit, Index, Order, Query, Results};
pub use live::Live;
use live::UnderWay;
use refresh::Freshness;
pub use refresh::Refreshed;
pub use server::serve;
use tokio::sync::Notify;

/// Why something is not shown.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The sink does not let objects be read.
    #[error("{0}: this sink cannot be read; choose one of type filesystem, s3, gcs or azure_blob")]
    Unreadable(String),
    /// The sink has an error.
    #[error(transparent)]
    Sink(#[from] recording_host_sink::SinkError),
    /// The index has an error.
    #[error("the index: {0}; remove its file, and it is rebuilt")]
    Index(#[from] rusqlite::Error),
    /// An object is not there.
    #[error("{0} is not there; verify the archive")]
    Missing(String),
    /// A receipt cannot be read.
    #[error("{0}: {1}; verify the archive")]
    Receipt(String, String),
    /// The conversation is not in the receipt.
    #[error("{0} has no line of this conversation; verify the archive")]
    NoLine(String),
    /// A file of rows cannot be read.
    #[error("{key}: {source}; verify the archive")]
    Rows {
        /// The file.
        key: String,
        /// The cause.
        source: io::Error,
    },
    /// It is encrypted, and no identity was given.
    #[error("{0} is encrypted; give an identity by --identity, beside a run by --ui-identity")]
    Encrypted(String),
    /// The package cannot be written.
    #[error("the package: {0}")]
    Zip(#[from] zip::result::ZipError),
    /// There are more files than a package may have.
    #[error("more than {0} files are selected; narrow the selection, as by days")]
    TooMany(u64),
    /// A thread ended early.
    #[error("the work was interrupted; try again")]
    Interrupted(#[from] tokio::task::JoinError),
    /// A temporary file or the log of accesses cannot be written.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The content that is served: an archive, its index, who may see it, and the log of who has.
#[derive(Debug)]
pub struct Page {
    shown: Mutex<Arc<Indexed>>,
    /// Told when another archive is shown.
    turned: Notify,
    guard: Guard,
    access: AccessLog,
    live: Option<Arc<Live>>,
    freshness: Mutex<Freshness>,
}

/// An archive with its index. A request keeps to the one that was shown when it came.
#[derive(Debug)]
pub(crate) struct Indexed {
    pub(crate) archive: Archive,
    pub(crate) index: Arc<Index>,
}

impl Page {
    /// The page of an archive for whom `guard` lets in; `access` hears who has seen what.
    #[must_use]
    pub fn new(archive: Archive, index: Arc<Index>, guard: Guard, access: AccessLog) -> Self {
        Page {
            shown: Mutex::new(Arc::new(Indexed { archive, index })),
            turned: Notify::new(),
            guard,
            access,
            live: None,
            freshness: Mutex::default(),
        }
    }

    /// The same beside a run that fills the archive.
    #[must_use]
    pub fn beside(mut self, run: Arc<Live>) -> Self {
        self.live = Some(run);
        self
    }

    /// Shows another archive from now on. One of the same name keeps the index, which is brought up to date;
    /// for any other `index` makes one.
    ///
    /// # Errors
    /// That of `index`; then the archive of before is shown.
    pub fn show(
        &self,
        archive: Archive,
        index: impl FnOnce() -> Result<Index, PageError>,
    ) -> Result<(), PageError> {
        let before = self.shown();
        let index = match before.archive.name == archive.name {
            true => Arc::clone(&before.index),
            false => Arc::new(index()?),
        };
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) =
            Arc::new(Indexed { archive, index });
        self.note(|now| {
            *now = Freshness {
                version: now.version + 1,
                ..Freshness::default()
            };
        });
        self.turned.notify_one();
        Ok(())
    }

    fn shown(&self) -> Arc<Indexed> {
        let shown = self.shown.lock();
        Arc::clone(&shown.unwrap_or_else(PoisonError::into_inner))
    }

    /// The days that a run beside the page works on.
    fn under_way(&self) -> UnderWay {
        let live = self.live.as_ref();
        live.map(|live| live.under_way()).unwrap_or_default()
    }

    fn freshness(&self) -> Freshness {
        let freshness = self.freshness.lock();
        freshness.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, change: impl FnOnce(&mut Freshness)) {
        let freshness = self.freshness.lock();
        change(&mut freshness.unwrap_or_else(PoisonError::into_inner));
    }
}
