//! The source for Genesys Cloud against the simulated one, natively: what it asks, and what it finds.

#[path = "source/drive.rs"]
mod drive;

#[path = "source/fields.rs"]
mod fields;
#[path = "source/names.rs"]
mod names;
#[path = "source/recordings.rs"]
mod recordings;
#[path = "source/search.rs"]
mod search;
