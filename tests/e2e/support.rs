//! A simulated contact center, configurations for it, and what an export left behind.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use genesys_simulator::{Dialect, Organization, Settings, Simulator};
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use recording_host_config::Config;
use recording_host_engine::RunSummary;
use recording_host_model::{Split, SplitState, Step, clock::Clock};
use recording_host_sink::{
    Body, Health, ObjectMeta, PutOptions, PutResult, Sink, SinkError, Store, filesystem::Filesystem,
};
use recording_host_state::{Lease, Queue, WorkQueue};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// How fast time runs in these tests.
pub(crate) const SPEED: f64 = 40.0;

/// Where the program looks for the address of a simulated clock.
pub(crate) const SIMULATED_CLOCK: &str = "RECORDING_HOST_SIMULATED_CLOCK";

/// A simulated contact center and a folder for what is exported from it.
pub(crate) struct Harness {
    pub(crate) simulator: Simulator,
    pub(crate) folder: TempDir,
    dialect: Dialect,
}

impl Harness {
    pub(crate) async fn start(settings: Settings) -> Self {
        Self::fast(settings, SPEED).await
    }

    /// A contact center with conversations of one day in January 2026, whose time runs at a speed.
    pub(crate) async fn of_a_day(conversations: u64, speed: f64) -> Self {
        let settings = Settings {
            conversations,
            days: 1,
            clock_start: Some("2026-01-20T00:00:00Z".parse().unwrap()),
            ..Settings::default()
        };
        Self::fast(settings, speed).await
    }

    /// A contact center whose time runs at another speed.
    pub(crate) async fn fast(mut settings: Settings, speed: f64) -> Self {
        settings.speed = speed;
        let dialect = settings.dialect;
        let simulator = Simulator::start("127.0.0.1:0".parse().unwrap(), settings)
            .await
            .unwrap();
        Harness {
            simulator,
            folder: TempDir::new().unwrap(),
            dialect,
        }
    }

    pub(crate) fn organization(&self) -> &Organization {
        self.simulator.organization()
    }

    /// The program, in this contact center's time.
    pub(crate) fn program(&self) -> Command {
        in_time_of(&self.simulator.clock_url())
    }

    /// Runs the program in this contact center's time.
    pub(crate) async fn run_program(&self, arguments: &[&str]) -> Output {
        output(self.program(), arguments).await
    }

    /// The folder that a sink of type `filesystem` writes to.
    pub(crate) fn output(&self) -> PathBuf {
        self.folder.path().join("output")
    }

    /// The configuration of an export to this sink.
    pub(crate) fn config_to(&self, sink: Value) -> Value {
        let (from, until) = self.organization().interval();
        let dialect = match self.dialect {
            Dialect::Cloud => "cloud",
            Dialect::Guide => "guide",
        };
        json!({
            "data_dir": self.folder.path().join("data"),
            "sources": { "calls": {
                "type": "genesys_cloud",
                "auth": {
                    "client_id": self.simulator.client_id(),
                    "client_secret": self.simulator.client_secret(),
                },
                "allow_private_addresses": true,
                "check_etag": true,
                "options": {
                    "api_url": self.simulator.api_url(),
                    "login_url": self.simulator.login_url(),
                    "media_origins": [self.simulator.media_url()],
                    "dialect": dialect,
                    "interval": format!("{from}/{until}"),
                },
            } },
            "sinks": { "lake": sink },
        })
    }

    /// The configuration of an export to [`output`](Self::output).
    pub(crate) fn config(&self) -> Value {
        self.config_to(json!({ "type": "filesystem", "path": self.output() }))
    }

    /// Writes a configuration to a file.
    pub(crate) fn write(&self, config: &Value) -> PathBuf {
        let path = self.folder.path().join("config.yaml");
        // JSON is YAML.
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }
}

/// Runs an export by the library.
pub(crate) async fn export(config: Value) -> RunSummary {
    let config = Config::new(config).unwrap();
    let mut pipelines = config.pipelines(Clock::new(SPEED)).await.unwrap();
    assert_eq!(pipelines.len(), 1);
    pipelines.pop().unwrap().run().await.unwrap()
}

/// The program.
pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_recording-host"))
}

/// The program, in the time that an address reports.
fn in_time_of(clock: &str) -> Command {
    let mut command = program();
    command.env(SIMULATED_CLOCK, clock);
    command
}

/// Runs the program off the runtime, so that a simulator in this process can answer it.
pub(crate) async fn run_program(arguments: &[&str]) -> Output {
    output(program(), arguments).await
}

/// Runs the program in a time that begins now and is fast, where no contact center has a clock.
pub(crate) async fn run_program_fast(arguments: &[&str]) -> Output {
    run_program_fast_in(&[], arguments).await
}

