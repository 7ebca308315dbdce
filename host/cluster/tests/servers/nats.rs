//! NATS servers as processes of their own, and a proxy that stalls, cuts and slows down.

use std::{
    net::TcpListener as Port,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use recording_host_cluster::{Fleet, FleetSettings, Storage};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// The program, which `tests/run` installs.
pub(crate) fn program() -> PathBuf {
    std::env::var_os("NATS_SERVER").map_or_else(|| "nats-server".into(), PathBuf::from)
}

/// Ports that nobody listens at, below those that the system gives to connections.
pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Where another process of these tests does not begin as well.
    let first = 20_000 + (std::process::id() * 64 % 10_000) as u16;
    let free = |port: &u16| Port::bind(("127.0.0.1", *port)).is_ok();
    let ports = std::iter::repeat_with(|| first + NEXT.fetch_add(1, Ordering::Relaxed) % 2_000);
    ports.filter(free).take(count).collect()
}

/// The configuration of a server.
const JETSTREAM: &str = "jetstream { store_dir: STORE, max_file: 8GB, max_mem: 64MB }";

/// One or several servers that know each other; they end with this.
pub(crate) struct Servers {
    folder: tempfile::TempDir,
    pub(crate) ports: Vec<u16>,
    processes: Vec<Option<Child>>,
}

impl Servers {
    pub(crate) fn start(count: usize) -> Self {
        Self::start_with(count, JETSTREAM)
    }

    /// Servers with other text in their configuration: `STORE` in it becomes a folder of each.
    pub(crate) fn start_with(count: usize, text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ports = free_ports(2 * count);
        let routes = &ports[count..];
        for number in 0..count {
            let config = config(number, &ports, routes, folder.path(), text);
            std::fs::write(folder.path().join(format!("{number}.conf")), config).unwrap();
        }
        let mut servers = Servers {
            folder,
            ports: ports[..count].to_vec(),
            processes: (0..count).map(|_| None).collect(),
        };
        servers.start_again();
        servers
    }

    /// Starts a server that was killed, with what it had stored.
    pub(crate) fn restart(&mut self, number: usize) {
        let kept = std::env::var_os("FLEET_LOGS").map(PathBuf::from);
        let logs = kept.unwrap_or_else(|| self.folder.path().to_owned());
        let log = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(logs.join(format!("nats-{number}.log")))
            .unwrap();
        let child = Command::new(program())
            .arg("-c")
            .arg(self.folder.path().join(format!("{number}.conf")))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("NATS_SERVER names a nats-server");
        self.processes[number] = Some(child);
    }

