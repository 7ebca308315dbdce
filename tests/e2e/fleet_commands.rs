//! Several machines run one export: what their operator does, and gets wrong.

#[path = "fleet_commands/begun_alone.rs"]
mod begun_alone;
#[path = "fleet_commands/rate.rs"]
mod rate;

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use genesys_simulator::Settings;
use recording_host_cluster::Fleet;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    fleet::nats::Servers,
    support::{Harness, files, in_time, media, receipts, rows},
};

/// Machines of one fleet, each with a configuration of its own; those that run end with this.
struct Machines {
    harness: Harness,
    servers: Servers,
    running: Vec<(String, Child)>,
}

impl Machines {
    /// A fleet of one server, whose streams are made.
    async fn new(conversations: u64) -> Self {
        Self::of(settings(conversations)).await
    }

    async fn of(settings: Settings) -> Self {
        let machines = Self::without_streams(settings).await;
        let made = machines.cluster(&["init"], "a").await;
        assert!(made.status.success(), "{}", said(&made));
        machines
    }

    async fn without_streams(settings: Settings) -> Self {
        Machines {
            harness: Harness::start(settings).await,
            servers: Servers::start(1),
            running: Vec::new(),
        }
    }

    /// The configuration of a machine.
    fn config(&self, node: &str) -> Value {
        let mut config = self.harness.config();
        config["data_dir"] = json!(self.harness.folder.path().join(format!("data-{node}")));
        config["cluster"] = json!({
            "type": "nats",
            "servers": [format!("nats://127.0.0.1:{}", self.servers.ports[0])],
            "node": node,
            "replicas": 1,
            "storage": { "work": "64MB", "reports": "64MB", "journal": "64MB", "snapshots": "64MB" },
        });
        config
    }

    fn write(&self, node: &str, config: &Value) -> String {
        let path = self.harness.folder.path().join(format!("{node}.yaml"));
        std::fs::write(&path, config.to_string()).unwrap();
        path.display().to_string()
    }

    fn command(&self, arguments: &[&str], node: &str) -> Command {
        let path = self.write(node, &self.config(node));
        let mut command = self.harness.program();
        command.args(arguments).args(["--config", &path]);
        command
    }

    async fn run(&self, arguments: &[&str], node: &str) -> Output {
        let mut command = self.command(arguments, node);
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    }

    async fn cluster(&self, arguments: &[&str], node: &str) -> Output {
        self.run(&[&["cluster"], arguments].concat(), node).await
    }

    /// The state of the fleet.
    async fn status(&self) -> Value {
        let told = self.cluster(&["status", "--json"], "a").await;
        assert!(told.status.success(), "{}", said(&told));
        serde_json::from_slice(&told.stdout).unwrap()
    }

    /// Starts a machine.
    fn start(&mut self, node: &str) {
        let mut command = self.command(&["run", "--json"], node);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.running.push((node.to_owned(), child.spawn().unwrap()));
    }

