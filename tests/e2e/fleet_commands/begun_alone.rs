//! An export that one machine has begun by itself becomes the fleet's.

use std::{fs::File, path::PathBuf, time::Duration};

use genesys_simulator::Settings;
use recording_host_cluster::Fleet;
use serde_json::Value;
use tokio::time::sleep;

use super::{Machines, said, settings};
use crate::support::{files, in_time, media, same_media};

/// Has the machine `a` begin the export without a fleet.
async fn begin_alone(machines: &Machines) {
    let mut alone = machines.config("a");
    alone.as_object_mut().unwrap().remove("cluster");
    let path = machines.write("alone", &alone);
    let begun = machines
        .harness
        .run_program(&["run", "--max-bytes", "5MB", "--config", &path])
        .await;
    assert_eq!(begun.status.code(), Some(5), "{}", said(&begun));
}

/// The queue of a machine, once it has one.
fn queue(machines: &Machines, node: &str) -> Option<PathBuf> {
    let folder = machines.harness.folder.path().join(format!("data-{node}"));
    let paths = std::fs::read_dir(folder).into_iter().flatten();
    let mut paths = paths.map(|one| one.unwrap().path());
    paths.find(|path| path.extension().is_some_and(|end| end == "sqlite"))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn an_export_that_one_machine_has_begun_is_ended_by_three() {
    let mut machines = Machines::new(400).await;
    begin_alone(&machines).await;
    let before = media(&files(&machines.harness.output()));
    machines.start("a");
    machines.until_fetches(1).await;
    machines.start("b");
    machines.start("c");
    for node in ["a", "b", "c"] {
        let ended = machines.end(node).await;
        // The one that led names the losses.
        assert!(
            matches!(ended.status.code(), Some(0 | 3)),
            "{}",
            said(&ended)
        );
        let summary: Value = serde_json::from_slice(&ended.stdout).unwrap();
        assert_eq!(
            summary["sources"]["calls"]["conversations"], 400,
            "{summary}"
        );
    }
    machines.verify(400).await;
    let after = media(&files(&machines.harness.output()));
    let kept = after
        .into_iter()
        .filter(|(key, _)| before.contains_key(key));
    same_media(&before, &kept.collect());
    // A machine that has lost all it had begins with what the fleet has.
    std::fs::remove_dir_all(machines.harness.folder.path().join("data-b")).unwrap();
    machines.start("b");
    let again = machines.end("b").await;
    assert_eq!(again.status.code(), Some(0), "{}", said(&again));
    let told = machines.run(&["status"], "b").await;
    assert!(
        said(&told).contains("400 found, 400 filed"),
        "{}",
        said(&told)
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn a_machine_that_stands_by_first_follows_the_queue_that_becomes_the_fleets() {
    let mut machines = Machines::of(Settings {
        job_time: Duration::from_secs(300),
        ..settings(400)
    })
    .await;
    begin_alone(&machines).await;
    // The one that leads cannot have its queue yet.
    let lock = queue(&machines, "a").unwrap().with_extension("lock");
    let lock = File::open(lock).unwrap();
    lock.lock().unwrap();
    machines.start("a");
    // It waits ten seconds for its queue: no process is started to ask.
    let fleet = Fleet::connect(machines.servers.settings("main"))
        .await
        .unwrap();
    in_time(async {
        while fleet.leaders().await.unwrap().get("calls") != Some(&"a".to_owned()) {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    machines.start("b");
    in_time(async {
        while queue(&machines, "b").is_none() {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    sleep(Duration::from_secs(1)).await;
    drop(lock);
    in_time(async {
        while !said(&machines.run(&["status"], "b").await).contains("400 found") {
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    for node in ["a", "b"] {
        let ended = machines.end(node).await;
        let told = said(&ended);
        assert!(matches!(ended.status.code(), Some(0 | 3)), "{told}");
        assert!(!told.contains("does not follow"), "{told}");
    }
    machines.verify(400).await;
}
