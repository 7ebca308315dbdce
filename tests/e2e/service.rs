//! A service manager is told by systemd's protocol that the program is ready, alive and about to end.

use std::{os::unix::net::UnixDatagram, time::Duration};

use genesys_simulator::Settings;

use crate::{observe::Running, support::Harness};

/// The next message, or none within a time.
fn next(socket: &UnixDatagram, within: Duration) -> Option<String> {
    socket.set_read_timeout(Some(within)).unwrap();
    let mut message = [0; 4096];
    let length = socket.recv(&mut message).ok()?;
    Some(String::from_utf8(message[..length].to_vec()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_comes_first_then_the_watchdog_is_fed_and_the_end_is_told() {
    let settings = Settings {
        conversations: 20,
        days: 1,
        clock_start: Some("2026-01-06T00:00:00Z".parse().unwrap()),
        ..Settings::default()
    };
    let harness = Harness::fast(settings, 1500.0).await;
    let path = harness.folder.path().join("notify.socket");
    let socket = UnixDatagram::bind(&path).unwrap();
    let environment = [
        ("NOTIFY_SOCKET", path.display().to_string()),
        ("WATCHDOG_USEC", "400000".to_owned()),
    ];
    let running = Running::follow_as(&harness, harness.config(), &[], &environment).await;
    let minute = Duration::from_secs(60);
    assert_eq!(next(&socket, minute).as_deref(), Some("READY=1\n"));
    for _ in 0..3 {
        assert_eq!(next(&socket, minute).as_deref(), Some("WATCHDOG=1\n"));
    }
    let (code, lines) = running.stop().await;
    assert_eq!(code, Some(0), "{lines:?}");
    let mut rest = Vec::new();
    while let Some(message) = next(&socket, Duration::from_millis(1)) {
        rest.push(message);
    }
    assert_eq!(
        rest.iter()
            .filter(|message| *message == "STOPPING=1\n")
            .count(),
        1,
        "{rest:?}"
    );
}
