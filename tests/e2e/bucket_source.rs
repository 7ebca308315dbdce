//! A bucket that Genesys Cloud pushes to yields what its API yields, but for what only one of them knows.

#[path = "bucket_source/ahead.rs"]
mod ahead;
#[path = "bucket_source/growth.rs"]
mod growth;
#[path = "bucket_source/identity.rs"]
mod identity;
#[path = "bucket_source/wire.rs"]
mod wire;

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_s3::primitives::ByteStream;
use genesys_simulator::{Organization, Push, Settings, State};
use serde_json::{Value, json};

use crate::{
    s3_server::{ACCESS_KEY, BUCKET, SECRET_KEY, Server, Ways},
    sinks::{SeaweedFs, client},
    support::{Harness, Objects, export, files, media, receipts, rows, run_program, same_media},
};

fn settings() -> Settings {
    Settings {
        conversations: 150,
        archived: 0.06,
        deleted: 0.04,
        uploading: 0.02,
        sensitive: 0.03,
        ..Settings::default()
    }
}

/// Lets the integration of an organization push all that it exports, but for keys that `keep` refuses.
fn push(harness: &Harness, server: &Server, keep: impl Fn(&str) -> bool) -> String {
    let push = Push::new(harness.organization());
    for object in push.objects().filter(|object| keep(&object.key)) {
        server.place(&object.key, &object.body);
    }
    push.organization_id()
}