    /// Kills a server as `kill -9` does.
    pub(crate) fn kill(&mut self, number: usize) {
        if let Some(mut child) = self.processes[number].take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Has a server stand still, or go on.
    #[allow(dead_code, reason = "not every test program does")]
    pub(crate) fn freeze(&self, number: usize, frozen: bool) {
        freeze(self.processes[number].as_ref(), frozen);
    }

    /// Kills all of them.
    pub(crate) fn stop(&mut self) {
        (0..self.count()).for_each(|number| self.kill(number));
    }

    /// Starts all of them that were killed.
    pub(crate) fn start_again(&mut self) {
        for number in 0..self.count() {
            if self.processes[number].is_none() {
                self.restart(number);
            }
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.ports.len()
    }

    /// The number of the server that leads a stream.
    pub(crate) async fn leader_of(&self, fleet: &Fleet, name: &str) -> usize {
        loop {
            let streams = fleet.streams().await.unwrap();
            let stream = streams.into_iter().find(|it| it.name.ends_with(name));
            if let Some(leader) = stream.and_then(|it| it.leader) {
                return leader.trim_start_matches("node-").parse().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(crate) fn settings(&self, name: &str) -> FleetSettings {
        let servers = self
            .ports
            .iter()
            .map(|port| format!("nats://127.0.0.1:{port}"));
        FleetSettings {
            replicas: self.count(),
            storage: Storage {
                work: 64 << 20,
                reports: 256 << 20,
                journal: 256 << 20,
                snapshots: 256 << 20,
            },
            patience: Duration::from_secs(60),
            ..FleetSettings::new(servers.collect(), name)
        }
    }

    /// A fleet whose streams are made.
    pub(crate) async fn fleet(&self, name: &str) -> Fleet {
        let fleet = Fleet::connect(self.settings(name)).await.unwrap();
        fleet.init().await.unwrap();
        fleet
    }
}

/// Has a process stand still, as on a machine whose disk or memory is at its end, or go on.
pub(crate) fn freeze(process: Option<&Child>, frozen: bool) {
    if let Some(process) = process {
        let signal = if frozen { "-STOP" } else { "-CONT" };
        let id = process.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.unwrap().success(), "{signal} was not sent");
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.stop();
    }
}

fn config(number: usize, ports: &[u16], routes: &[u16], folder: &Path, text: &str) -> String {
    let store = folder.join(format!("store-{number}"));
    let text = text.replace("STORE", &format!("{store:?}"));
    let mut text = format!(
        "listen: 127.0.0.1:{}\nserver_name: node-{number}\n{text}\n",
        ports[number]
    );
    if routes.len() > 1 {
        let others = routes.iter().map(|port| format!("nats://127.0.0.1:{port}"));
        text += &format!(
            "cluster {{ name: tests, listen: 127.0.0.1:{}, routes: [{}] }}\n",
            routes[number],
            others.collect::<Vec<_>>().join(", ")
        );
    }
    text
}

/// What passes a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passage {
    Open,
    /// Nothing; connections stay open.
    Stalled,
    /// Nothing; connections are reset, and so is each new one.
    Cut,
}

/// A way to a server on which nothing passes while it is stalled or cut.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    passage: watch::Sender<Passage>,
    task: tokio::task::JoinHandle<()>,
}

#[allow(dead_code, reason = "not every test program cuts or slows down")]
impl Proxy {
    pub(crate) async fn to(port: u16) -> Self {
        Self::with(port, None).await
    }

    /// One that passes so many bytes a second of what the server sends, on all connections together.
    pub(crate) async fn slow(port: u16, bytes_per_second: u64) -> Self {
        Self::with(port, Some(Arc::new(Pace::new(bytes_per_second)))).await
    }

    async fn with(port: u16, pace: Option<Arc<Pace>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let (passage, state) = watch::channel(Passage::Open);
        let task = tokio::spawn(async move {
            // They end with this task.
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (state, pace) = (state.clone(), pace.clone());
                connections.spawn(connect(client, port, state, pace));
                while connections.try_join_next().is_some() {}
            }
        });
        Proxy {
            port: own,
            passage,
            task,
        }
    }

    pub(crate) fn stall(&self, stalled: bool) {
        self.turn(stalled, Passage::Stalled);
    }

    pub(crate) fn cut(&self, cut: bool) {
        self.turn(cut, Passage::Cut);
    }

    fn turn(&self, on: bool, passage: Passage) {
        self.passage
            .send_replace(if on { passage } else { Passage::Open });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// When the next bytes may pass.
struct Pace {
    bytes_per_second: u64,
    next: Mutex<Instant>,
}

impl Pace {
    fn new(bytes_per_second: u64) -> Self {
        Pace {
            bytes_per_second,
            next: Mutex::new(Instant::now()),
        }
    }

    /// Waits until so many bytes may have passed.
    async fn pass(&self, bytes: usize) {
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        let until = {
            let mut next = self.next.lock().unwrap();
            *next = Instant::now().max(*next) + takes;
            *next
        };
        sleep_until(until).await;
    }
}

/// One connection, until both ends close it or it is cut.
async fn connect(
    mut client: TcpStream,
    port: u16,
    mut passage: watch::Receiver<Passage>,
    pace: Option<Arc<Pace>>,
) {
    let is_cut = *passage.borrow() == Passage::Cut;
    if !is_cut && let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let there = pass(from_client, to_server, passage.clone(), None);
        let back = pass(from_server, to_client, passage.clone(), pace);
        tokio::select! {
            _ = async { tokio::join!(there, back) } => return,
            _ = passage.wait_for(|it| *it == Passage::Cut) => {}
        }
    }
    // Reset instead of closed in order.
    client.set_zero_linger().unwrap();
}

async fn pass(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut passage: watch::Receiver<Passage>,
    pace: Option<Arc<Pace>>,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if passage.wait_for(|it| *it == Passage::Open).await.is_err() {
            return;
        }
        if let Some(pace) = &pace {
            pace.pass(length).await;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    // Whoever is gone needs no end.
    let _ = to.shutdown().await;
}
