//! Programs and NATS servers as processes of this machine, with a proxy between each program and each server.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use genesys_simulator::Settings;
use recording_host_cluster::Fleet;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    crashes::patient,
    fleet::nats::{Proxy, Servers, freeze},
    support::Harness,
};

/// How many servers there are; each has everything.
const SERVERS: usize = 3;
/// How often it is looked whether a process has ended.
pub(super) const LOOK: Duration = Duration::from_millis(50);
/// How long nothing may be asked of the contact center, beside what is done to the fleet: a job that never ends is given
/// up after half an hour, and is asked after a third of its age, and a fetch of which nobody hears anything is handed over
/// again after a quarter of an hour.
const PATIENCE: Duration = Duration::from_secs(20 * 60);

/// How a program that finds no server ends.
const UNREACHABLE: &str = "check `servers`, and that they run";

/// How a program is started.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) variables: Vec<(&'static str, String)>,
    /// The program, unless it is the one that is tested.
    pub(super) program: Option<PathBuf>,
}

impl Setup {
    /// With variables of its own, and the program that `FLEET_PROGRAM` names.
    pub(super) fn with(variables: Vec<(&'static str, String)>) -> Self {
        let program = std::env::var_os("FLEET_PROGRAM").map(PathBuf::from);
        Setup { variables, program }
    }
}

/// How the work of an export is paced.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    /// How long a batch job of the vendor really takes.
    pub(super) job_time: Duration,
    /// Fetches that are in progress at once.
    pub(super) at_once: u64,
    /// How fast the contact center's time runs.
    pub(super) speed: f64,
}

/// A program, and its ways to the servers.
pub(super) struct Machine {
    pub(super) name: String,
    pub(super) links: Vec<Proxy>,
    pub(super) started: Instant,
    /// How often it has begun without a server, and ended.
    pub(super) unreachable: u64,
    /// The exit code, once it has ended by itself.
    pub(super) ended: Option<i32>,
    folder: PathBuf,
    setup: Setup,
    child: Option<Child>,
}

impl Machine {
    fn config(&self) -> PathBuf {
        self.folder.join(format!("{}.yaml", self.name))
    }

    fn log(&self) -> PathBuf {
        let folder = std::env::var_os("FLEET_LOGS").map(PathBuf::from);
        let folder = folder.unwrap_or_else(|| self.folder.clone());
        folder.join(format!("{}.log", self.name))
    }

    fn start(&mut self, harness: &Harness) {
        let log = File::options().create(true).append(true).open(self.log());
        let log = log.unwrap();
        let mut program = harness.program();
        if let Some(other) = &self.setup.program {
            let (environment, mut command) = (program, Command::new(other));
            let set = environment.get_envs();
            command.envs(set.filter_map(|(name, value)| Some((name, value?))));
            program = command;
        }
        program.args(["run", "--config"]).arg(self.config());
        program.envs(self.setup.variables.iter().cloned());
        program.stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(program.spawn().unwrap());
        self.started = Instant::now();
    }

