//! A vendor's API that answers amiss: what passes is asked again, what stays is named, and nothing of it
//! reaches a terminal as it came.

use std::{
    io::Write,
    sync::atomic::{AtomicU64, Ordering},
};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use super::cloud::{Answer, Ask, Cloud, Recording, id, row};

/// A name that would clear a terminal, forge a line and turn the text around.
const HOSTILE: &str = "\u{1b}[2J\u{1b}[31mhacked\nerror: all is lost\r\u{202e}\u{9b}0m";

fn two() -> Vec<(Value, Vec<Recording>)> {
    [1, 2].map(|n| (row(n), vec![Recording::call(n, 0)])).into()
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// An answer to a search that is none, by its name.
fn amiss(name: &str) -> Option<Answer> {
    let plain = |body: Vec<u8>| Answer::new(200, "application/json", body);
    let text = |body: &str| Answer::new(200, "application/json", body.to_owned());
    match name {
        "longer than any answer" => plain(vec![b' '; 17 << 20]),
        "a compressed bomb" => plain(gzip(&vec![b' '; 64 << 20]))
            .map(|answer| answer.header("content-encoding", "gzip")),
        "a coding that is none" => {
            text("{}").map(|answer| answer.header("content-encoding", "gzip"))
        }
        "a number that is none" => text("{\"conversations\":[],\"totalHits\":NaN}"),
        "nothing" => text(""),
        "a list" => text("[]"),
        "UTF-16" => plain(
            "{\"conversations\":[]}"
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect(),
        ),
        "a busy server" => Answer::new(503, "text/plain", "busy"),
        "a pause of ages" => Answer::new(429, "application/json", "{}")
            .map(|answer| answer.header("retry-after", "99999999999999999999")),
        "a pause before now" => Answer::new(429, "application/json", "{}")
            .map(|answer| answer.header("retry-after", "-1")),
        "a redirect to a cloud's metadata" => Answer::new(302, "text/plain", "")
            .map(|answer| answer.header("location", "http://169.254.169.254/latest/hush")),
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_none_is_asked_for_again_and_costs_nothing() {
    for name in [
        "longer than any answer",
        "a compressed bomb",
        "a coding that is none",
        "a number that is none",
        "nothing",
        "a list",
        "UTF-16",
        "a busy server",
        "a pause of ages",
        "a pause before now",
        "a redirect to a cloud's metadata",
    ] {
        let asked = AtomicU64::new(0);
        let cloud = Cloud::start(two(), move |ask| match ask {
            Ask::Page(_) if asked.fetch_add(1, Ordering::Relaxed) == 0 => amiss(name),
            _ => None,
        })
        .await;
        let exported = cloud.run().await;
        assert_eq!(exported.stored(), 2, "{name}: {exported:?}");
        assert!(cloud.asked("page") >= 2, "{name}: {exported:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_comes_compressed_is_stored_as_it_is_and_one_that_cannot_be_read_is_named()
{
    let compressed = Cloud::start(two(), |ask| match ask {
        Ask::Media(asked) => {
            let number = if asked.contains("00000001/") { 1 } else { 2 };
            Answer::new(200, "audio/wav", gzip(&Recording::call(number, 0).body))
                .map(|answer| answer.header("content-encoding", "gzip"))
        }
        _ => None,
    })
    .await;
    compressed.run().await.complete(2);
    let plain = Cloud::honest(two()).await;
    plain.run().await.complete(2);
    let media = |cloud: &Cloud| {
        let mut files = cloud.files();
        files.retain(|key, _| key.starts_with("recordings/"));
        files
    };
    assert_eq!(media(&compressed), media(&plain));

    let cloud = Cloud::start(two(), |ask| match ask {
        Ask::Media(asked) if asked.contains("00000001/") => {
            Answer::new(200, "audio/wav", "what is this?")
                .map(|answer| answer.header("content-encoding", "br"))
        }
        _ => None,
    })
    .await;
    let exported = cloud.run().await;
    assert_eq!(exported.stored(), 1, "{exported:?}");
    let told = exported.loss(1, "download");
    assert!(told.contains("the content coding `br`"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_and_cookies_without_end_are_not_taken() {
    for name in ["x-more", "set-cookie"] {
        let asked = AtomicU64::new(0);
        let cloud = Cloud::start(two(), move |ask| match ask {
            Ask::Page(page) if asked.fetch_add(1, Ordering::Relaxed) == 0 => {
                let many = |answer: Answer, number| {
                    answer.header(name, &format!("c{number}={}", "y".repeat(4000)))
                };
                Answer::json(&page).map(|answer| (0..300).fold(answer, many))
            }
            _ => None,
        })
        .await;
        let exported = cloud.run().await;
        exported.complete(2);
        assert!(cloud.asked("page") >= 2, "{name}: {exported:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_element_that_is_none_is_counted_and_found_when_it_is_one_again() {
    let asked = AtomicU64::new(0);
    let cloud = Cloud::start(two(), move |ask| match ask {
        Ask::Page(_) if asked.fetch_add(1, Ordering::Relaxed) == 0 => {
            let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
            let page = format!("{{\"conversations\":{open}{close}}}");
            Answer::new(200, "application/json", page)
        }
        _ => None,
    })
    .await;
    let ran = cloud.command("run", &[]).await;
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert_eq!(ran.json["sources"]["calls"]["miscounted"][0]["source"], 1);
    let exported = cloud.run_with(&["--search-again"]).await;
    assert_eq!(exported.stored(), 2, "{exported:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_counts_that_are_out_of_bounds_stop_nobody() {
    for (name, value) in [
        ("inin-ratelimit-reset", "4294967295"),
        ("inin-ratelimit-allowed", "0"),
        ("inin-ratelimit-count", "18446744073709551615"),
    ] {
        let cloud = Cloud::start(two(), move |ask| match ask {
            Ask::Page(page) => Answer::json(&page).map(|answer| answer.header(name, value)),
            _ => None,
        })
        .await;
        cloud.run().await.complete(2);
    }
    for hits in [json!(-1), json!(1e300), json!(u64::MAX), json!("many")] {
        let told = hits.clone();
        let cloud = Cloud::start(two(), move |ask| match ask {
            Ask::Page(mut page) => {
                page["totalHits"] = told.clone();
                Answer::json(&page)
            }
            _ => None,
        })
        .await;
        let exported = cloud.run().await;
        assert_eq!(exported.stored(), 2, "{hits}: {exported:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_any_form_is_taken_or_named() {
    for (field, value, taken) in [
        ("expires_in", json!(-5), true),
        ("expires_in", json!("3600"), true),
        ("expires_in", json!([3600]), true),
        ("access_token", json!("a\r\nX-Injected: 1"), false),
        ("access_token", json!({ "hush": 1 }), false),
    ] {
        let told = value.clone();
        let cloud = Cloud::start(two(), move |ask| match ask {
            Ask::Token(asked, mut token) if taken || asked == 1 => {
                token[field] = told.clone();
                Answer::json(&token)
            }
            _ => None,
        })
        .await;
        let exported = cloud.run().await;
        assert_eq!(exported.stored(), 2, "{value}: {exported:?}");
        assert!(!exported.said.contains("X-Injected"), "{exported:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_says_never_steers_a_terminal() {
    // The words of a refusal, and those of the rows: names, queues, codes.
    let cloud = Cloud::start(two(), |ask| match ask {
        Ask::Token(..) => {
            let refusal = json!({ "error": HOSTILE, "error_description": HOSTILE.repeat(999) });
            Answer::new(400, "application/json", refusal.to_string())
        }
        _ => None,
    })
    .await;
    // No output of the program may hold a control character: `Cloud::command` looks.
    for command in ["check", "plan", "run"] {
        let ran = cloud.command(command, &[]).await;
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.said.len() < 20_000, "{} bytes", ran.said.len());
    }

    let mut odd = row(3);
    odd["participants"][0]["participantName"] = json!(HOSTILE);
    odd["participants"][0]["sessions"][0]["ani"] = json!(HOSTILE);
    odd["participants"][1]["userId"] = json!(HOSTILE);
    odd["participants"][1]["sessions"][0]["segments"][0]["queueId"] = json!(HOSTILE);
    odd["participants"][1]["sessions"][0]["segments"][0]["wrapUpCode"] = json!(HOSTILE);
    odd["divisionIds"] = json!([HOSTILE]);
    let mut named = row(4);
    named["conversationId"] = json!(HOSTILE);
    let mut all = two();
    all.push((odd, vec![Recording::call(3, 0)]));
    all.push((named, Vec::new()));
    let cloud = Cloud::start(all, |ask| match ask {
        Ask::Poll(_, mut state) => {
            for result in state["results"].as_array_mut().unwrap() {
                if result["conversationId"] == id(2) {
                    result["resultUrl"] = json!(null);
                    result["errorMsg"] = json!(HOSTILE);
                }
            }
            Answer::json(&state)
        }
        _ => None,
    })
    .await;
    let exported = cloud.run().await;
    assert!(exported.stored() >= 2, "{exported:?}");
    assert!(exported.losses.contains_key(&id(2)), "{exported:?}");
    for (command, more) in [
        ("run", &["--verbose"][..]),
        ("status", &["--losses"][..]),
        ("reconcile", &[]),
        ("verify", &["--full"]),
    ] {
        let told = cloud.spoken(command, more).await;
        let steers = told.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(steers, None, "{command}: {told:?}");
        assert!(!told.contains('\u{202e}'), "{command}: {told:?}");
        assert!(
            !told.contains("\nerror: all is lost"),
            "{command}: {told:?}"
        );
    }
}
