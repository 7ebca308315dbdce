//! Bytes that are no recording are not filed as one: what came is compared with what was announced.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::cloud::{Cloud, Recording, row, wav};

/// A server that answers each request with these bytes and ends the connection, which is all that
/// ends the body; returns its URL.
async fn ended_by_the_connection(content_type: &'static str, body: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let body = body.clone();
            tokio::spawn(async move {
                let mut asked = Vec::new();
                while !asked.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => asked.push(byte),
                        Err(_) => return,
                    }
                }
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\nconnection: close\r\n\r\n"
                );
                let mut answer = head.into_bytes();
                answer.extend(body);
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    url
}

/// A recording whose bytes are served as another type than is announced.
fn served(number: u32, announced: &'static str, as_type: &'static str, body: &[u8]) -> Recording {
    Recording {
        served: Some(as_type),
        ..Recording::new(number, 0, announced, body.to_vec())
    }
}

fn each(recordings: Vec<Recording>) -> Vec<(Value, Vec<Recording>)> {
    let numbered = recordings.into_iter().zip(1..);
    numbered
        .map(|(recording, number)| (row(number), vec![recording]))
        .collect()
}

/// The keys of what was kept aside.
fn aside(cloud: &Cloud) -> Vec<String> {
    let files = cloud.files().into_keys();
    files.filter(|key| key.starts_with("aside/")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_html_and_an_empty_body_are_no_recordings() {
    let page = b"<!DOCTYPE html><html><body>blocked</body></html>";
    let cloud = Cloud::honest(each(vec![
        served(1, "audio/wav", "audio/wav", b""),
        served(2, "audio/wav", "text/html; charset=utf-8", page),
        Recording::call(3, 0),
    ]));
    let cloud = cloud.await;
    let ran = cloud.run().await;
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert_eq!(
        ran.outcomes,
        [("failed".into(), 2), ("stored".into(), 1)].into()
    );
    ran.loss(1, "empty");
    let kept = aside(&cloud);
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(cloud.files()[&kept[0]], page);
    let message = ran.loss(2, "not-a-recording");
    assert!(message.contains("audio/wav"), "{message}");
    assert!(message.contains(&kept[0]), "{message}");
    assert_eq!(cloud.recordings().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_as_json_or_xml_and_headers_without_sound_are_no_recordings() {
    let json = br#"{"status":403,"code":"not.authorized","message":"no"}"#;
    let xml = b"<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code></Error>";
    let spaced = b"\r\n\r\n  <html>\n<head><title>502</title></head></html>";
    let cloud = Cloud::honest(each(vec![
        served(1, "audio/ogg", "application/json", json),
        served(2, "audio/wav", "application/octet-stream", xml),
        served(3, "audio/webm", "audio/webm", spaced),
        served(4, "audio/wav", "audio/wav", &wav(4)[..20]),
        served(5, "video/mp4", "application/json", json),
        Recording::call(6, 0),
    ]));
    let cloud = cloud.await;
    let ran = cloud.run().await;
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert_eq!(
        ran.outcomes,
        [("failed".into(), 5), ("stored".into(), 1)].into()
    );
    for number in 1..=5 {
        ran.loss(number, "not-a-recording");
    }
    assert_eq!(aside(&cloud).len(), 5);
    assert_eq!(cloud.recordings().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wav_that_is_shorter_than_it_tells_is_no_recording() {
    let whole = wav(1);
    let cut = whole[..whole.len() / 2].to_vec();
    let mut streamed = whole.clone();
    // Written as a stream, a WAV does not know its length.
    streamed[4..8].copy_from_slice(&[0xff; 4]);
    streamed[40..44].copy_from_slice(&[0xff; 4]);
    let mut recordings = Vec::new();
    let mut origins = Vec::new();
    for (number, body) in (1..).zip([cut, whole, streamed]) {
        let url = ended_by_the_connection("audio/wav", body).await;
        let mut recording = Recording::call(number, 0);
        recording.url = Some(format!("{url}/{number}.wav"));
        origins.push(url);
        recordings.push(recording);
    }
    let mut cloud = Cloud::honest(each(recordings)).await;
    cloud.options = json!({ "media_origins": origins });
    let ran = cloud.run().await;
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert_eq!(
        ran.outcomes,
        [("failed".into(), 1), ("stored".into(), 2)].into()
    );
    assert!(ran.losses.contains_key(&super::cloud::id(1)), "{ran:?}");
    assert_eq!(cloud.recordings().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_what_it_claims_to_be_is_stored_as_it_is() {
    let chat = br#"{"conversation":"x","messages":[{"from":"customer","text":"<html>"}]}"#;
    let mail = b"From: a@example.com\r\nContent-Type: text/html\r\n\r\n<html>Hello</html>";
    let screen = b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2\0\0\0\x08moov";
    let webm = b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04";
    let ogg = b"OggS\0\x02\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x01\x13OpusHead\x01\x01";
    let mp3 = b"ID3\x04\0\0\0\0\0\0\xff\xfb\x90\x64\0\0\0\0\0\0\0\0";
    let text = b"a transcript in plain text";
    let all = [
        ("application/json", "application/json", &chat[..]),
        ("message/rfc822", "message/rfc822", mail),
        ("text/html", "text/html", b"<html>a mail</html>"),
        ("video/mp4", "video/mp4", screen),
        ("video/webm", "binary/octet-stream", webm),
        ("audio/ogg", "audio/ogg", ogg),
        ("audio/mpeg", "audio/mpeg", mp3),
        ("text/plain", "text/plain; charset=utf-8", text),
        ("audio/wav", "audio/x-wav", &wav(9)),
    ];
    let recordings = (1..).zip(all).map(|(number, (announced, as_type, body))| {
        let recording = served(number, announced, as_type, body);
        (body.to_vec(), recording)
    });
    let (bodies, recordings): (Vec<Vec<u8>>, Vec<Recording>) = recordings.unzip();
    let cloud = Cloud::honest(each(recordings)).await;
    cloud.run().await.complete(all.len() as u64);
    let files = cloud.files();
    let mut stored: Vec<&Vec<u8>> = files
        .iter()
        .filter(|(key, _)| key.starts_with("recordings/"))
        .map(|(_, body)| body)
        .collect();
    let mut bodies: Vec<&Vec<u8>> = bodies.iter().collect();
    stored.sort();
    bodies.sort();
    assert_eq!(stored, bodies);
    assert_eq!(aside(&cloud), Vec::<String>::new());
}