    /// Waits until so many fetches are with the fleet.
    async fn until_fetches(&self, least: u64) {
        let fleet = Fleet::connect(self.servers.settings("main")).await.unwrap();
        in_time(async {
            loop {
                let fetches = fleet.fetches().await.unwrap();
                let calls = fetches.get("calls").copied().unwrap_or_default();
                if calls.waiting + calls.taken >= least {
                    return;
                }
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    /// Puts a text where machines look for something else.
    fn put(&self, subject: &str, text: &str) {
        let address = ("127.0.0.1", self.servers.ports[0]);
        let mut server = TcpStream::connect(address).unwrap();
        let message = format!(
            "CONNECT {{}}\r\nPUB {subject} {}\r\n{text}\r\nPING\r\n",
            text.len()
        );
        server.write_all(message.as_bytes()).unwrap();
        // Whatever is said before, this comes when all of it was done.
        let answered = BufReader::new(server).lines();
        let mut answered = answered.map_while(Result::ok);
        assert!(answered.any(|line| line == "PONG"));
    }

    /// How a machine ends, and what it has said.
    async fn end(&mut self, node: &str) -> Output {
        let at = self.running.iter().position(|(name, _)| name == node);
        let (_, child) = self.running.remove(at.unwrap());
        let ended = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap());
        in_time(ended).await.unwrap()
    }

    /// Checks that the archive is whole: each recording and each row once, and every receipt true.
    async fn verify(&self, conversations: u64) {
        let verified = self.run(&["verify", "--full"], "a").await;
        let text = said(&verified);
        assert_eq!(verified.status.code(), Some(0), "{text}");
        assert!(
            text.contains(&format!("{conversations} conversations")),
            "{text}"
        );
        let files = files(&self.harness.output());
        let ids: Vec<String> = receipts(&files)
            .iter()
            .filter_map(|line| line["conversation_id"].as_str().map(str::to_owned))
            .collect();
        assert_eq!(ids.len() as u64, conversations, "one receipt for each");
        let rows = rows(&files);
        let mut objects: Vec<&str> = rows
            .iter()
            .filter_map(|row| row["object_key"].as_str())
            .collect();
        objects.sort_unstable();
        let before = objects.len();
        objects.dedup();
        assert_eq!(objects.len(), before, "each object has one row");
        assert_eq!(objects.len(), media(&files).len());
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for (_, child) in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn settings(conversations: u64) -> Settings {
    Settings {
        conversations,
        ..Settings::default()
    }
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn machines_that_are_drained_or_leave_hand_their_work_to_the_others() {
    let mut machines = Machines::new(1500).await;
    for node in ["a", "b", "c"] {
        machines.start(node);
    }
    machines.until_fetches(2).await;
    let status = machines.status().await;
    let nodes: Vec<&str> = status["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|node| node["name"].as_str())
        .collect();
    assert_eq!(nodes, ["a", "b", "c"]);
    let leader = status["sources"]["calls"]["leader"]
        .as_str()
        .unwrap()
        .to_owned();
    let others: Vec<&str> = ["a", "b", "c"]
        .into_iter()
        .filter(|node| *node != leader)
        .collect();
    // The machine that leads ends, and so does another one.
    let asked = machines.cluster(&["drain", &leader], "a").await;
    assert!(asked.status.success(), "{}", said(&asked));
    let asked = machines.cluster(&["leave", others[0]], "a").await;
    assert!(asked.status.success(), "{}", said(&asked));
    let drained = machines.end(&leader).await;
    assert_eq!(drained.status.code(), Some(5), "{}", said(&drained));
    let left = machines.end(others[0]).await;
    assert_ne!(left.status.code(), Some(0), "{}", said(&left));
    let last = machines.end(others[1]).await;
    assert!(matches!(last.status.code(), Some(0 | 3)), "{}", said(&last));
    machines.verify(1500).await;
    let nobody = machines.cluster(&["drain", "zoe"], "a").await;
    assert_eq!(nobody.status.code(), Some(1));
    assert!(
        said(&nobody).contains("no node of the name zoe"),
        "{}",
        said(&nobody)
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn a_machine_with_another_sink_of_the_same_name_puts_nothing_there_and_says_so() {
    let mut machines = Machines::new(1500).await;
    machines.start("a");
    machines.until_fetches(5).await;
    let mut other = machines.config("b");
    let elsewhere = machines.harness.folder.path().join("elsewhere");
    other["sinks"]["lake"]["path"] = json!(elsewhere);
    let other = machines.write("other", &other);
    let mut reshaped = machines.config("c");
    reshaped["sinks"]["lake"]["layout"] = json!("flat");
    let reshaped = machines.write("reshaped", &reshaped);
    let harness = &machines.harness;
    let run = async |path: &str| harness.run_program(&["run", "--config", path]).await;
    let (other, reshaped) = tokio::join!(run(&other), run(&reshaped));
    for (ended, difference) in [
        (other, "is in another place than"),
        (
            reshaped,
            "puts objects under other keys or in another form than",
        ),
    ] {
        let text = said(&ended);
        assert_eq!(ended.status.code(), Some(1), "{text}");
        let expected = format!("the sink lake of this machine {difference} the sink of the node");
        assert!(text.contains(&expected), "{text}");
    }
    assert!(media(&files(&elsewhere)).is_empty());
    let ended = machines.end("a").await;
    assert!(
        matches!(ended.status.code(), Some(0 | 3)),
        "{}",
        said(&ended)
    );
    machines.verify(1500).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn what_is_wrong_with_a_fleet_is_said_before_anything_is_done() {
    let mut machines = Machines::without_streams(settings(40)).await;
    let unready = machines.run(&["run"], "a").await;
    assert_eq!(unready.status.code(), Some(1));
    assert!(
        said(&unready).contains("make them with `cluster init`"),
        "{}",
        said(&unready)
    );
    let shown = machines.cluster(&["status"], "a").await;
    assert_eq!(shown.status.code(), Some(3), "{}", said(&shown));
    let checked = machines.run(&["check"], "a").await;
    assert!(
        said(&checked).contains("the stream recording-host_main_work is missing"),
        "{}",
        said(&checked)
    );
    assert!(
        said(&checked).contains("not counted in the fleet's rate"),
        "{}",
        said(&checked)
    );
    let made = machines.cluster(&["init"], "a").await;
    assert!(made.status.success(), "{}", said(&made));
    let parts = machines.run(&["run", "--shard", "1/2"], "a").await;
    assert_eq!(parts.status.code(), Some(2));
    assert!(
        said(&parts).contains("leave out `--shard` or `cluster`"),
        "{}",
        said(&parts)
    );
    let mut alone = machines.config("a");
    alone.as_object_mut().unwrap().remove("cluster");
    let path = machines.write("alone", &alone);
    let none = machines
        .harness
        .run_program(&["cluster", "status", "--config", &path])
        .await;
    assert_eq!(none.status.code(), Some(1));
    assert!(said(&none).contains("has no `cluster`"), "{}", said(&none));
    machines.start("a");
    let ended = machines.end("a").await;
    assert!(
        matches!(ended.status.code(), Some(0 | 3)),
        "{}",
        said(&ended)
    );
    // Nobody goes on alone with what the others would not know of.
    let alone = machines
        .harness
        .run_program(&["run", "--config", &path])
        .await;
    assert_eq!(alone.status.code(), Some(2), "{}", said(&alone));
    assert!(
        said(&alone).contains("is the queue of a fleet"),
        "{}",
        said(&alone)
    );
    // The servers have lost everything: a queue is not taken for one of a journal that it is not of.
    machines.servers = Servers::start(1);
    let made = machines.cluster(&["init"], "a").await;
    assert!(made.status.success(), "{}", said(&made));
    let lost = machines.run(&["run"], "a").await;
    assert_eq!(lost.status.code(), Some(1));
    assert!(
        said(&lost).contains("not of the journal of this export"),
        "{}",
        said(&lost)
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn fetches_that_somebody_has_removed_from_the_streams_are_published_again() {
    let mut machines = Machines::new(600).await;
    machines.start("a");
    machines.until_fetches(2).await;
    let address = format!("nats://127.0.0.1:{}", machines.servers.ports[0]);
    let client = async_nats::connect(address).await.unwrap();
    let streams = async_nats::jetstream::new(client);
    let work = streams.get_stream("recording-host_main_work").await;
    let removed = work
        .unwrap()
        .purge()
        .filter("recording-host.main.work.>")
        .await;
    assert!(removed.unwrap().purged > 0);
    let ended = machines.end("a").await;
    assert!(
        matches!(ended.status.code(), Some(0 | 3)),
        "{}",
        said(&ended)
    );
    machines.verify(600).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn what_cannot_be_read_ends_no_machine_and_loses_nothing() {
    let mut machines = Machines::new(600).await;
    machines.start("a");
    machines.until_fetches(2).await;
    machines.start("b");
    // Of a fetch that machines do, and of one that there is not.
    machines.put("recording-host_main_reports.calls.calls-000002", "neither");
    machines.put("recording-host.main.work.calls.calls-900000", "neither");
    let mut told = String::new();
    for node in ["a", "b"] {
        let ended = machines.end(node).await;
        assert!(
            matches!(ended.status.code(), Some(0 | 3)),
            "{}",
            said(&ended)
        );
        told.push_str(&said(&ended));
    }
    for what in [
        "what came of the fetch calls-900000 cannot be read",
        "what a machine reported of calls-000002 cannot be read",
    ] {
        assert!(told.contains(what), "{told}");
    }
    let status = machines.status().await;
    assert_eq!(
        status["sources"]["calls"]["dead_letters"],
        json!(1),
        "{status}"
    );
    let shown = said(&machines.cluster(&["status"], "a").await);
    let kept = "source calls: 1 fetches could not be read";
    assert!(shown.contains(kept), "{shown}");
    machines.verify(600).await;
}
