//! Streams are made once, and what is wrong with servers and streams is named.

use std::time::Duration;

use recording_host_cluster::{ClusterError, Fleet, FleetSettings, Storage, StreamUse, Tls};
use tokio::{io::AsyncWriteExt, net::TcpListener};

use super::nats::{Servers, free_ports};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn streams_are_missing_until_they_are_made_and_differences_are_named() {
    let servers = Servers::start(1);
    let missing = Fleet::open(servers.settings("main")).await.unwrap_err();
    let text = missing.to_string();
    for stream in [
        "recording-host_main_work",
        "recording-host_main_reports",
        "recording-host_main_snapshots",
        "KV_recording-host_main_rate",
    ] {
        assert!(
            text.contains(&format!("the stream {stream} is missing")),
            "{text}"
        );
    }
    let fleet = servers.fleet("main").await;
    // Another time, nothing changes.
    fleet.init().await.unwrap();
    let fleet = Fleet::open(fleet.settings().clone()).await.unwrap();
    let streams = fleet.streams().await.unwrap();
    assert_eq!(
        streams.iter().map(|it| it.of).collect::<Vec<_>>(),
        StreamUse::ALL
    );
    assert!(
        streams
            .iter()
            .all(|it| it.messages == 0 && it.most_bytes > 0)
    );
    // A fleet of another name on the same servers has its own.
    assert!(matches!(
        Fleet::open(servers.settings("other")).await,
        Err(ClusterError::NotReady { .. })
    ));
    let mut larger = servers.settings("main");
    larger.storage.reports *= 2;
    let differs = Fleet::open(larger.clone()).await.unwrap_err().to_string();
    assert!(
        differs.contains("recording-host_main_reports has max_bytes 268435456 and not 536870912"),
        "{differs}"
    );
    Fleet::connect(larger.clone())
        .await
        .unwrap()
        .init()
        .await
        .unwrap();
    Fleet::open(larger).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn too_few_servers_and_too_little_room_are_named() {
    let servers = Servers::start(1);
    let init = async |settings: FleetSettings| {
        let fleet = Fleet::connect(settings).await.unwrap();
        fleet.init().await.unwrap_err()
    };
    let three = FleetSettings {
        replicas: 3,
        ..servers.settings("three")
    };
    let error = init(three).await;
    assert!(
        matches!(error, ClusterError::NoRoomForStream { replicas: 3, .. }),
        "{error}"
    );
    let storage = Storage {
        journal: 64 << 20,
        snapshots: 64 << 20,
        work: 64 << 20,
        reports: 1 << 50,
    };
    let error = init(FleetSettings {
        storage,
        ..servers.settings("large")
    })
    .await;
    assert!(
        matches!(&error, ClusterError::NoRoomForStream { stream, .. } if stream.ends_with("reports")),
        "{error}"
    );
    assert!(error.to_string().contains("max_file"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn three_servers_have_each_stream() {
    let servers = Servers::start(3);
    let fleet = servers.fleet("main").await;
    for _ in 0..100 {
        let streams = fleet.streams().await.unwrap();
        if streams
            .iter()
            .all(|it| it.current == 3 && it.replicas == 3 && it.leader.is_some())
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{:?}", fleet.streams().await);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn a_server_without_jetstream_is_named_with_what_to_do() {
    let servers = Servers::start_with(1, "");
    let error = Fleet::connect(servers.settings("main")).await.unwrap_err();
    assert!(
        matches!(&error, ClusterError::NoJetStream { server, .. } if server == "node-0"),
        "{error}"
    );
    assert!(error.to_string().contains("`jetstream` block"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn a_log_in_that_is_refused_is_named() {
    let servers = Servers::start_with(1, "authorization { token: hunter2 }");
    let error = Fleet::connect(servers.settings("main")).await.unwrap_err();
    assert!(matches!(error, ClusterError::LogIn { .. }), "{error}");
    assert!(error.to_string().contains("`credentials`"), "{error}");
}

/// A file of the tests.
fn fixture(name: &str) -> std::path::PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/tls");
    std::path::Path::new(folder).join(name)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn servers_and_nodes_show_each_other_certificates() {
    let file = |name: &str| format!("{:?}", fixture(name));
    let (certificate, key, nodes) = (file("cert.pem"), file("key.pem"), file("node.pem"));
    let servers = Servers::start_with(
        1,
        &format!(
            "jetstream {{ store_dir: STORE }}
             tls {{ cert_file: {certificate}, key_file: {key}, ca_file: {nodes}, verify: true }}"
        ),
    );
    let mut settings = servers.settings("main");
    settings.tls = Some(Tls {
        authorities: Some(fixture("ca.pem")),
        identity: Some((fixture("node.pem"), fixture("node-key.pem"))),
    });
    Fleet::connect(settings.clone()).await.unwrap();
    let refused = async |tls: Tls| {
        let settings = FleetSettings {
            tls: Some(tls),
            ..settings.clone()
        };
        let error = Fleet::connect(settings).await.unwrap_err();
        assert!(matches!(error, ClusterError::Unreachable { .. }), "{error}");
    };
    // A server does not talk to a node that it does not know, nor a node to such a server.
    let authorities = Some(fixture("ca.pem"));
    refused(Tls {
        authorities,
        identity: None,
    })
    .await;
    let identity = settings.tls.clone().and_then(|it| it.identity);
    refused(Tls {
        authorities: None,
        identity,
    })
    .await;
}

/// Answers one connection as a server that says this about itself.
async fn greeting(info: &'static str) -> FleetSettings {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let text = format!("INFO {info}\r\nPONG\r\n");
            connection.write_all(text.as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_secs(20)).await;
        }
    });
    FleetSettings::new(vec![format!("nats://127.0.0.1:{port}")], "main")
}

#[tokio::test]
async fn an_old_server_is_named_with_its_version() {
    let old = greeting(
        r#"{"server_id":"A","server_name":"attic","version":"2.10.29","host":"h","port":1,"max_payload":1048576,"proto":1,"go":"","headers":true}"#,
    );
    let error = Fleet::connect(old.await).await.unwrap_err().to_string();
    assert!(
        error.contains("attic") && error.contains("2.10.29") && error.contains("2.15"),
        "{error}"
    );
}

#[tokio::test]
async fn servers_that_are_not_there_are_named() {
    let port = free_ports(1)[0];
    let server = format!("nats://127.0.0.1:{port}");
    let error = Fleet::connect(FleetSettings::new(vec![server.clone()], "main")).await;
    let error = error.unwrap_err();
    assert!(
        matches!(&error, ClusterError::Unreachable { servers, .. } if *servers == server),
        "{error}"
    );
}

#[tokio::test]
async fn a_credentials_file_that_is_not_there_is_named() {
    let mut settings = FleetSettings::new(vec!["nats://127.0.0.1:1".to_owned()], "main");
    settings.credentials = Some("/nowhere/fleet.creds".into());
    let error = Fleet::connect(settings).await.unwrap_err().to_string();
    assert!(
        error.starts_with("cluster.credentials: /nowhere/fleet.creds"),
        "{error}"
    );
}
