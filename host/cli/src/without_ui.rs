//! `--ui` in a build without the page: there is none.

use clap::Args;
use recording_host_config::Config;
use recording_host_engine::Pipeline;
#[cfg(feature = "simulator")]
use tokio::sync::watch;

#[derive(Debug, Default, Args)]
pub(super) struct Ui {}

/// No page.
#[derive(Default)]
pub(super) struct Beside {}

impl Ui {
    pub(super) async fn begin(
        &self,
        _: &Config,
        _: impl Fn(&str) -> String,
        _: impl Fn() -> &'static str + Send + Sync + 'static,
    ) -> anyhow::Result<Beside> {
        Ok(Beside {})
    }
}

impl Beside {
    pub(super) async fn turn_to(
        &self,
        _: &Config,
        _: impl Fn(&str) -> String,
    ) -> anyhow::Result<()> {
        Ok(())
    }

    pub(super) fn over(&self, pipeline: Pipeline) -> Pipeline {
        pipeline
    }

    pub(super) fn ended(&self, _: &str) {}

    #[cfg(feature = "simulator")]
    pub(super) async fn stay(&self, _: watch::Receiver<bool>) {}
}
