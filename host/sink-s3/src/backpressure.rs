//! Listens to each attempt of a request, since the client repeats those that are refused.

use aws_sdk_s3::{
    config::{
        ConfigBag, Intercept, RuntimeComponents, interceptors::FinalizerInterceptorContextRef,
    },
    error::BoxError,
};

use recording_host_sink::Backpressure;

/// Notes attempts that were refused because they came too fast, or not answered in time.
#[derive(Debug)]
pub(super) struct Listener(pub(super) Backpressure);

impl Intercept for Listener {
    fn name(&self) -> &'static str {
        "Listener"
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(answer) = context.response() {
            self.0.on_response(answer.status().as_u16());
        } else if let Some(Err(error)) = context.output_or_error()
            && (error.is_timeout_error()
                || error
                    .as_connector_error()
                    .is_some_and(|error| error.is_timeout()))
        {
            self.0.on_timeout();
        }
        Ok(())
    }
}