    /// Kills it as `kill -9` does.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Ends it as a service manager does.
    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            let id = child.id().to_string();
            let sent = Command::new("kill").args(["-TERM", &id]).status();
            assert!(sent.unwrap().success());
            let code = child.wait().unwrap().code();
            let said = self.last_lines();
            let right = code == Some(1) && said.contains("stopped; run it again to resume");
            assert!(right, "{code:?}: {said}");
        }
    }

    /// Has it stand still, or go on.
    pub(super) fn freeze(&self, frozen: bool) {
        freeze(self.child.as_ref(), frozen);
    }

    /// Notes if it has ended. One that begins while it is parted from all servers says so and ends; then it is started
    /// again, as a service manager does.
    fn look(&mut self, harness: &Harness) {
        let Some(child) = &mut self.child else { return };
        let Some(status) = child.try_wait().unwrap() else {
            return;
        };
        self.child = None;
        let code = status.code().unwrap_or(-1);
        if code == 1 && self.last_lines().ends_with(UNREACHABLE) {
            self.unreachable += 1;
            self.start(harness);
        } else {
            self.ended = Some(code);
        }
    }

    /// The last lines that it has printed.
    fn last_lines(&self) -> String {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A contact center, the servers, and the programs that export it together.
pub(super) struct Site {
    pub(super) harness: Harness,
    pub(super) servers: Servers,
    pub(super) machines: Vec<Machine>,
    /// A connection that no proxy is on.
    pub(super) fleet: Fleet,
    config: Value,
    /// When it was last seen that something was asked, and the requests by then.
    progress: (Instant, u64),
}

impl Site {
    /// Starts all of it, a program for each setup.
    pub(super) async fn start(settings: Settings, work: Work, setups: Vec<Setup>) -> Self {
        Self::start_beside(settings, work, setups, &[]).await
    }

    /// The same, with sources that are other contact centers.
    pub(super) async fn start_beside(
        mut settings: Settings,
        work: Work,
        setups: Vec<Setup>,
        others: &[(&str, &Harness)],
    ) -> Self {
        settings.job_time = work.job_time.mul_f64(work.speed);
        let harness = Harness::fast(settings, work.speed).await;
        let mut config = paced(&harness, work);
        for (name, other) in others {
            config["sources"][name] = paced(other, work)["sources"]["calls"].take();
        }
        Self::of(harness, config, setups).await
    }

    /// The same with a configuration of one's own.
    pub(super) async fn of(harness: Harness, config: Value, setups: Vec<Setup>) -> Self {
        let servers = Servers::start(SERVERS);
        let mut machines = Vec::new();
        for (number, setup) in setups.into_iter().enumerate() {
            let name = format!("machine-{number}");
            let mut links = Vec::new();
            for port in &servers.ports {
                links.push(Proxy::to(*port).await);
            }
            let ports: Vec<u16> = links.iter().map(|link| link.port).collect();
            let mut own = config.clone();
            own["data_dir"] = json!(harness.folder.path().join(format!("data-{number}")));
            own["cluster"] = cluster(&name, &ports);
            let machine = Machine {
                name,
                links,
                started: Instant::now(),
                unreachable: 0,
                ended: None,
                folder: harness.folder.path().to_owned(),
                setup,
                child: None,
            };
            write(&machine.config(), &own);
            machines.push(machine);
        }
        init(&harness, &machines[0]).await;
        let fleet = Fleet::connect(servers.settings("main")).await.unwrap();
        let mut site = Site {
            harness,
            servers,
            machines,
            fleet,
            config,
            progress: (Instant::now(), 0),
        };
        for machine in &mut site.machines {
            machine.start(&site.harness);
        }
        site
    }

    /// The configuration, without what only a machine of the fleet needs.
    pub(super) fn config(&self) -> &Value {
        &self.config
    }

    /// Kills a program, and starts it again.
    pub(super) fn kill(&mut self, number: usize) {
        self.machines[number].kill();
        self.machines[number].start(&self.harness);
    }

    /// Ends a program, and starts another in its place: that of another version, or the one that is tested.
    pub(super) fn exchange(&mut self, number: usize, program: Option<&Path>) {
        let machine = &mut self.machines[number];
        machine.end();
        machine.setup.program = program.map(Path::to_owned);
        machine.start(&self.harness);
    }

    /// Notes which programs have ended; fails if one has not done so in order.
    pub(super) fn look(&mut self) {
        for machine in &mut self.machines {
            machine.look(&self.harness);
        }
        let wrong = |machine: &&Machine| !matches!(machine.ended, None | Some(0 | 3));
        if let Some(machine) = self.machines.iter().find(wrong) {
            panic!(
                "{} ended with code {:?}:\n{}",
                machine.name,
                machine.ended,
                machine.last_lines()
            );
        }
    }

    pub(super) fn any_ended(&self) -> bool {
        self.machines.iter().any(|machine| machine.ended.is_some())
    }

    pub(super) fn all_ended(&self) -> bool {
        self.machines.iter().all(|machine| machine.ended.is_some())
    }

    /// Waits for what comes as long as the programs go on.
    pub(super) async fn until(&mut self, mut has_come: impl FnMut(&Site) -> bool) {
        loop {
            self.look();
            if has_come(self) {
                return;
            }
            self.check_progress();
            sleep(LOOK).await;
        }
    }

    /// Lets some time pass.
    pub(super) async fn rest(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.look();
            sleep(LOOK).await;
        }
        self.progress.0 = Instant::now();
    }

    /// Fails with what the programs and the fleet say if nothing goes on.
    pub(super) fn check_progress(&mut self) {
        let asked = self.harness.simulator.stats().requests.values().sum();
        if asked != self.progress.1 {
            self.progress = (Instant::now(), asked);
        }
        if self.progress.0.elapsed() > PATIENCE {
            let mut status = self.harness.program();
            status.args(["cluster", "status", "--config"]);
            println!("{:#?}", status.arg(self.machines[0].config()).output());
            let said = self.machines.iter().map(|machine| {
                let (name, ended) = (&machine.name, machine.ended);
                format!("{name} ({ended:?}):\n{}\n", machine.last_lines())
            });
            panic!("the export does not go on:\n{}", said.collect::<String>());
        }
    }
}

/// The configuration of an export that waits for the vendor's jobs.
fn paced(harness: &Harness, work: Work) -> Value {
    let mut config = patient(harness.config());
    // Half as much again is the longest that a job takes, and twice that if it stalls.
    let longest = 3 * work.job_time.mul_f64(work.speed).as_secs() + 15;
    config["sources"]["calls"]["options"]["job_timeout_seconds"] = json!(longest);
    config["concurrency"] = json!({ "splits": work.at_once, "transfers": 8 });
    config
}

fn cluster(node: &str, ports: &[u16]) -> Value {
    let servers = ports.iter().map(|port| format!("nats://127.0.0.1:{port}"));
    json!({
        "type": "nats",
        "servers": servers.collect::<Vec<_>>(),
        "name": "main",
        "node": node,
        "replicas": SERVERS,
        "storage": { "work": "64MB", "reports": "256MB", "journal": "512MB", "snapshots": "512MB" },
    })
}

fn write(path: &Path, config: &Value) {
    // JSON is YAML.
    std::fs::write(path, config.to_string()).unwrap();
}

/// Makes the streams, as whoever installs a fleet does.
async fn init(harness: &Harness, machine: &Machine) {
    let path = machine.config().display().to_string();
    let init = ["cluster", "init", "--config", &path];
    let made = harness.run_program(&init).await;
    let said = String::from_utf8_lossy(&made.stderr).into_owned();
    assert_eq!(made.status.code(), Some(0), "{said}");
}
