//! Two recordings never share an object, whatever their ids are and whatever the sink may replace.

use std::{collections::BTreeSet, sync::Arc};

use age::x25519::Identity;
use recording_host_model::{Outcome, layout::Layout};
use recording_host_sink::{
    Overwrite, Sink,
    encrypted::Encrypted,
    encryption::Recipients,
    filesystem::{Filesystem, FilesystemOptions},
};

use super::delivery::{End, Way, wav};
use crate::support::sha256;

/// Ids that differ in what is not safe in a file's name, in case, or in what else stands in keys.
const IDS: [&str; 10] = [
    "a/b", "a_b", "a\\b", "A_b", "a b", "x", "X", "x.1", "..", "con",
];

fn replacing(folder: std::path::PathBuf) -> Arc<dyn Sink> {
    Arc::new(Filesystem::with(
        folder,
        FilesystemOptions {
            overwrite: Overwrite::Always,
            ..FilesystemOptions::default()
        },
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn another_recordings_object_is_never_replaced() {
    let own = Layout::template("calls/{conversation}_{recording}{part}.{ext}").unwrap();
    for layout in [
        Layout::default(),
        Layout::hive("o-1").unwrap(),
        Layout::flat(),
        own,
    ] {
        for encrypts in [false, true] {
            let recipient = Identity::generate().to_public().to_string();
            let recipients = Recipients::parse(&[recipient]).unwrap();
            let mut way = Way::to(|folder| match encrypts {
                false => replacing(folder),
                true => Arc::new(Encrypted::new(replacing(folder), recipients.clone())),
            })
            .await;
            way.output.layout = layout.clone();
            let mut artifacts = Vec::new();
            for (number, conversation) in IDS.into_iter().enumerate() {
                for (place, recording) in IDS.into_iter().enumerate() {
                    let length = 100 * number + 10 * place;
                    let part = (place % 2) as u32;
                    let body = wav(length as u32, length);
                    artifacts.push(way.artifact(
                        (conversation, recording, part),
                        &body,
                        End::Length,
                    ));
                }
            }
            way.commit(&artifacts, IDS.len() as u32).await;
            for artifact in &artifacts {
                way.end(artifact).await;
            }
            let files = way.files();
            let keys: BTreeSet<String> = files.keys().map(|key| key.to_lowercase()).collect();
            assert_eq!(keys.len(), IDS.len() * IDS.len(), "{layout} {encrypts}");
            let completed = way.completed().await;
            assert_eq!(completed.len(), IDS.len());
            for one in completed.values() {
                assert_eq!(one.outcome, Outcome::Stored);
                assert_eq!(one.objects_in("lake").len(), IDS.len());
                for object in one.objects_in("lake") {
                    let there = sha256(&files[&object.key]);
                    let stored = object
                        .stored
                        .as_ref()
                        .map_or(&object.sha256, |(_, sum)| sum);
                    assert_eq!(there, *stored, "{}", object.key);
                }
            }
        }
    }
}
