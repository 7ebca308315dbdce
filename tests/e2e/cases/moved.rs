//! A sink that moved, was emptied, or belongs to another archive is refused or filled anew, by choice,
//! and never reported as done.

use std::{fs, path::Path};

use serde_json::json;

use super::cloud::{Cloud, Recording, row};
use crate::support::files;

const CALLS: u64 = 5;

async fn exported() -> Cloud {
    let all = (1..=CALLS as u32).map(|number| (row(number), vec![Recording::call(number, 0)]));
    let cloud = Cloud::honest(all.collect()).await;
    cloud.run().await.complete(CALLS);
    assert_eq!(cloud.asked("media"), CALLS);
    cloud
}

/// Checks that a run ends with an error that names the sink and both ways out, having brought nothing.
async fn refused(cloud: &Cloud, sink: &str) {
    let asked = cloud.asked("media");
    let ran = cloud.command("run", &[]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for words in [
        format!("sink {sink}"),
        format!("--refill {sink}"),
        "correct".to_owned(),
    ] {
        assert!(ran.said.contains(&words), "{words}: {ran:?}");
    }
    assert_eq!(cloud.asked("media"), asked);
}

/// Checks that a run finds everything in order and asks for no recording.
async fn nothing_to_do(cloud: &Cloud) {
    let asked = (cloud.asked("media"), cloud.asked("submit"));
    let ran = cloud.run().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!((cloud.asked("media"), cloud.asked("submit")), asked);
}

fn emptied(folder: &Path) {
    fs::remove_dir_all(folder).unwrap();
    fs::create_dir(folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_with_a_mistyped_path_is_refused_and_nothing_is_put_there() {
    let mut cloud = exported().await;
    let wrong = cloud.folder("ouput");
    let right = cloud.sinks.clone();
    cloud.sinks["out"]["path"] = json!(wrong);
    refused(&cloud, "out").await;
    refused(&cloud, "out").await;
    assert!(files(&wrong).is_empty());
    cloud.sinks = right;
    nothing_to_do(&cloud).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_was_moved_and_is_named_so_is_the_same() {
    let mut cloud = exported().await;
    let there = cloud.folder("elsewhere");
    fs::rename(cloud.output(), &there).unwrap();
    refused(&cloud, "out").await;
    cloud.sinks["out"]["path"] = json!(there);
    nothing_to_do(&cloud).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_was_emptied_or_wiped_is_refused_and_filled_by_choice() {
    for wiped in [false, true] {
        let cloud = exported().await;
        let before = cloud.recordings();
        emptied(&cloud.output());
        if wiped {
            fs::remove_dir(cloud.output()).unwrap();
        }
        refused(&cloud, "out").await;
        let ran = cloud.run_with(&["--refill", "out"]).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(cloud.recordings(), before);
        assert_eq!(cloud.asked("media"), 2 * CALLS);
        nothing_to_do(&cloud).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_is_filled_anew_takes_from_another_what_that_has() {
    let mut cloud = exported().await;
    let copy = cloud.folder("copy");
    cloud.sinks["copy"] = json!({ "type": "filesystem", "path": copy });
    let ran = cloud.run().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let media = |folder: &Path| -> Vec<(String, Vec<u8>)> {
        let all = files(folder).into_iter();
        all.filter(|(key, _)| key.starts_with("recordings/"))
            .collect()
    };
    assert_eq!(media(&copy), media(&cloud.output()));
    emptied(&copy);
    refused(&cloud, "copy").await;
    let (media_asked, submitted) = (cloud.asked("media"), cloud.asked("submit"));
    let ran = cloud.run_with(&["--refill", "copy"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(media(&copy), media(&cloud.output()));
    assert_eq!(media(&copy).len() as u64, CALLS);
    // The vendor may have deleted them by now: nothing was asked of it.
    assert_eq!(
        (cloud.asked("media"), cloud.asked("submit")),
        (media_asked, submitted)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_archive_is_not_written_to() {
    let mut cloud = exported().await;
    let other = exported().await;
    let before = files(&other.output());
    cloud.sinks["out"]["path"] = json!(other.output());
    refused(&cloud, "out").await;
    assert!(files(&other.output()) == before);
    nothing_to_do(&other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_without_its_marker_is_taken_again_by_choice_without_a_download() {
    let cloud = exported().await;
    fs::remove_file(cloud.output().join(".recording-host.json")).unwrap();
    refused(&cloud, "out").await;
    let asked = cloud.asked("media");
    let ran = cloud.run_with(&["--refill", "out"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(cloud.asked("media"), asked);
    assert!(cloud.output().join(".recording-host.json").exists());
    nothing_to_do(&cloud).await;
}
