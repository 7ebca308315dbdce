//! `browse`: an archive in a browser, to search, listen and verify.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Context;
use clap::Args;
use recording_host_page::{Guard, Page, Token, new_token, serve};
use tokio::net::TcpListener;

use super::{
    Done,
    archive::{ArchiveArgs, OpenedArchive},
    stopped, tokens,
};

#[derive(Debug, Args)]
pub(super) struct Browse {
    #[command(flatten)]
    archive: ArchiveArgs,
    /// Address to listen on. Beyond loopback a token is required, and a proxy should add TLS.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8321")]
    listen: SocketAddr,
    /// A name by which browsers reach the page, with its port if it has one, as behind a proxy; may be
    /// repeated.
    #[arg(long, value_name = "NAME[:PORT]")]
    host: Vec<String>,
    /// A file of tokens, one line `name token` for each person; the name appears in the access log.
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// Bring the index up to date, print its time and size, and end.
    #[arg(long)]
    index_only: bool,
}

impl Browse {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let Some(opened) = self.archive.open().await? else {
            eprintln!("nothing to show: there is no such folder");
            return Ok(Done::Nothing);
        };
        println!(
            "index: {} rows of {} receipts taken in, {} receipts taken out, {:.1} s; {}",
            opened.refreshed.rows,
            opened.refreshed.added,
            opened.refreshed.removed,
            opened.seconds,
            opened.size
        );
        if self.index_only {
            return Ok(Done::All);
        }
        self.serve(opened).await
    }

    async fn serve(self, opened: OpenedArchive) -> anyhow::Result<Done> {
        let listener = TcpListener::bind(self.listen).await;
        let listener = listener.with_context(|| format!("--listen {}", self.listen))?;
        let address = listener.local_addr()?;
        let mut tokens = match &self.tokens {
            Some(path) => tokens::read(path)?,
            None => Vec::new(),
        };
        if tokens.is_empty() && !address.ip().is_loopback() {
            let secret = new_token();
            println!("token: {secret}");
            tokens.push(Token {
                name: "token".to_owned(),
                secret: secret.into(),
            });
        }
        let (access, log) = opened.access()?;
        println!("access log: {}", log.display());
        println!("open http://{address}/ in a browser; Ctrl-C ends it");
        let guard = Guard::new(address, self.host, tokens);
        let page = Arc::new(Page::new(opened.archive, opened.index, guard, access));
        let mut stopped = stopped()?;
        tokio::select! {
            () = serve(listener, page) => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
        Ok(Done::All)
    }
}
