//! Commands that Genesys Cloud alone has.

mod jobs;
mod push;

pub(crate) use push::Push;
