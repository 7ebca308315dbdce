//! `cluster`: makes and shows the fleet that the machines of a configuration are, and has one of them end.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use recording_host_cluster::{Fleet, NodeRequest, NodeState, StreamState};
use recording_host_config::{Cluster, Config, SecretScope};
use recording_host_engine::run::{CheckFinding, CheckState};
use recording_host_state::fleet::FetchCounts;
use serde_json::{Value, json};

use super::Done;

/// How long servers that are unavailable are asked again.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Args)]
pub(super) struct ClusterCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes the streams of the fleet on the NATS servers, or brings them to the configuration; for one machine,
    /// before the first run and after changes of `cluster`.
    Init(Place),
    /// Shows the machines, who leads, what waits, and how full the streams are.
    Status(Shown),
    /// Has a machine take nothing more, finish what is in progress, and end.
    Drain(Node),
    /// Has a machine hand everything back to the others and end.
    Leave(Node),
}

/// Where the fleet is.
#[derive(Debug, Args)]
struct Place {
    /// The configuration, YAML or TOML, with `cluster`.
    #[arg(long, value_name = "FILE", env = "RECORDING_HOST_CONFIG")]
    config: PathBuf,
}

#[derive(Debug, Args)]
struct Shown {
    #[command(flatten)]
    place: Place,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Node {
    #[command(flatten)]
    place: Place,
    /// The name of the machine; by default this one.
    #[arg(value_name = "NODE")]
    node: Option<String>,
}

impl Place {
    fn cluster(&self) -> anyhow::Result<Cluster> {
        let config = crate::load_for(&self.config, SecretScope::Nothing)?;
        let cluster = config.cluster().cloned();
        let cluster = cluster.map(|mut cluster| {
            cluster.settings.patience = PATIENCE;
            cluster
        });
        cluster.ok_or_else(|| {
            anyhow::anyhow!(
                "{}: has no `cluster`, so that this machine does all by itself; docs/scale.md says how it becomes part of a fleet",
                self.config.display()
            )
        })
    }
}

impl ClusterCommand {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        match self.command {
            Command::Init(place) => init(&place.cluster()?).await,
            Command::Status(shown) => status(&shown.place.cluster()?, shown.json).await,
            Command::Drain(node) => {
                node.ask(NodeRequest::Drain, "finishes what is in progress and ends")
                    .await
            }
            Command::Leave(node) => {
                node.ask(NodeRequest::Leave, "hands everything back and ends")
                    .await
            }
        }
    }
}

impl Node {
    async fn ask(self, request: NodeRequest, done: &str) -> anyhow::Result<Done> {
        let cluster = self.place.cluster()?;
        let node = self.node.unwrap_or(cluster.node);
        let fleet = Fleet::connect(cluster.settings).await?;
        fleet.ask(&node, request).await?;
        println!("{node} {done}");
        Ok(Done::All)
    }
}

/// Tries out the fleet of a configuration, if it has one.
pub(super) async fn check(config: &Config) -> Option<CheckFinding> {
    let cluster = config.cluster()?;
    let (state, text) = match Fleet::open(cluster.settings.clone()).await {
        Ok(_) => {
            let text = format!(
                "this machine is {}, and the streams are there",
                cluster.node
            );
            (CheckState::Good, text)
        }
        Err(error) => (CheckState::Bad, error.to_string()),
    };
    Some(CheckFinding {
        subject: format!("fleet {}", cluster.settings.name),
        state,
        text,
    })
}

async fn init(cluster: &Cluster) -> anyhow::Result<Done> {
    let fleet = Fleet::connect(cluster.settings.clone()).await?;
    let is_new = fleet.streams().await?.is_empty();
    let before = fleet.problems().await?;
    fleet.init().await?;
    // Of a fleet that somebody uses, one with other settings than these.
    for problem in before.into_iter().filter(|_| !is_new) {
        println!("put right: {problem}");
    }
    for stream in fleet.streams().await? {
        println!("{}", stream_line(&stream));
    }
    Ok(Done::All)
}

async fn status(cluster: &Cluster, as_json: bool) -> anyhow::Result<Done> {
    let fleet = Fleet::connect(cluster.settings.clone()).await?;
    let problems = fleet.problems().await?;
    let streams = fleet.streams().await?;
    let nodes = fleet.nodes().await?;
    // Without their streams there is nobody who leads, and nothing that waits.
    let (leaders, fetches, dead) = match problems.is_empty() {
        true => (
            fleet.leaders().await?,
            fleet.fetches().await?,
            fleet.dead_letters().await?,
        ),
        false => Default::default(),
    };
    let names = leaders.keys().chain(fetches.keys());
    let names: std::collections::BTreeSet<&String> = names.collect();
    let sources = names.into_iter().map(|name| {
        let of = fetches.get(name).copied().unwrap_or_default();
        (name.clone(), leaders.get(name).cloned(), of)
    });
    let sources: Vec<(String, Option<String>, FetchCounts)> = sources.collect();
    if as_json {
        let sources = sources.into_iter().map(|(name, leader, fetches)| {
            let of = json!({
                "leader": leader,
                "waiting": fetches.waiting,
                "taken": fetches.taken,
                "dead_letters": dead.get(&name).map_or(0, |(count, _)| *count),
            });
            (name, of)
        });
        let sources: serde_json::Map<String, Value> = sources.collect();
        let streams: Vec<Value> = streams.iter().map(stream_json).collect();
        println!(
            "{}",
            json!({ "nodes": nodes, "sources": sources, "streams": streams, "problems": problems })
        );
    } else {
        print(&nodes, &sources, &dead, &streams, &problems);
    }
    Ok(match problems.is_empty() {
        true => Done::All,
        false => Done::WithLosses,
    })
}

fn print(
    nodes: &[NodeState],
    sources: &[(String, Option<String>, FetchCounts)],
    dead: &BTreeMap<String, (u64, String)>,
    streams: &[StreamState],
    problems: &[String],
) {
    for problem in problems {
        println!("not ready: {problem}; run `cluster init`");
    }
    for node in nodes {
        let NodeState {
            name,
            version,
            state,
            seconds,
        } = node;
        println!("node {name}: {state}, version {version}, for {seconds} s");
    }
    if nodes.is_empty() {
        println!("no node answers");
    }
    for (name, leader, fetches) in sources {
        let leader = leader.as_deref().unwrap_or("nobody");
        println!(
            "source {name}: led by {leader}, {} fetches wait, {} are in progress",
            fetches.waiting, fetches.taken
        );
    }
    for (name, (count, subjects)) in dead {
        println!(
            "source {name}: {count} fetches could not be read and were handed over again; what came of them is kept for 30 days, at {subjects}"
        );
    }
    for stream in streams {
        println!("{}", stream_line(stream));
    }
}

fn stream_line(stream: &StreamState) -> String {
    let StreamState {
        name,
        messages,
        bytes,
        most_bytes,
        current,
        replicas,
        ..
    } = stream;
    format!(
        "stream {name}: {messages} messages, {bytes} of {most_bytes} bytes, on {current} of {replicas} servers"
    )
}

fn stream_json(stream: &StreamState) -> Value {
    json!({
        "name": stream.name,
        "messages": stream.messages,
        "bytes": stream.bytes,
        "most_bytes": stream.most_bytes,
        "leader": stream.leader,
        "current": stream.current,
        "replicas": stream.replicas,
    })
}
