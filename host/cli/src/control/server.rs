//! The side of the run: it listens for as long as it lives.

use std::{
    collections::BTreeMap,
    fs::{File, Permissions, TryLockError},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use recording_host_http::Throttle;
use recording_host_model::{
    Activity, Backlog, Event, Progress, Subscriber, create_private_folder, open_private_file,
};
use serde::Serialize;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::watch,
    task::JoinHandle,
};

use super::{Answer, Command, Request, worded};
use crate::terminal::{Board, DisplayLine, say};

/// How long the answer to a reload is waited for.
const RELOAD: Duration = Duration::from_secs(60);
/// Lines above the display that are kept for those who look.
const KEPT: usize = 100;
/// The longest request, in bytes.
const LONGEST: usize = 4096;

/// Lets others on this machine steer a run.
pub(crate) struct Server {
    shared: Arc<Shared>,
    listening: Option<Listening>,
}

struct Listening {
    path: PathBuf,
    task: JoinHandle<()>,
    /// Locked for as long as the socket is this run's.
    _lock: File,
}

struct Shared {
    began: Instant,
    paused: Mutex<bool>,
    throttle: Mutex<Throttle>,
    drain: watch::Sender<bool>,
    reload: watch::Sender<u64>,
    /// How the last reload went.
    reloaded: watch::Sender<Option<Result<(), String>>>,
    sources: Mutex<BTreeMap<String, Source>>,
    board: Mutex<Above>,
}

/// The display, and the lines above it.
struct Above {
    board: Board,
    lines: Vec<String>,
    /// The number of the first of them.
    first: u64,
}

/// How far a source is, as it was last told.
#[derive(Clone, Debug, Default, Serialize)]
struct Source {
    progress: Progress,
    activity: Activity,
    backlog: Backlog,
}

impl Server {
    /// Begins to listen at `path`; `reload` is told when the configuration is to be read anew. A run that
    /// cannot be steered is one all the same.
    pub(crate) fn start(path: &Path, reload: watch::Sender<u64>) -> Self {
        let shared = Arc::new(Shared {
            began: Instant::now(),
            paused: Mutex::new(false),
            throttle: Mutex::default(),
            drain: watch::channel(false).0,
            reload,
            reloaded: watch::channel(None).0,
            sources: Mutex::default(),
            board: Mutex::new(Above {
                board: Board::new(Instant::now()),
                lines: Vec::new(),
                first: 0,
            }),
        });
        let listening = match listen(path, &shared) {
            Ok(listening) => Some(listening),
            Err(reason) => {
                say(
                    "warn",
                    &format!("`control` cannot steer this run: {reason}"),
                );
                None
            }
        };
        Server { shared, listening }
    }

    /// Turns true when the run is to begin nothing more.
    pub(crate) fn drain(&self) -> watch::Receiver<bool> {
        self.shared.drain.subscribe()
    }

    /// Returns true if that was asked for.
    pub(crate) fn is_draining(&self) -> bool {
        *self.shared.drain.borrow()
    }

    /// Has the run begin nothing more, whenever it is called.
    #[cfg_attr(
        not(feature = "cluster"),
        allow(dead_code, reason = "machines of a fleet ask")
    )]
    pub(crate) fn drainer(&self) -> impl Fn() + Send + Sync + use<> {
        let shared = Arc::clone(&self.shared);
        move || shared.begin_drain()
    }

    /// Tells in a word how the run is, whenever it is called.
    pub(crate) fn state(&self) -> impl Fn() -> &'static str + Send + Sync + use<> {
        let shared = Arc::clone(&self.shared);
        move || shared.state()
    }

    /// Steers by another throttle from here on, as after a reload.
    pub(crate) fn steer(&self, throttle: &Throttle) {
        throttle.hold(*lock(&self.shared.paused));
        *lock(&self.shared.throttle) = throttle.clone();
    }

    /// Notes how a reload went.
    pub(crate) fn reloaded(&self, result: Result<(), String>) {
        self.shared.reloaded.send_replace(Some(result));
    }

    /// Watches a source for those who look.
    pub(crate) fn subscriber(&self, name: &str) -> Arc<dyn Subscriber> {
        lock(&self.shared.board).board.add(name);
        let (shared, name) = (Arc::clone(&self.shared), name.to_owned());
        Arc::new(move |event: &Event| shared.heard(&name, event))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(listening) = &self.listening {
            listening.task.abort();
            let _ = std::fs::remove_file(&listening.path);
        }
    }
}

/// Opens the socket, which the owner alone may use.
fn listen(path: &Path, shared: &Arc<Shared>) -> Result<Listening, String> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let named = |path: &Path, error: &std::io::Error| worded(path, error);
    create_private_folder(folder).map_err(|error| named(folder, &error))?;
    let lock_path = path.with_extension("lock");
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    let lock = open_private_file(&lock_path, &mut options);
    let lock = lock.map_err(|error| named(&lock_path, &error))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(format!("{}: another run listens there", path.display()));
        }
        Err(TryLockError::Error(error)) => return Err(named(&lock_path, &error)),
    }
    // Whoever left it there has ended: the lock was free.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(named(path, &error));
        }
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(|error| named(path, &error))?;
    let private = std::fs::set_permissions(path, Permissions::from_mode(0o600));
    private.map_err(|error| named(path, &error))?;
    let metadata = std::fs::metadata(path).map_err(|error| named(path, &error))?;
    let (owner, shared) = (metadata.uid(), Arc::clone(shared));
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Whoever came before the permissions were set is turned away.
            let allowed = |user: u32| user == owner || user == 0;
            if stream.peer_cred().is_ok_and(|peer| allowed(peer.uid())) {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        }
    });
    Ok(Listening {
        path: path.to_owned(),
        task,
        _lock: lock,
    })
}

