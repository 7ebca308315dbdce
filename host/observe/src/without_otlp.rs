//! Stands in for traces in a build without them.

use std::{convert::Infallible, sync::Arc};

/// Traces cannot be sent.
#[derive(Debug, thiserror::Error)]
#[error("this build sends no traces; build it with the feature `otlp`")]
pub struct TracesError(());

/// Told once when spans cannot be delivered, and again after they could be.
pub type Complaint = Arc<dyn Fn(&str) + Send + Sync>;

/// A sender of spans, of which there is none.
#[derive(Debug)]
pub struct Traces(Infallible);

impl Traces {
    /// Begins nothing.
    ///
    /// # Errors
    /// Always.
    pub fn start(
        _endpoint: &str,
        _version: &'static str,
        _complain: Complaint,
    ) -> Result<Self, TracesError> {
        Err(TracesError(()))
    }

    /// Sends what is left, and ends.
    pub async fn finish(self) {
        match self.0 {}
    }
}