/// The same in an environment with these variables.
pub(crate) async fn run_program_fast_in(
    environment: &[(&'static str, String)],
    arguments: &[&str],
) -> Output {
    let clock = Clock::new(SPEED);
    let url = answering(move |_| async move {
        let told = json!({ "now_ms": clock.now(), "speed": SPEED });
        Response::new(Full::new(Bytes::from(told.to_string())))
    });
    let mut program = in_time_of(&url.await);
    program.envs(environment.iter().cloned());
    output(program, arguments).await
}

async fn output(mut command: Command, arguments: &[&str]) -> Output {
    command.args(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

/// Waits for what must end long before the default of the option that is tested would let it.
pub(crate) async fn within_deadline<T>(work: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(Duration::from_secs(15), work).await;
    ended.expect("an option is not heeded")
}

/// Waits for what comes eventually, on a machine that may have much else to do.
pub(crate) async fn in_time<T>(work: impl Future<Output = T>) -> T {
    let came = tokio::time::timeout(Duration::from_secs(120), work).await;
    came.expect("this does not come")
}

/// A web server that answers so, for as long as the test runs; returns its URL.
pub(crate) async fn answering<A>(
    answer: impl Fn(Request<Incoming>) -> A + Clone + Send + 'static,
) -> String
where
    A: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let answered = answer(request);
                async { Ok::<_, Infallible>(answered.await) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    url
}

/// An address at which no connection comes about: nobody accepts those that wait there already.
pub(crate) struct SaturatedListener {
    pub(crate) url: String,
    _waiting: (TcpListener, [TcpStream; 2]),
}

impl SaturatedListener {
    pub(crate) async fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        // Of a queue of one the system takes two connections, and lets others wait.
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let one = TcpStream::connect(address).await.unwrap();
        let two = TcpStream::connect(address).await.unwrap();
        SaturatedListener {
            url: format!("http://{address}"),
            _waiting: (listener, [one, two]),
        }
    }
}

/// Length and sha256 of each object, by its key.
pub(crate) type Objects = BTreeMap<String, (u64, String)>;

/// All files below a folder, by their paths in it.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&next) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            let kind = std::fs::metadata(&path).map(|of| of.file_type());
            let is_other = kind.is_ok_and(|kind| !kind.is_dir() && !kind.is_file());
            if path.is_dir() {
                folders.push(path);
            } else if !is_other {
                // A socket has no content.
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                match std::fs::read(path) {
                    Ok(data) => drop(found.insert(name, data)),
                    // A temporary one that is gone by now.
                    Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound),
                }
            }
        }
    }
    found
}

/// The media among some files.
pub(crate) fn media(files: &BTreeMap<String, Vec<u8>>) -> Objects {
    files
        .iter()
        .filter(|(key, _)| key.starts_with("recordings/"))
        .map(|(key, data)| (key.clone(), (data.len() as u64, sha256(data))))
        .collect()
}

/// The metadata rows among some files, with nulls as Parquet has them.
pub(crate) fn rows(files: &BTreeMap<String, Vec<u8>>) -> Vec<Value> {
    let lines = lines(files, "metadata/").into_iter();
    lines.map(with_nulls).collect()
}

/// A row of JSON Lines, where a text that is absent is empty, with null in its place.
pub(crate) fn with_nulls(mut row: Value) -> Value {
    let null = |value: &mut Value| {
        if *value == "" {
            *value = Value::Null;
        }
    };
    for value in row.as_object_mut().unwrap().values_mut() {
        null(value);
        let parties = value.as_array_mut().into_iter().flatten();
        parties.for_each(|party| {
            party.get_mut("name").map(null);
        });
    }
    row
}

/// The lines of the receipts among some files.
pub(crate) fn receipts(files: &BTreeMap<String, Vec<u8>>) -> Vec<Value> {
    lines(files, "receipts/")
}

/// How many conversations the receipts below a folder tell of.
pub(crate) fn filed(folder: &Path) -> usize {
    let lines = receipts(&files(folder));
    let ids = lines
        .iter()
        .filter_map(|line| line["conversation_id"].as_str());
    ids.collect::<BTreeSet<_>>().len()
}

