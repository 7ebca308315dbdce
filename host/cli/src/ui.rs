//! `--ui`: beside a run, its archive and how it goes, in a browser.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Context;
use clap::Args;
use recording_host_config::Config;
use recording_host_engine::Pipeline;
use recording_host_page::{Archive, Guard, Index, Live, Page, PageError, serve};
use recording_host_sink::{Decrypt, Sink};
#[cfg(feature = "simulator")]
use tokio::sync::watch;
use tokio::{net::TcpListener, task::JoinHandle};

use super::{
    archive::{access, choose, index, index_file, private, readable},
    identities, terminal, tokens, usage,
};

/// The option that chooses a sink.
const SINK: &str = "--ui-sink";

/// Where the page is, and who may see it.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "In a browser")]
pub(super) struct Ui {
    /// Show the archive and how the run goes in a browser, while it runs.
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        num_args = 0..=1,
        default_missing_value = "127.0.0.1:8321"
    )]
    ui: Option<SocketAddr>,
    /// A name by which browsers reach the page, with its port if it has one, as behind a proxy; may be
    /// repeated.
    #[arg(long, value_name = "NAME[:PORT]", requires = "ui")]
    ui_host: Vec<String>,
    /// A file of tokens, one line `name token` for each person; elsewhere than on loopback it is required.
    #[arg(long, value_name = "FILE", requires = "ui")]
    ui_tokens: Option<PathBuf>,
    /// Which sink's archive to show, if several can be read.
    #[arg(long, value_name = "NAME", requires = "ui")]
    ui_sink: Option<String>,
    /// Decrypt what the page shows with the identities in this file, as `age-keygen` writes it; may be repeated.
    #[arg(long, value_name = "FILE", requires = "ui")]
    ui_identity: Vec<PathBuf>,
}

/// A page beside a run, served until this is dropped; none if that was not asked for.
#[derive(Default)]
pub(super) struct Beside(Option<Serving>);

struct Serving {
    page: Arc<Page>,
    live: Arc<Live>,
    archives: Archives,
    #[cfg(feature = "simulator")]
    address: SocketAddr,
    task: JoinHandle<()>,
}

/// The archive to show of a configuration, and where its index is.
struct Archives {
    /// The sink that was chosen, if one was.
    wanted: Option<String>,
    decryptor: Option<Arc<dyn Decrypt>>,
    folder: PathBuf,
}

impl Archives {
    fn of(&self, location: &str, sink: Arc<dyn Sink>) -> Result<Archive, PageError> {
        Archive::new(location, sink, self.decryptor.clone())
    }

    fn index(&self, location: &str) -> Result<Index, PageError> {
        index(
            &index_file(&self.folder, location),
            self.decryptor.is_some(),
        )
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Ui {
    /// Begins to serve, if that is asked for; `location` is what the archive of a sink is called, and `state`
    /// tells in a word how the run is.
    pub(super) async fn begin(
        &self,
        config: &Config,
        location: impl Fn(&str) -> String,
        state: impl Fn() -> &'static str + Send + Sync + 'static,
    ) -> anyhow::Result<Beside> {
        let Some(address) = self.ui else {
            return Ok(Beside::default());
        };
        let tokens = match &self.ui_tokens {
            Some(path) => tokens::read(path)?,
            None if address.ip().is_loopback() => Vec::new(),
            // One that is made would have to be told, and what a run tells is kept in logs.
            None => usage(&format!(
                "--ui {address}: others can reach it; give each person a token by --ui-tokens FILE"
            )),
        };
        let archives = Archives {
            wanted: self.ui_sink.clone(),
            decryptor: identities(&self.ui_identity)?.decryptor(),
            folder: config.data_dir.join("page"),
        };
        let (sink, store) = readable(config, archives.wanted.as_deref(), SINK).await?;
        let archive = archives.of(&location(&sink), store)?;
        private(&archives.folder)?;
        let index = archives.index(&archive.name)?;
        let (access, _) = access(&archives.folder)?;
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| format!("--ui {address}"))?;
        let address = listener.local_addr()?;
        let live = Live::new(&sink, state);
        let guard = Guard::new(address, self.ui_host.clone(), tokens);
        let page = Page::new(archive, Arc::new(index), guard, access).beside(Arc::clone(&live));
        let page = Arc::new(page);
        let text = format!("open http://{address}/ in a browser to see archive and run");
        terminal::say("info", &text);
        let task = tokio::spawn(serve(listener, Arc::clone(&page)));
        Ok(Beside(Some(Serving {
            page,
            live,
            archives,
            #[cfg(feature = "simulator")]
            address,
            task,
        })))
    }
}

impl Beside {
    /// Has the page show the archive of the configuration that takes the place of the one before.
    pub(super) async fn turn_to(
        &self,
        config: &Config,
        location: impl Fn(&str) -> String,
    ) -> anyhow::Result<()> {
        let Some(serving) = &self.0 else {
            return Ok(());
        };
        let archives = &serving.archives;
        let chosen = choose(config, archives.wanted.as_deref(), SINK).await?;
        let (sink, store) = chosen.map_err(anyhow::Error::msg)?;
        let archive = archives.of(&location(&sink), store)?;
        serving
            .page
            .show(archive, || archives.index(&location(&sink)))?;
        serving.live.show(&sink);
        Ok(())
    }

    /// Has the page show a pipeline's run.
    pub(super) fn over(&self, pipeline: Pipeline) -> Pipeline {
        match &self.0 {
            Some(serving) => {
                let interval = pipeline.interval();
                let subscriber =
                    serving
                        .live
                        .subscriber(pipeline.name(), interval.from, interval.until);
                pipeline.subscribe(subscriber)
            }
            None => pipeline,
        }
    }

    /// Notes that the run of a source has ended.
    pub(super) fn ended(&self, source: &str) {
        if let Some(serving) = &self.0 {
            serving.live.ended(source);
        }
    }

    /// Goes on to serve, after the run has ended, until that is to stop.
    #[cfg(feature = "simulator")]
    pub(super) async fn stay(&self, mut stop: watch::Receiver<bool>) {
        if let Some(serving) = &self.0 {
            println!(
                "open http://{}/ in a browser; Ctrl-C ends it",
                serving.address
            );
            // The sender lives as long as signals are heard.
            let _ = stop.wait_for(|stopped| *stopped).await;
        }
    }
}
