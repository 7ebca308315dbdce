//! A run on a machine of a fleet.

use std::{sync::Arc, time::Duration};

use recording_host_cluster::{Fleet, FleetNode, FleetRates, NodeRequest};
use recording_host_config::Config;
use recording_host_engine::Pipeline;
use recording_host_http::Limiters;
use recording_host_model::clock::Clock;
use recording_host_state::fleet::FleetMember;
use tokio::{task::JoinSet, time::timeout};

use crate::{control::Server, shard::Part, signals::Requests, terminal};

/// How long a command waits for the servers of the fleet.
const PATIENCE: Duration = Duration::from_secs(5);

/// The pipelines of a configuration, for a command beside the runs of the fleet's machines: its requests take slots of
/// the fleet's rate, if the servers answer.
pub(crate) async fn pipelines(config: &Config, clock: Clock) -> anyhow::Result<Vec<Pipeline>> {
    let pipelines = config.pipelines(clock).await?;
    let Some(cluster) = config.cluster() else {
        return Ok(pipelines);
    };
    let opened = timeout(PATIENCE, Fleet::open(cluster.settings.clone())).await;
    let opened = opened.map_err(|_| "the fleet's servers do not answer".to_owned());
    let opened = opened.and_then(|opened| opened.map_err(|error| error.to_string()));
    let limiters = match opened {
        Ok(fleet) => limiters(&fleet, clock),
        Err(reason) => {
            let text = format!(
                "{reason}. Therefore, the requests of this command are not counted in the fleet's rate"
            );
            terminal::say("warn", &text);
            return Ok(pipelines);
        }
    };
    let counted = pipelines.into_iter().map(|it| it.limiters(&limiters));
    Ok(counted.collect())
}

/// Those that all machines of a fleet share.
fn limiters(fleet: &Fleet, clock: Clock) -> Limiters {
    Limiters::shared(Arc::new(FleetRates::new(fleet).in_time_of(clock)))
}

/// This machine, if it is one of a fleet.
pub(super) struct Machine(Option<Joined>);

struct Joined {
    fleet: Fleet,
    node: String,
    member: Arc<dyn FleetMember>,
    limiters: Limiters,
}

impl Machine {
    /// Connects to the fleet of a configuration, whose streams must be there.
    pub(super) async fn join(config: &Config, part: Part, clock: Clock) -> anyhow::Result<Self> {
        let Some(cluster) = config.cluster() else {
            return Ok(Machine(None));
        };
        if part.is_part() {
            crate::usage(
                "--shard: the machines of a fleet divide the work themselves; leave out `--shard` or `cluster`",
            );
        }
        let fleet = Fleet::open(cluster.settings.clone()).await?;
        Ok(Machine(Some(Joined {
            member: Arc::new(FleetNode::new(&fleet, &*cluster.node)),
            limiters: limiters(&fleet, clock),
            node: cluster.node.clone(),
            fleet,
        })))
    }

    /// Has a pipeline share its work with the other machines.
    pub(super) fn over(&self, pipeline: Pipeline) -> Pipeline {
        match &self.0 {
            None => pipeline,
            Some(joined) => pipeline
                .limiters(&joined.limiters)
                .fleet(Arc::clone(&joined.member)),
        }
    }

    /// Answers for this machine, and does what others of the fleet ask of it, for as long as the result is there.
    pub(super) async fn attend(
        &self,
        control: &Server,
        requests: &Requests,
    ) -> anyhow::Result<JoinSet<()>> {
        let mut tasks = JoinSet::new();
        let Some(joined) = &self.0 else {
            return Ok(tasks);
        };
        let version = env!("CARGO_PKG_VERSION");
        let fleet = &joined.fleet;
        let mut presence = fleet.attend(&joined.node, version, control.state()).await?;
        let (drain, ask_stop) = (control.drainer(), requests.ask_stop.clone());
        tasks.spawn(async move {
            while let Some(request) = presence.next().await {
                match request {
                    NodeRequest::Drain => drain(),
                    NodeRequest::Leave => {
                        terminal::say("info", "`cluster leave`: handing everything back");
                        ask_stop.send_replace(true);
                    }
                }
            }
        });
        Ok(tasks)
    }
}