fn lines(files: &BTreeMap<String, Vec<u8>>, prefix: &str) -> Vec<Value> {
    files
        .iter()
        .filter(|(key, _)| key.starts_with(prefix))
        .flat_map(|(_, data)| std::str::from_utf8(data).unwrap().lines())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Rows as a set; a row that is there twice fails the test.
pub(crate) fn set(rows: &[Value]) -> BTreeSet<String> {
    let set: BTreeSet<String> = rows.iter().map(Value::to_string).collect();
    assert_eq!(set.len(), rows.len(), "a row is there twice");
    set
}

/// The fields of rows that say whose each object is, where it lies, and what is in it; a row that is
/// there twice fails the test.
pub(crate) fn identities(rows: &[Value]) -> BTreeSet<String> {
    let told: Vec<Value> = rows
        .iter()
        .map(|row| {
            [
                "conversation_id",
                "recording_id",
                "object_key",
                "sha256",
                "outcome",
            ]
            .iter()
            .map(|field| row[*field].clone())
            .collect()
        })
        .collect();
    set(&told)
}

pub(crate) fn sha256(data: &[u8]) -> String {
    let digest = Sha256::digest(data);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Fails with the first few differences if two exports left different media.
pub(crate) fn same_media(one: &Objects, other: &Objects) {
    let missing = |from: &Objects, of: &Objects| -> Vec<String> {
        let missing = of.iter().filter(|(key, what)| from.get(*key) != Some(what));
        missing.map(|entry| format!("{entry:?}")).take(5).collect()
    };
    let (only_other, only_one) = (missing(one, other), missing(other, one));
    assert!(
        one == other,
        "{} and {} objects\nonly in the one: {only_one:#?}\nonly in the other: {only_other:#?}",
        one.len(),
        other.len()
    );
}

/// A request to a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SinkRequest {
    Check,
    Put,
    Delete,
}

/// A folder that does something only if it is let.
pub(crate) struct Guarded {
    pub(crate) folder: Filesystem,
    guard: Box<Guard>,
}

type Guard = dyn Fn(SinkRequest) -> Result<(), SinkError> + Send + Sync;

impl Guarded {
    pub(crate) fn new(
        folder: PathBuf,
        guard: impl Fn(SinkRequest) -> Result<(), SinkError> + Send + Sync + 'static,
    ) -> Self {
        Guarded {
            folder: Filesystem::new(folder),
            guard: Box::new(guard),
        }
    }
}

/// The error of a guard that lets nothing pass.
pub(crate) fn out_of_order(retryable: bool) -> SinkError {
    SinkError::new("guarded", "", "unavailable").with_retryable(retryable)
}

impl std::fmt::Debug for Guarded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.folder.fmt(f)
    }
}

#[async_trait]
impl Sink for Guarded {
    async fn check(&self) -> Result<Health, SinkError> {
        (self.guard)(SinkRequest::Check)?;
        self.folder.check().await
    }

    async fn put(&self, key: &str, info: PutOptions, body: Body) -> Result<PutResult, SinkError> {
        (self.guard)(SinkRequest::Put)?;
        self.folder.put(key, info, body).await
    }

    fn store(&self) -> Option<&dyn Store> {
        Some(self)
    }
}

#[async_trait]
impl Store for Guarded {
    fn list(&self, prefix: &str) -> BoxStream<'_, Result<ObjectMeta, SinkError>> {
        self.folder.list(prefix)
    }

    async fn get(&self, key: &str) -> Result<Option<Body>, SinkError> {
        self.folder.get(key).await
    }

    async fn delete(&self, key: &str) -> Result<(), SinkError> {
        (self.guard)(SinkRequest::Delete)?;
        self.folder.delete(key).await
    }
}

/// The output of a script among `tests/readers` about a path, by the packages that an environment
/// variable names.
pub(crate) async fn read_by(script: &str, packages: &str, path: &Path) -> Value {
    read_by_with(script, &[packages], &[path]).await
}

/// The output of a script among `tests/readers` about some paths, by the packages that environment
/// variables name.
pub(crate) async fn read_by_with(script: &str, packages: &[&str], paths: &[&Path]) -> Value {
    let mut python = Command::new("python3");
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/readers");
    python.arg(Path::new(scripts).join(script)).args(paths);
    let packages = packages.iter().filter_map(std::env::var_os);
    python.env("PYTHONPATH", std::env::join_paths(packages).unwrap());
    let ran = tokio::task::spawn_blocking(move || python.output().unwrap());
    let ran = ran.await.unwrap();
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(
        ran.status.success(),
        "{script}: {said}; tests/run installs the readers"
    );
    serde_json::from_slice(&ran.stdout).unwrap()
}

/// Has a queue know what a step of some split has yielded.
pub(crate) async fn commit_step(queue: &Queue, step: Step) {
    let split = Split {
        id: "s".to_owned(),
        kind: "test".to_owned(),
        state: SplitState {
            version: 1,
            data: Vec::new(),
        },
    };
    queue.add(vec![split], 0).await.unwrap();
    let claimed = queue.claim("s".to_owned(), Lease::without_end(0)).await;
    assert!(claimed.unwrap().is_some());
    queue.commit("s".to_owned(), step, 0, 0).await.unwrap();
}
