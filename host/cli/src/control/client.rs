//! The side of whoever steers a run.

#[cfg(unix)]
pub(super) use unix::Client;

#[cfg(not(unix))]
pub(super) use elsewhere::Client;

#[cfg(unix)]
mod unix {
    use std::{
        io::ErrorKind,
        path::{Path, PathBuf},
    };

    use tokio::{
        io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
        net::UnixStream,
    };

    use crate::control::{Answer, Request, worded};

    /// A connection to a run.
    pub(in crate::control) struct Client {
        stream: BufReader<UnixStream>,
        path: PathBuf,
    }

    impl Client {
        pub(in crate::control) async fn connect(path: &Path) -> anyhow::Result<Self> {
            let stream = UnixStream::connect(path)
                .await
                .map_err(|error| match error.kind() {
                    ErrorKind::NotFound | ErrorKind::ConnectionRefused => anyhow::anyhow!(
                        "{}: no run serves it; is one under way with this `data_dir`?",
                        path.display()
                    ),
                    _ => anyhow::anyhow!(worded(path, &error)),
                })?;
            Ok(Client {
                stream: BufReader::new(stream),
                path: path.to_owned(),
            })
        }

        /// The answer to a request.
        pub(in crate::control) async fn ask(
            &mut self,
            request: &Request,
        ) -> anyhow::Result<Answer> {
            let answer = self.try_ask(request).await?;
            answer.ok_or_else(|| anyhow::anyhow!("{}: the run has ended", self.path.display()))
        }

        /// The answer to a request; none if the run has ended.
        pub(in crate::control) async fn try_ask(
            &mut self,
            request: &Request,
        ) -> anyhow::Result<Option<Answer>> {
            let line = serde_json::to_string(request)? + "\n";
            // One that has ended reads nothing.
            let _ = self.stream.get_mut().write_all(line.as_bytes()).await;
            let mut answer = String::new();
            match self.stream.read_line(&mut answer).await {
                Ok(0) | Err(_) => Ok(None),
                Ok(_) => Ok(Some(serde_json::from_str(&answer)?)),
            }
        }
    }
}

#[cfg(not(unix))]
mod elsewhere {
    use std::path::Path;

    use crate::control::{Answer, Request};

    /// A connection to a run, which needs a socket that this system lacks.
    pub(in crate::control) enum Client {}

    impl Client {
        pub(in crate::control) async fn connect(_: &Path) -> anyhow::Result<Self> {
            anyhow::bail!(
                "`control` needs Unix sockets, which this system does not have; use `status`, and stop the run with Ctrl-C"
            )
        }

        pub(in crate::control) async fn ask(&mut self, _: &Request) -> anyhow::Result<Answer> {
            match *self {}
        }

        pub(in crate::control) async fn try_ask(
            &mut self,
            _: &Request,
        ) -> anyhow::Result<Option<Answer>> {
            match *self {}
        }
    }
}
