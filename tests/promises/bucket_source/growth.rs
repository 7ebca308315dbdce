//! A recording that is pushed after its conversation was filed is found by the next search.

use std::{collections::BTreeSet, path::Path};

use genesys_simulator::{Push, Settings};
use serde_json::{Value, json};

use super::{config, push};
use crate::{
    s3_server::{Server, Ways},
    support::{Center, files, media, receipts, run_program},
};

/// Runs the program with a configuration and returns what it prints, and its exit status.
async fn ran(center: &Center, config: &Value, command: &[&str]) -> (String, Option<i32>) {
    let path = center.write(config).display().to_string();
    let output = run_program(&[command, &["--config", &path]].concat()).await;
    let said = [output.stdout, output.stderr].concat();
    (
        String::from_utf8_lossy(&said).into_owned(),
        output.status.code(),
    )
}

/// The conversations of which there is a receipt of this attempt.
fn attempts(folder: &Path, attempt: u64) -> BTreeSet<String> {
    let receipts = receipts(&files(folder));
    let of = receipts.iter().filter(|one| one["attempt"] == attempt);
    of.map(|one| one["conversation_id"].as_str().unwrap().to_owned())
        .collect()
}

/// The conversations from whose folders files were downloaded.
fn downloaded(server: &Server) -> BTreeSet<String> {
    let keys = server.seen("GetObject").into_iter().map(|seen| seen.key);
    let of = |key: String| {
        let (_, rest) = key.split_once("/conversation_id=").unwrap();
        rest.split_once('/').unwrap().0.to_owned()
    };
    keys.map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_to_a_folder_that_was_filed_is_found_by_the_next_search() {
    let server = Server::start(Ways::default()).await;
    // Days up to now are listed: there are to be few of them.
    let today = jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::now());
    let center = Center::start(Settings {
        conversations: 60,
        first_day: today.date().saturating_sub(jiff::Span::new().days(10)),
        archived: 0.0,
        deleted: 0.0,
        uploading: 0.0,
        ..Settings::default()
    })
    .await;
    let several = (0..60).map(|index| center.organisation().conversation(index));
    let several: Vec<_> = several.filter(|one| one.recordings.len() > 1).collect();
    // One is late in each of two folders: the second after the queue is lost.
    let [first, second, ..] = several.as_slice() else {
        panic!("there are too few conversations with several recordings");
    };
    let late = |key: &str| {
        [first, second]
            .iter()
            .position(|one| key.contains(&one.recordings[1].id))
    };
    let organisation = push(&center, &server, |key| late(key).is_none());
    let arrive = |which: usize| {
        let push = Push::new(center.organisation());
        for object in push.objects().filter(|one| late(&one.key) == Some(which)) {
            server.place(&object.key, &object.body);
        }
        server.forget();
    };
    let output = center.folder.path().join("bucket-output");
    let (from, _) = center.organisation().interval();
    let mut open = config(&center, &server.url, &organisation);
    open["sources"]["calls"]["options"]["interval"] = format!("{from}/..").into();
    // All of the past, whenever this runs.
    open["sources"]["calls"]["follow"] = json!({ "look_back_seconds": 1_000_000_000 });

    let (said, status) = ran(&center, &open, &["run"]).await;
    assert_eq!(status, Some(0), "{said}");
    assert!(attempts(&output, 1).len() > 50 && attempts(&output, 2).is_empty());
    let before = media(&files(&output)).len();

    for (which, id) in [&first.id, &second.id].into_iter().enumerate() {
        arrive(which);
        let (said, status) = ran(&center, &open, &["reconcile"]).await;
        assert_eq!(status, Some(3), "{said}");
        assert!(
            said.contains(&format!("more at the source by now: {id}")),
            "{said}"
        );
        if which == 1 {
            // The receipts know what was there, too.
            std::fs::remove_dir_all(center.folder.path().join("bucket-data")).unwrap();
        }
        server.forget();
        let (said, status) = ran(&center, &open, &["run"]).await;
        assert_eq!(status, Some(0), "{said}");
        assert_eq!(downloaded(&server), BTreeSet::from([id.clone()]));
    }
    let again = BTreeSet::from([first.id.clone(), second.id.clone()]);
    assert_eq!(attempts(&output, 2), again);
    assert!(media(&files(&output)).len() >= before + 2);

    // Nothing more has come: nothing more is fetched, and all that is there is proven.
    server.forget();
    for command in [&["run"][..], &["verify", "--full"], &["reconcile"]] {
        let (said, status) = ran(&center, &open, command).await;
        assert_eq!(status, Some(0), "{command:?}: {said}");
    }
    assert!(server.seen("GetObject").is_empty());
    assert_eq!(attempts(&output, 2), again);
}
