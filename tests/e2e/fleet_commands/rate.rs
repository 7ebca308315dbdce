//! Commands that are no export wait for slots of the rate that all machines share.

use std::{process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Machines, said};
use crate::support::in_time;

/// How many credentials have a rate that is leased.
async fn credentials_with_slots(machines: &Machines) -> u64 {
    let shown = machines.status().await;
    let streams = shown["streams"].as_array().unwrap();
    let is_rate = |stream: &&Value| stream["name"].as_str().unwrap().ends_with("_rate");
    let rate = streams.iter().find(is_rate).unwrap();
    rate["messages"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn what_other_commands_request_counts_in_the_fleets_rate() {
    let machines = Machines::new(40).await;
    assert_eq!(credentials_with_slots(&machines).await, 0);
    let planned = machines.run(&["plan"], "a").await;
    assert!(planned.status.success(), "{}", said(&planned));
    assert_eq!(credentials_with_slots(&machines).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn a_command_waits_for_servers_that_fall_silent_and_says_so() {
    let machines = Machines::new(40).await;
    let requests = || {
        let stats = machines.harness.simulator.stats();
        stats.requests.values().sum::<u64>()
    };
    let until = async |has_come: &dyn Fn() -> bool| {
        in_time(async {
            while !has_come() {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    };
    let mut config = machines.config("a");
    // Each request needs a slot of the fleet's rate, three seconds after the one before.
    config["sources"]["calls"]["limits"] = json!({ "requests_per_minute": 20 });
    let path = machines.write("a", &config);
    let told = machines.harness.folder.path().join("told");
    let mut command = machines.harness.program();
    let command = command.args(["plan", "--config", &path]);
    let command = command.stderr(std::fs::File::create(&told).unwrap());
    let mut plan = command.stdout(Stdio::null()).spawn().unwrap();
    // A token, and the first day.
    until(&|| requests() >= 2).await;
    machines.servers.freeze(0, true);
    let sent = requests();
    let warning = "no request is sent until the rate that all machines share can be asked for";
    until(&|| std::fs::read_to_string(&told).unwrap().contains(warning)).await;
    assert!(plan.try_wait().unwrap().is_none(), "it has ended");
    // One may have had its slot.
    assert!(requests() <= sent + 1);
    machines.servers.freeze(0, false);
    let ended = tokio::task::spawn_blocking(move || plan.wait().unwrap());
    assert!(ended.await.unwrap().success());
    assert!(requests() > sent);
}