/// The configuration of an export from the bucket to a folder of its own.
pub(crate) fn config(harness: &Harness, endpoint: &str, organization: &str) -> Value {
    let (from, until) = harness.organization().interval();
    json!({
        "data_dir": harness.folder.path().join("bucket-data"),
        "sources": { "calls": {
            "type": "genesys_bucket",
            "auth": { "access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY },
            "allow_private_addresses": true,
            "options": {
                "bucket": BUCKET,
                "organization": organization,
                "region": "eu-west-1",
                "endpoint": endpoint,
                "path_style": true,
                "sidecar_seconds": 0,
                "interval": format!("{from}/{until}"),
            },
        } },
        "sinks": { "lake": {
            "type": "filesystem",
            "path": harness.folder.path().join("bucket-output"),
        } },
    })
}

/// The fields of a row that both sources know; agents' names, for one, are not in the bucket.
fn shared(row: &Value) -> Value {
    let mut shared: Value = [
        "conversation_id",
        "recording_id",
        "object_key",
        "content_type",
        "size_bytes",
        "sha256",
        "outcome",
        "reason",
        "start",
        "end",
        "duration_ms",
        "direction",
        "media_types",
    ]
    .iter()
    .map(|field| ((*field).to_owned(), row[*field].clone()))
    .collect::<serde_json::Map<_, _>>()
    .into();
    let agents = row["agents"].as_array().into_iter().flatten();
    shared["agents"] = agents.map(|agent| agent["id"].clone()).collect();
    shared
}

async fn same_as_by_api(harness: Harness, endpoint: &str, organization: &str) {
    export(harness.config()).await;
    let by_api = files(&harness.output());
    let summary = export(config(&harness, endpoint, organization)).await;
    let by_bucket = files(&harness.folder.path().join("bucket-output"));

    // The API does not hand over archived recordings, the integration pushes them; all else is the same.
    let archived: BTreeSet<String> = (0..150)
        .flat_map(|index| harness.organization().conversation(index).recordings)
        .filter(|recording| recording.state == State::Archived)
        .map(|recording| recording.id)
        .collect();
    let all = media(&by_bucket);
    let (pushed, rest): (Objects, Objects) = all
        .clone()
        .into_iter()
        .partition(|(key, _)| archived.iter().any(|id| key.contains(id)));
    assert!(pushed.len() >= archived.len() && !archived.is_empty());
    same_media(&media(&by_api), &rest);

    // Rows of what the API delivers whole are the same, but for what the bucket does not know.
    let mut kept = BTreeMap::<String, Vec<Value>>::new();
    for row in rows(&by_bucket) {
        let id = row["conversation_id"].as_str().unwrap().to_owned();
        kept.entry(id).or_default().push(shared(&row));
    }
    let mut same = 0;
    for row in rows(&by_api) {
        let id = row["conversation_id"].as_str().unwrap();
        let theirs = kept.get(id).map_or(&[][..], Vec::as_slice);
        if row["outcome"] == "stored" {
            assert!(theirs.contains(&shared(&row)), "{row}\n{theirs:#?}");
            same += 1;
        }
    }
    assert!(same > 100, "{same}");
    // The bucket knows nothing of conversations that are not in it.
    let with_files: BTreeSet<&str> = all
        .keys()
        .map(|key| key.split('/').nth(4).unwrap())
        .collect();
    assert_eq!(kept.len(), with_files.len());
    assert_eq!(summary.recordings, all.len() as u64);
    assert!(
        rows(&by_bucket)
            .iter()
            .all(|row| row["outcome"] == "stored")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_and_the_bucket_give_the_same_recordings_and_rows() {
    let server = Server::start(Ways::default()).await;
    let harness = Harness::start(settings()).await;
    let organization = push(&harness, &server, |_| true);
    same_as_by_api(harness, &server.url, &organization).await;
    // Keys show which conversations there are: the metadata beside a file are read once.
    let read: Vec<String> = server
        .seen("GetObject")
        .into_iter()
        .map(|seen| seen.key)
        .collect();
    let once: BTreeSet<&String> = read.iter().collect();
    assert_eq!(read.len(), once.len());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SeaweedFS, which tests/run installs"]
async fn an_independent_s3_server_accepts_the_signatures_and_gives_the_same() {
    let server = SeaweedFs::start().await;
    let client = client(&server.endpoint);
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    let harness = Harness::start(settings()).await;
    let push = Push::new(harness.organization());
    let organization = push.organization_id();
    for object in push.objects() {
        let put = client.put_object().bucket(BUCKET).key(object.key);
        let body = ByteStream::from(object.body.to_vec());
        put.body(body).send().await.unwrap();
    }
    same_as_by_api(harness, &server.endpoint, &organization).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_or_odd_in_the_bucket_is_named() {
    let server = Server::start(Ways::default()).await;
    let harness = Harness::start(Settings {
        conversations: 40,
        archived: 0.0,
        deleted: 0.0,
        uploading: 0.0,
        ..Settings::default()
    })
    .await;
    let single: Vec<_> = (0..40)
        .map(|index| harness.organization().conversation(index))
        .filter(|one| one.recordings.len() == 1 && one.recordings[0].kind.parts() == 1)
        .take(4)
        .collect();
    let ids: Vec<&str> = single.iter().map(|one| one.id.as_str()).collect();
    let organization = push(&harness, &server, |key| {
        let sidecar = key.ends_with("_metadata.json");
        !(key.contains(ids[0]) && sidecar || key.contains(ids[1]) && !sidecar)
    });
    let of = |id: &str| {
        let keys = server.keys();
        keys.into_iter()
            .find(|key| key.contains(id) && key.ends_with("_metadata.json"))
            .unwrap()
    };
    server.place(&of(ids[2]), b"{\"conversationId\": 7");
    let folder = of(ids[3]);
    let folder = folder.rsplit_once('/').unwrap().0;
    server.place(&format!("{folder}/deeper/x.opus"), b"?");
    let day = folder.split("/hour=").next().unwrap();
    server.place(&format!("{day}/stray.opus"), b"?");
    server.place(&format!("{day}/hour=99/conversation_id=x/r.opus"), b"?");

    let path = harness.write(&config(&harness, &server.url, &organization));
    let path = path.display().to_string();
    let ran = harness.run_program(&["run", "--config", &path]).await;
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(3), "{said}");
    assert!(said.contains("2 objects under `year=2026/"), "{said}");

    let written = files(&harness.folder.path().join("bucket-output"));
    for (id, code, objects) in [
        (ids[0], "no-sidecar", 1),
        (ids[1], "no-media", 0),
        (ids[2], "wrong-sidecar", 1),
        (ids[3], "odd-key", 1),
    ] {
        let told = receipts(&written);
        let receipt = told
            .iter()
            .find(|one| one["conversation_id"] == id)
            .unwrap();
        assert!(receipt.to_string().contains(code), "{code}: {receipt}");
        let stored = media(&written);
        let stored = stored.keys().filter(|key| key.contains(id)).count();
        assert_eq!(stored, objects, "{code}");
    }
    let whole = rows(&written)
        .iter()
        .filter(|row| row["outcome"] == "stored")
        .count();
    assert!(whole > 20, "{whole}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulated_bucket_can_be_written_to_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    let ran = run_program(&["simulate", "--push", &path, "--conversations", "20"]).await;
    assert!(ran.status.success(), "{ran:?}");
    let organization = Organization::new(Settings {
        conversations: 20,
        ..Settings::default()
    });
    let pushed: BTreeMap<String, Vec<u8>> = Push::new(&organization)
        .objects()
        .map(|object| (object.key, object.body.to_vec()))
        .collect();
    assert!(files(folder.path()) == pushed && pushed.len() > 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_may_have_everything_below_a_prefix() {
    let server = Server::start(Ways::default()).await;
    let harness = Harness::start(Settings {
        conversations: 10,
        ..Settings::default()
    })
    .await;
    let push = Push::new(harness.organization());
    for object in push.objects() {
        server.place(&format!("from/genesys/{}", object.key), &object.body);
    }
    let mut config = config(&harness, &server.url, &push.organization_id());
    config["sources"]["calls"]["options"]["prefix"] = json!("from/genesys");
    let summary = export(config).await;
    assert!(summary.conversations > 5 && summary.losses.is_empty());
}
