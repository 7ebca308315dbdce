use std::sync::atomic::{AtomicUsize, Ordering};

use recording_host_model::{
    ArtifactKey, Container, Download as Recipe, Origin, OriginRole, RecordingKey, Subscriber,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// A server that gives one answer after another, each on a connection of its own.
async fn serve(answers: Vec<String>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await.unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (origin, asked)
}

fn artifact(url: String, authenticated: bool) -> Artifact {
    Artifact {
        key: ArtifactKey::Recording(RecordingKey {
            conversation: "c".to_owned(),
            recording: "r".to_owned(),
            part: 0,
        }),
        download: Recipe {
            url,
            headers: Vec::new(),
            authenticated,
            expires: None,
        },
        content_type: None,
        container: Container::Single,
        size: None,
        sha256: None,
    }
}

fn downloads(origin: &str, role: OriginRole, clock: Clock) -> Downloads {
    let origins = [Origin {
        role,
        url: origin.to_owned(),
    }];
    let allow = AllowedOrigins::new(&origins, None, true);
    Downloads::new(allow, Arc::new(Authenticator::None), clock).unwrap()
}

/// The waits that were reported to it, in ms.
#[derive(Debug, Default)]
struct Waits(Mutex<Vec<u64>>);

impl Subscriber for Waits {
    fn on_event(&self, event: &Event) {
        if let Event::DownloadRetried { millis, .. } = event {
            self.0.lock().unwrap().push(*millis);
        }
    }
}

#[tokio::test]
async fn a_server_of_media_that_asks_for_time_gets_it() {
    let clock = Clock::new(1000.0);
    for (header, least, most) in [("90", 90_000, 90_000), ("86400", 300_000, 300_000)] {
        let busy = format!(
            "HTTP/1.1 503 Busy\r\nretry-after: {header}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        );
        let (origin, _) = serve(vec![busy]).await;
        let waits = Arc::new(Waits::default());
        let events = Events::default().with(Arc::clone(&waits) as Arc<dyn Subscriber>);
        let downloads = downloads(&origin, OriginRole::Media, clock).with_events(events);
        let artifact = artifact(format!("{origin}/a"), false);
        let error = downloads.begin(&artifact).await.unwrap_err();
        let DownloadError::Retryable { after, .. } = error else {
            panic!("{error}");
        };
        downloads.back_off(1, after).await;
        let waits = waits.0.lock().unwrap().clone();
        assert!(waits[0] >= least && waits[0] <= most, "{waits:?}");
        assert_eq!(downloads.backpressure(), 1);
    }
}

#[tokio::test]
async fn a_download_that_is_cut_resumes_if_the_server_can_and_only_then() {
    let head = "HTTP/1.1 200 OK\r\naccept-ranges: bytes\r\netag: \"tag\"\r\ncontent-length: 6\r\nconnection: close\r\n\r\nabc";
    let rest = "HTTP/1.1 206 Partial\r\ncontent-range: bytes 3-5/6\r\ncontent-length: 3\r\nconnection: close\r\n\r\ndef";
    let other = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nxx";
    let without = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nabc";
    for (answers, came, requests) in [
        (vec![head, rest], Some("abcdef"), 2),
        (vec![head, other], None, 2),
        (vec![without], None, 1),
    ] {
        let answers = answers.into_iter().map(str::to_owned).collect();
        let (origin, asked) = serve(answers).await;
        let downloads = downloads(&origin, OriginRole::Media, Clock::new(1000.0));
        let artifact = artifact(format!("{origin}/a"), false);
        let mut download = downloads.begin(&artifact).await.unwrap();
        let all = download.first(6).await;
        match came {
            Some(came) => assert_eq!(all.unwrap().unwrap(), came),
            None => assert!(
                matches!(all, Err(DownloadError::Retryable { .. })),
                "{all:?}"
            ),
        }
        assert_eq!(asked.load(Ordering::Relaxed), requests);
    }
}

#[tokio::test]
async fn links_lead_to_allowed_origins_and_credentials_to_those_of_the_api() {
    let clock = Clock::default();
    let media = downloads("http://127.0.0.1:1", OriginRole::Media, clock);
    for (url, authenticated) in [
        ("http://127.0.0.1:2/a", false),
        ("http://127.0.0.1:1/a", true),
    ] {
        let artifact = artifact(url.to_owned(), authenticated);
        let error = media.begin(&artifact).await.unwrap_err();
        assert!(
            matches!(error, DownloadError::Refused { .. }),
            "{url}: {error}"
        );
    }
}

#[tokio::test]
async fn a_header_that_is_the_hosts_alone_is_refused_before_anything_is_sent() {
    let (origin, asked) = serve(Vec::new()).await;
    let downloads = downloads(&origin, OriginRole::Media, Clock::new(1000.0));
    for name in [
        "Cookie",
        "Proxy-Authorization",
        "connection",
        "Transfer-Encoding",
        "X-Forwarded-For",
    ] {
        let mut artifact = artifact(format!("{origin}/x"), false);
        artifact.download.headers = vec![(name.to_owned(), "hush".to_owned())];
        let refused = downloads.begin(&artifact).await.err().unwrap();
        let text = refused.to_string();
        assert!(
            matches!(
                refused,
                DownloadError::Refused {
                    code: "bad-header",
                    ..
                }
            ),
            "{text}"
        );
        assert!(text.contains(name) && !text.contains("hush"), "{text}");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn the_md5_in_an_entity_tag_is_compared_if_that_is_asked_for() {
    let answer = |tag: &str| {
        format!(
            "HTTP/1.1 200 OK\r\netag: \"{tag}\"\r\ncontent-length: 6\r\nconnection: close\r\n\r\nabcdef"
        )
    };
    // The MD5 of `abcdef`, and that of something else.
    let (right, wrong) = (
        answer("e80b5017098950fc58aad83c8c14978e"),
        answer("d41d8cd98f00b204e9800998ecf8427e"),
    );
    for (checks, answer, whole) in [
        (true, &right, true),
        (true, &wrong, false),
        (false, &wrong, true),
    ] {
        let (origin, _) = serve(vec![answer.clone()]).await;
        let downloads =
            downloads(&origin, OriginRole::Media, Clock::new(1000.0)).check_etag(checks);
        let artifact = artifact(format!("{origin}/a"), false);
        let mut download = downloads.begin(&artifact).await.unwrap();
        let came = async {
            while download.next().await?.is_some() {}
            Ok::<_, DownloadError>(())
        };
        assert_eq!(came.await.is_ok(), whole, "{checks} {answer}");
    }
}
