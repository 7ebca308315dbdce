//! A recording that is pushed after its conversation was filed is found by the next search.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use genesys_simulator::{Push, Settings};
use serde_json::{Value, json};

use super::{config, push};
use crate::{
    s3_server::{Server, Ways},
    support::{Harness, files, media, receipts, run_program},
};

/// Runs the program with a configuration and returns what it prints, and its exit status.
async fn ran(harness: &Harness, config: &Value, command: &[&str]) -> (String, Option<i32>) {
    let path = harness.write(config).display().to_string();
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

/// A bucket in which two conversations lack a recording that comes later.
struct Growing {
    server: Server,
    harness: Harness,
    organization: String,
    /// The conversations, with the recording that is late.
    late: [(String, String); 2],
}

impl Growing {
    async fn new() -> Self {
        let server = Server::start(Ways::default()).await;
        // Days up to now are listed: there are to be few of them.
        let today = jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::now());
        let harness = Harness::start(Settings {
            conversations: 60,
            first_day: today.date().saturating_sub(jiff::Span::new().days(10)),
            archived: 0.0,
            deleted: 0.0,
            uploading: 0.0,
            ..Settings::default()
        })
        .await;
        let all = (0..60).map(|index| harness.organization().conversation(index));
        let mut several = all.filter(|one| one.recordings.len() > 1);
        let late = [(); 2].map(|()| {
            let one = several.next().expect("too few have several recordings");
            (one.id, one.recordings[1].id.clone())
        });
        let organization = push(&harness, &server, |key| {
            !late.iter().any(|(_, recording)| key.contains(recording))
        });
        Growing {
            server,
            harness,
            organization,
            late,
        }
    }

    /// Pushes what is late.
    fn arrive(&self, which: usize) {
        let push = Push::new(self.harness.organization());
        let late = |key: &str| key.contains(&self.late[which].1);
        for object in push.objects().filter(|object| late(&object.key)) {
            self.server.place(&object.key, &object.body);
        }
    }

    fn config(&self) -> Value {
        config(&self.harness, &self.server.url, &self.organization)
    }

    /// The conversations of which a run fetches something.
    async fn run(&self, config: &Value, command: &[&str]) -> BTreeSet<String> {
        self.server.forget();
        let (said, status) = ran(&self.harness, config, command).await;
        assert_eq!(status, Some(0), "{said}");
        downloaded(&self.server)
    }

    fn output(&self) -> PathBuf {
        self.harness.folder.path().join("bucket-output")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_to_a_folder_that_was_filed_is_found_by_the_next_search() {
    let growing = Growing::new().await;
    let (from, _) = growing.harness.organization().interval();
    let mut open = growing.config();
    open["sources"]["calls"]["options"]["interval"] = format!("{from}/..").into();
    // All of the past, whenever this runs.
    open["sources"]["calls"]["follow"] = json!({ "look_back_seconds": 1_000_000_000 });
    assert!(growing.run(&open, &["run"]).await.len() > 50);
    assert!(attempts(&growing.output(), 2).is_empty());
    let before = media(&files(&growing.output())).len();

    for (which, (id, _)) in growing.late.iter().enumerate() {
        growing.arrive(which);
        let (said, status) = ran(&growing.harness, &open, &["reconcile"]).await;
        assert_eq!(status, Some(3), "{said}");
        let named = format!("more at the source by now: {id}");
        assert!(said.contains(&named), "{said}");
        if which == 1 {
            // The receipts know what was there, too.
            std::fs::remove_dir_all(growing.harness.folder.path().join("bucket-data")).unwrap();
        }
        let fetched = growing.run(&open, &["run"]).await;
        assert_eq!(fetched, BTreeSet::from([id.clone()]));
    }
    let again: BTreeSet<String> = growing.late.iter().map(|(id, _)| id.clone()).collect();
    assert_eq!(attempts(&growing.output(), 2), again);
    assert!(media(&files(&growing.output())).len() >= before + 2);

    // Nothing more has come: nothing more is fetched, and all that is there is proven.
    for command in [&["run"][..], &["verify", "--full"], &["reconcile"]] {
        assert!(growing.run(&open, command).await.is_empty());
    }
    assert_eq!(attempts(&growing.output(), 2), again);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interval_that_is_over_is_searched_again_on_request() {
    let growing = Growing::new().await;
    let config = growing.config();
    assert!(growing.run(&config, &["run"]).await.len() > 50);
    growing.arrive(0);
    assert!(growing.run(&config, &["run"]).await.is_empty());
    let fetched = growing.run(&config, &["run", "--search-again"]).await;
    assert_eq!(fetched, BTreeSet::from([growing.late[0].0.clone()]));
    assert_eq!(attempts(&growing.output(), 2), fetched);
    // Once: the next run has nothing to do.
    assert!(growing.run(&config, &["run"]).await.is_empty());
    assert!(growing.server.seen("ListObjectsV2").is_empty());
}
