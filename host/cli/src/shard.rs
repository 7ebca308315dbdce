//! Which part of an export a process does.

use clap::Args;
use recording_host_engine::{Pipeline, Shard};
use recording_host_model::Error;

/// Where Kubernetes tells each pod of an Indexed Job its number, from 0.
const INDEX: &str = "JOB_COMPLETION_INDEX";

#[derive(Clone, Copy, Debug, Default, Args)]
pub(super) struct Part {
    /// Only this part of the interval: the k-th of n parts of whole days. `index/n` takes k from
    /// JOB_COMPLETION_INDEX, which Kubernetes sets in an Indexed Job and which counts from 0.
    #[arg(
        id = "shard",
        long = "shard",
        value_name = "K/N",
        env = "RECORDING_HOST_SHARD",
        value_parser = parsed
    )]
    shard: Option<Shard>,
}

impl Part {
    /// A pipeline for this part alone.
    pub(super) fn of(self, pipeline: Pipeline) -> Result<Pipeline, Error> {
        match self.shard {
            None => Ok(pipeline),
            Some(shard) => pipeline.shard(shard),
        }
    }

    /// Returns true if the process does a part alone.
    #[cfg_attr(
        not(feature = "cluster"),
        allow(dead_code, reason = "a fleet has no parts")
    )]
    pub(super) fn is_part(self) -> bool {
        self.shard.is_some()
    }

    /// The name of the socket by which the process is steered.
    pub(super) fn socket(self) -> String {
        match self.shard {
            None => "control.sock".to_owned(),
            Some(shard) => format!("control-{}.sock", shard.to_string().replace('/', "of")),
        }
    }
}

fn parsed(text: &str) -> Result<Shard, String> {
    let Some(of) = text.strip_prefix("index/") else {
        return text.parse().map_err(|error| format!("{error}"));
    };
    let index = std::env::var(INDEX)
        .map_err(|_| format!("{INDEX} is not set; is it an Indexed Job? Else write the number"))?;
    let number = index
        .parse::<u64>()
        .ok()
        .and_then(|index| index.checked_add(1));
    let number = number.ok_or_else(|| format!("{INDEX} is `{index}`, and no number"))?;
    format!("{number}/{of}")
        .parse()
        .map_err(|error| format!("{error}"))
}
