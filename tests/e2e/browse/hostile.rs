//! Hostile archives: names, texts and media do nothing but show as text, and cost no more than they should.

use std::{collections::BTreeMap, path::Path};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::{Served, archive, driver::Browser, files};
use crate::support::Harness;

/// A name that is a script wherever a page does not take it for text.
const NAME: &str = "<script>window.hacked=1</script><img src=x onerror=hacked=1>\"'><b onfocus=hacked=1 autofocus>";
/// The length of a chat that is too long to be shown.
const LONG: usize = 10 << 20;

/// A WAV whose header says all this of ten bytes.
fn wav(channels: u16, rate: u32, bits: u16, length: u32) -> Vec<u8> {
    let mut file = b"RIFF".to_vec();
    file.extend(length.to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0");
    file.extend(channels.to_le_bytes());
    file.extend(rate.to_le_bytes());
    file.extend(rate.wrapping_mul(2).to_le_bytes());
    file.extend(2u16.to_le_bytes());
    file.extend(bits.to_le_bytes());
    file.extend(b"data");
    file.extend(length.to_le_bytes());
    file.extend([1; 10]);
    file
}

/// What recordings become: their types as announced, and what is in them.
fn contents() -> Vec<(String, Vec<u8>)> {
    let chat = NAME.repeat(LONG / NAME.len());
    let image = b"<svg xmlns='http://www.w3.org/2000/svg' onload='hacked=1'/>";
    let mail = format!("Subject: {NAME}\nContent-Type: text/html\n\n{NAME}");
    [
        ("text/html", chat.into_bytes()),
        ("image/svg+xml", image.to_vec()),
        ("message/rfc822", mail.into_bytes()),
        (
            "text/plain\r\nset-cookie: hacked=1",
            NAME.as_bytes().to_vec(),
        ),
        (NAME, NAME.as_bytes().to_vec()),
        ("audio/wav", wav(2, 8000, 16, u32::MAX)),
        ("audio/wav", wav(u16::MAX, 8000, 16, 10)),
        ("audio/wav", wav(1, u32::MAX, 16, 10)),
        ("audio/wav", wav(0, 0, 0, 0)),
        ("audio/wav", Vec::new()),
        ("audio/ogg", NAME.as_bytes().to_vec()),
        ("video/webm", NAME.as_bytes().to_vec()),
    ]
    .map(|(kind, content)| (kind.to_owned(), content))
    .into()
}

/// An archive with hostile names everywhere, and the ids of the conversations that have each content.
async fn hostile() -> (Harness, BTreeMap<usize, String>) {
    let harness = archive().await;
    let mut contents = contents().into_iter().enumerate();
    let mut ids = BTreeMap::new();
    let named = json!([{ "id": NAME, "name": NAME }]);
    for file in files(&harness.output().join("metadata")) {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut rows = String::new();
        for line in text.lines() {
            let mut row: Value = serde_json::from_str(line).unwrap();
            for list in ["agents", "queues", "wrap_up_codes"] {
                row[list] = named.clone();
            }
            for list in ["tags", "divisions", "media_types"] {
                row[list] = json!([NAME]);
            }
            for field in ["ani", "dnis", "direction"] {
                row[field] = json!(NAME);
            }
            if row["outcome"] == "failed" {
                row["reason"] = json!(NAME);
            }
            row["attributes"] = json!({ NAME: NAME });
            let first =
                row["object_key"] != "" && !ids.values().any(|id| row["conversation_id"] == *id);
            if first && let Some((at, (kind, content))) = contents.next() {
                let key = row["object_key"].as_str().unwrap();
                std::fs::write(harness.output().join(key), &content).unwrap();
                row["content_type"] = json!(kind);
                row["size_bytes"] = json!(content.len());
                ids.insert(at, row["conversation_id"].as_str().unwrap().to_owned());
            }
            rows.push_str(&format!("{row}\n"));
        }
        std::fs::write(file, rows).unwrap();
    }
    assert!(contents.next().is_none(), "there are too few recordings");
    (harness, ids)
}

/// The resident memory of a process, at its peak, in megabytes.
fn most_memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse::<u64>()
        .unwrap()
        / 1000
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_content_shows_as_text_and_costs_no_memory() {
    let (harness, ids) = hostile().await;
    let served = Served::start(&harness.output(), &cache(&harness), &[]);
    let before = most_memory(served.child.id());
    let client = Client::new();
    for (at, (kind, content)) in contents().iter().enumerate() {
        let id = &ids[&at];
        let page = served.get(&format!("/r/{id}/0")).await;
        // What is shown of a text is cut, and the rest of the page is small.
        assert!(page.len() < 800_000, "{kind}: {}", page.len());
        for tag in ["<script>window", "<img", "<b onfocus", "<svg xmlns"] {
            assert!(!page.contains(tag), "{kind}: {tag}");
        }
        assert!(
            page.contains("&lt;script&gt;window.hacked=1&lt;/script&gt;"),
            "{kind}"
        );
        let download = client.get(format!("{}/download/{id}/0", served.url));
        let download = download.send().await.unwrap();
        let header = |name: &str| download.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "application/octet-stream", "{kind}");
        assert!(
            header("content-disposition").starts_with("attachment"),
            "{kind}"
        );
        assert!(!download.headers().contains_key("set-cookie"), "{kind}");
        assert!(download.bytes().await.unwrap() == content, "{kind}");
        // What is played is of a type that has no script, and what is not is not served as it is.
        let media = client.get(format!("{}/media/{id}/0", served.url));
        let media = media.send().await.unwrap();
        match &kind[..5] {
            "audio" | "video" => assert_eq!(media.headers()["content-type"], kind.as_str()),
            _ => assert_eq!(media.status(), StatusCode::NOT_FOUND, "{kind}"),
        }
        // There is a waveform of it, or there is none: in both cases eventually, and small.
        let peaks = client.get(format!("{}/peaks/{id}/0", served.url));
        let peaks = peaks.send().await.unwrap();
        assert!(peaks.status().is_success(), "{kind}: {}", peaks.status());
        let peaks = peaks.bytes().await.unwrap();
        assert!(peaks.len() <= 255 * 1200 + 1, "{kind}: {}", peaks.len());
    }
    for (path, form) in [("/", None), ("/recordings", Some("q=script"))] {
        let page = match form {
            None => served.get(path).await,
            Some(form) => served.post(path, form).await,
        };
        assert!(
            !page.contains("<script>window") && !page.contains("<img"),
            "{path}"
        );
    }
    let grown = most_memory(served.child.id()) - before;
    assert!(grown < 60, "{grown} MB more than before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_shorter_than_its_row_says_breaks_off() {
    let (harness, ids) = hostile().await;
    let served = Served::start(&harness.output(), &cache(&harness), &[]);
    let url = format!("{}/media/{}/0", served.url, ids[&10]);
    let ranged = async |range: &str| {
        let request = Client::new().get(&url).header("range", range);
        request.send().await
    };
    let whole = ranged("bytes=0-").await.unwrap().bytes().await.unwrap();
    for file in files(&harness.output()) {
        if std::fs::read(&file).unwrap() == whole
            && file.extension().is_some_and(|ext| ext == "ogg")
        {
            std::fs::write(&file, &whole[..20]).unwrap();
        }
    }
    let cut = ranged("bytes=0-").await;
    let broken = match cut {
        Err(_) => true,
        Ok(answer) => answer.bytes().await.is_err(),
    };
    assert!(broken, "the browser takes a part of the file for all of it");
    assert!(served.get("/").await.contains("Overview"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: tests/run"]
async fn hostile_content_does_nothing_in_a_browser() {
    let (harness, ids) = hostile().await;
    let served = Served::start(&harness.output(), &cache(&harness), &[]);
    let browser = Browser::start().await;
    let opened = async |path: &str| {
        browser.open(&format!("{}{path}", served.url)).await;
        browser
            .until("document.documentElement.dataset.ready")
            .await;
        let hacked = browser.script("return window.hacked ?? null").await;
        assert_eq!(hacked, Value::Null, "{path}");
    };
    for path in ["/", "/recordings"] {
        opened(path).await;
    }
    for (at, (kind, _)) in contents().iter().enumerate() {
        opened(&format!("/r/{}/0", ids[&at])).await;
        if kind.starts_with("audio/") {
            browser.click("[data-p=play]").await;
            browser
                .until(
                    "document.querySelector('audio').ended || document.querySelector('audio').currentTime > 0
                     || document.querySelector('#say').textContent.includes('download it instead')",
                )
                .await;
        }
    }
    browser.end().await;
}

fn cache(harness: &Harness) -> std::path::PathBuf {
    let folder: &Path = harness.folder.path();
    folder.join("cache")
}