/// Answers the requests of one connection.
async fn serve(stream: UnixStream, shared: Arc<Shared>) {
    let (from, mut to) = stream.into_split();
    let mut from = BufReader::new(tokio::io::AsyncReadExt::take(from, LONGEST as u64));
    let mut line = String::new();
    loop {
        line.clear();
        from.get_mut().set_limit(LONGEST as u64);
        match from.read_line(&mut line).await {
            Ok(length) if length > 0 => {}
            _ => return,
        }
        let answer = match serde_json::from_str(&line) {
            Ok(request) => shared.answer(request).await,
            Err(error) => Answer::Failed {
                reason: format!("this is no request: {error}"),
            },
        };
        let Ok(answer) = serde_json::to_string(&answer) else {
            return;
        };
        if to
            .write_all(format!("{answer}\n").as_bytes())
            .await
            .is_err()
        {
            return;
        }
    }
}

impl Shared {
    async fn answer(&self, request: Request) -> Answer {
        let done = |text: &str| Answer::Done {
            text: text.to_owned(),
        };
        match request {
            Request::Look { columns, since } => self.look(columns, since),
            Request::Do { command } => match command {
                Command::Status => self.status(),
                Command::Reload => self.reload().await,
                Command::Pause if *self.drain.borrow() => Answer::Failed {
                    reason: "the run drains and ends soon; it is not paused".to_owned(),
                },
                Command::Pause => {
                    self.pause(true);
                    done(
                        "paused: nothing is sent and nothing downloaded; resume with `control resume`",
                    )
                }
                Command::Resume => {
                    self.pause(false);
                    done("resumed")
                }
                Command::Drain => {
                    self.begin_drain();
                    done("draining: what is under way is finished, and nothing more begun")
                }
            },
        }
    }

    fn begin_drain(&self) {
        self.pause(false);
        say(
            "info",
            "draining: what is under way is finished, and nothing more begun",
        );
        self.drain.send_replace(true);
    }

    fn pause(&self, pause: bool) {
        let mut paused = lock(&self.paused);
        if *paused != pause {
            let text = if pause { "paused" } else { "resumed" };
            say("info", &format!("{text} by `control`"));
        }
        *paused = pause;
        lock(&self.throttle).hold(pause);
    }

    async fn reload(&self) -> Answer {
        let mut reloaded = self.reloaded.subscribe();
        reloaded.mark_unchanged();
        self.reload.send_modify(|count| *count += 1);
        let outcome = tokio::time::timeout(RELOAD, reloaded.changed()).await;
        let outcome = outcome.map(|_| reloaded.borrow().clone());
        match outcome {
            Ok(Some(Ok(()))) => Answer::Done {
                text: "the new configuration is right; it is used once the downloads under way have ended".to_owned(),
            },
            Ok(Some(Err(reason))) => Answer::Failed { reason },
            Ok(None) | Err(_) => Answer::Failed {
                reason: format!("no answer in {} s; the run's log says more", RELOAD.as_secs()),
            },
        }
    }

    fn state(&self) -> &'static str {
        match (*self.drain.borrow(), *lock(&self.paused)) {
            (true, _) => "draining",
            (_, true) => "paused",
            _ => "running",
        }
    }

    fn status(&self) -> Answer {
        Answer::Status {
            status: json!({
                "state": self.state(),
                "process": std::process::id(),
                "version": env!("CARGO_PKG_VERSION"),
                "seconds": self.began.elapsed().as_secs(),
                "sources": *lock(&self.sources),
            }),
        }
    }

    fn heard(&self, name: &str, event: &Event) {
        let mut sources = lock(&self.sources);
        match event {
            Event::Progress(progress) => {
                sources.entry(name.to_owned()).or_default().progress = progress.clone();
            }
            Event::Activity(activity) => {
                sources.entry(name.to_owned()).or_default().activity = activity.clone();
            }
            Event::Backlog(backlog) => {
                sources.entry(name.to_owned()).or_default().backlog = backlog.clone();
            }
            _ => {}
        }
        drop(sources);
        let mut above = lock(&self.board);
        let now = Instant::now();
        above.board.take(name, event, now);
        // Taken out at once, so that they do not pile up while nobody looks.
        let mut lines = above.board.above(now);
        above.lines.append(&mut lines);
        let surplus = above.lines.len().saturating_sub(KEPT);
        above.lines.drain(..surplus);
        above.first += surplus as u64;
    }

    fn look(&self, columns: u16, since: u64) -> Answer {
        let mut above = lock(&self.board);
        let mut lines = above.board.lines(Instant::now(), columns);
        if *self.drain.borrow() {
            lines.push(DisplayLine::Text(
                "draining: no new work is started".to_owned(),
            ));
        } else if *lock(&self.paused) {
            lines.push(DisplayLine::Text(
                "paused; resume it with `control resume`".to_owned(),
            ));
        }
        let skipped = since.saturating_sub(above.first);
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        Answer::Display {
            above: above.lines.iter().skip(skipped).cloned().collect(),
            next: above.first + above.lines.len() as u64,
            lines,
        }
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
