//! The page beside a run: what it shows is what the run tells, and the archive as it grows.

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::process::Command;

use super::{
    archives::{is_heard, known},
    driver::Browser,
    links,
};
use crate::{
    encryption::{Pair, encrypting},
    running::Running,
    support::{Harness, filed, files, in_time, program},
};

/// An export without an end of a contact center of a day, and the address of the page beside it.
async fn followed(conversations: u64, more: &[&str]) -> (Harness, Running, String) {
    let harness = Harness::of_a_day(conversations, 60.0).await;
    let (run, url) = beside(&harness, endless(harness.config()), more).await;
    (harness, run, url)
}

/// A configuration of an export without an end.
fn endless(mut config: Value) -> Value {
    config["sources"]["calls"]["options"]["interval"] = json!("2026-01-05/..");
    config
}

/// A run of a configuration, and the address of the page beside it.
async fn beside(harness: &Harness, config: Value, more: &[&str]) -> (Running, String) {
    let path = harness.write(&config).display().to_string();
    let arguments = ["run", "--follow", "--config", &path, "--ui", "127.0.0.1:0"];
    let mut run = Running::start(harness, &[&arguments[..], more].concat());
    let url = address(&run.until("open http://").await);
    (run, url)
}

/// The address in a line that names it.
pub(super) fn address(line: &str) -> String {
    let from = line.find("http://").unwrap();
    let url = line[from..].split_whitespace().next().unwrap();
    url.trim_end_matches('/').to_owned()
}

/// A part of the overview, or all of it.
async fn part(url: &str, name: &str) -> String {
    let request = Client::new().get(format!("{url}/")).header("x-part", name);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer.text().await.unwrap()
}

/// Waits for a part of the overview that is as it should be.
async fn part_with(url: &str, name: &str, is_there: impl Fn(&str) -> bool) -> String {
    in_time(async {
        loop {
            let text = part(url, name).await;
            if is_there(&text) {
                return text;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    })
    .await
}

async fn control(harness: &Harness, command: &str) -> String {
    let folder = harness.folder.path().join("data").display().to_string();
    let ran = harness
        .run_program(&["control", command, "--data-dir", &folder])
        .await;
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    String::from_utf8(ran.stdout).unwrap()
}

/// The number in the row of a table that begins with this word.
fn row(text: &str, word: &str) -> u64 {
    let row = text.split(&format!("<th scope=\"row\">{word}</th>")).nth(1);
    let row = row.unwrap_or_else(|| panic!("{word} is not in {text}"));
    let cell = row.split("<td class=\"num\">").nth(1).unwrap();
    let number = cell.split('<').next().unwrap().replace(',', "");
    number.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_beside_a_run_shows_what_the_run_tells_and_the_archive_as_it_grows() {
    // Long: one scenario, told in its order.
    let (harness, run, url) = followed(300, &[]).await;
    // Meanwhile none is counted twice, also while small segments become larger ones.
    part_with(&url, "live", |text| {
        let stages = ["Found", "Fetched", "Stored", "In receipts"].map(|word| row(text, word));
        assert!(stages.is_sorted_by(|more, less| more >= less), "{stages:?}");
        stages[3] == 300
    })
    .await;
    control(&harness, "pause").await;
    let live = part_with(&url, "live", |text| text.contains("the run is paused")).await;
    let told: Value = serde_json::from_str(&control(&harness, "status").await).unwrap();
    let told = &told["sources"]["calls"];
    for (word, name) in [
        ("Found", "conversations"),
        ("Fetched", "fetched"),
        ("Stored", "stored"),
    ] {
        assert_eq!(json!(row(&live, word)), told["progress"][name], "{word}");
    }
    assert_eq!(
        json!(row(&live, "lake")),
        told["backlog"]["artifacts"]["lake"]
    );
    let allowed = &told["backlog"]["requests_allowed"];
    let limit = format!(", of {allowed}\"");
    assert!(
        live.contains("Requests in the vendor's minute: now ") && live.contains(&limit),
        "{live}"
    );
    assert!(!live.contains("0 bytes stored"), "{live}");
    assert!(
        live.contains("Throughput: now ") && live.contains("<polyline"),
        "{live}"
    );

    // Each loss of the run is in the archive, in the list behind its code.
    assert_eq!(filed(&harness.output()), 300);
    let shown = "<dt>Conversations</dt><dd>300</dd>";
    part_with(&url, "figures", |text| text.contains(shown)).await;
    let codes: Vec<&str> = live.split("href=\"/losses/").skip(1).collect();
    assert!(!codes.is_empty(), "{live}");
    for code in codes {
        let code = code.split('"').next().unwrap();
        let list = reqwest::get(format!("{url}/losses/{code}")).await.unwrap();
        assert!(!links(&list.text().await.unwrap()).is_empty(), "{code}");
    }

    // What is still to come of a day is not said to be never searched, and what is outside of the interval is.
    let figures = part_with(&url, "figures", |text| text.contains(shown)).await;
    assert!(figures.contains("being exported"), "{figures}");
    assert!(
        figures.contains("Sun 4 Jan 2026: never searched"),
        "{figures}"
    );
    for (day, expected) in [
        ("2026-01-04", "never searched"),
        ("2099-01-04", "being exported, nothing filed yet"),
    ] {
        let list = reqwest::get(format!("{url}/day/{day}")).await.unwrap();
        let list = list.text().await.unwrap();
        assert!(list.contains(expected), "{day}: {list}");
    }

    // It has an index and a log of its own, which nobody else can read, and it ends with the run.
    let folder = harness.folder.path().join("data/page");
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&folder).unwrap());
    assert_eq!(mode & 0o777, 0o700);
    assert!(folder.join("access.jsonl").exists());
    control(&harness, "resume").await;
    run.signal("-TERM").await;
    let (code, _, lines) = run.end().await;
    assert_eq!(code, Some(0), "{lines:#?}");
    assert!(reqwest::get(&url).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_encrypted_is_shown_with_the_identity_and_leaves_no_text_on_the_disk() {
    let harness = Harness::of_a_day(60, 60.0).await;
    let row = known(&harness).await;
    let pair = Pair::new(harness.folder.path(), "identity");
    let config = encrypting(endless(harness.config()), &[&pair]);
    let identity = ["--ui-identity", pair.path.to_str().unwrap()];
    let (run, url) = beside(&harness, config.clone(), &identity).await;
    let shown = "<dt>Conversations</dt><dd>60</dd>";
    part_with(&url, "figures", |text| text.contains(shown)).await;
    is_heard(&url, &row).await;
    let folder = harness.folder.path().join("data/page");
    let left = files(&folder);
    assert_eq!(left.keys().collect::<Vec<_>>(), ["access.jsonl"]);
    run.signal("-TERM").await;
    let (code, _, lines) = run.end().await;
    assert_eq!(code, Some(0), "{lines:#?}");

    // Without it, rows are named as not readable, and nobody's name is in the index.
    let (run, url) = beside(&harness, config, &[]).await;
    let named = part_with(&url, "figures", |text| text.contains("Not readable")).await;
    assert!(named.contains("beside a run by --ui-identity"), "{named}");
    let agent = row["agents"][0]["id"].as_str().unwrap();
    let left = files(&folder);
    assert!(left.len() > 1, "{:?}", left.keys());
    for (name, data) in left {
        let has = data
            .windows(agent.len())
            .any(|part| part == agent.as_bytes());
        assert!(!has, "{name} has an agent");
    }
    drop((harness, run));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_the_sink_of_the_configuration_that_was_reloaded() {
    let (harness, mut run, url) = followed(60, &[]).await;
    let shown = "<dt>Conversations</dt><dd>60</dd>";
    part_with(&url, "figures", |text| {
        text.contains(shown) && text.contains("lake of ")
    })
    .await;
    let path = |name: &str| harness.folder.path().join(name);
    let mut config = endless(harness.config());
    config["sinks"] = json!({ "sea": { "type": "filesystem", "path": path("sea") } });
    harness.write(&config);
    control(&harness, "reload").await;
    // What the sink is given from now on is seen, too.
    part_with(&url, "figures", |text| {
        text.contains(shown) && text.contains("sea of ")
    })
    .await;
    assert_eq!(filed(&path("sea")), 60);
    let live = part(&url, "live").await;
    row(&live, "sea");
    assert!(!live.contains("lake"), "{live}");

    // One that cannot tell which sink to show keeps that of before, and the run continues.
    config["sinks"]["pond"] = json!({ "type": "filesystem", "path": path("pond") });
    harness.write(&config);
    control(&harness, "reload").await;
    let warned = run.until("the page shows the archive of before").await;
    assert!(
        warned.contains("choose one by --ui-sink: pond, sea"),
        "{warned}"
    );
    part_with(&url, "live", |text| text.contains(">pond</th>")).await;
    let figures = part(&url, "figures").await;
    assert!(figures.contains("sea of ") && figures.contains(shown));
    drop((harness, run));
}

/// An archive that moves, while the sink keeps its name.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_was_moved_is_shown_where_it_is_now() {
    let (harness, mut run, url) = followed(60, &[]).await;
    let shown = "<dt>Conversations</dt><dd>60</dd>";
    part_with(&url, "figures", |text| text.contains(shown)).await;
    let moved = harness.folder.path().join("moved");
    std::fs::rename(harness.output(), &moved).unwrap();
    let mut config = endless(harness.config());
    config["sinks"]["lake"]["path"] = json!(moved);
    harness.write(&config);
    control(&harness, "reload").await;
    run.until("reloading").await;
    // A recording can only be heard from where the archive is now.
    let list = Client::new().post(format!("{url}/recordings"));
    let list = list.body("outcome=stored").send().await.unwrap();
    let link = links(&list.text().await.unwrap()).remove(0);
    let media = format!("{url}{}", link.replacen("/r/", "/media/", 1));
    in_time(async {
        while reqwest::get(&media).await.unwrap().status() != StatusCode::OK {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    })
    .await;
    part_with(&url, "figures", |text| text.contains(shown)).await;
    drop((harness, run));
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_see_no_run() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    std::fs::write(&tokens, "ada 0123456789abcdef0123\n").unwrap();
    let more = ["--ui-tokens", tokens.to_str().unwrap()];
    let (harness, run, url) = followed(10, &more).await;
    let client = Client::builder().redirect(reqwest::redirect::Policy::none());
    let client = client.build().unwrap();
    for name in ["live", "figures"] {
        let request = client.get(format!("{url}/")).header("x-part", name);
        assert_eq!(
            request.send().await.unwrap().status(),
            StatusCode::SEE_OTHER
        );
    }
    let entering = client
        .post(format!("{url}/enter"))
        .body("token=0123456789abcdef0123");
    let entered = entering.send().await.unwrap();
    let cookie = entered.headers()["set-cookie"].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let request = client.get(format!("{url}/")).header("cookie", cookie);
    let shown = request.send().await.unwrap().text().await.unwrap();
    assert!(shown.contains("This run"), "{shown}");
    drop((harness, run));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_cannot_be_is_refused_before_the_run_begins() {
    let harness = Harness::of_a_day(5, 60.0).await;
    let mut config = harness.config();
    let path = harness.write(&config).display().to_string();
    let refused = async |more: &[&str], told: &str| {
        let arguments = ["run", "--config", &path];
        let ran = harness.run_program(&[&arguments[..], more].concat()).await;
        assert_eq!(ran.status.code(), Some(2), "{ran:?}");
        let said = String::from_utf8(ran.stderr).unwrap();
        assert!(said.contains(told), "{said}");
        assert!(!harness.output().join("receipts").exists());
    };
    refused(&["--ui", "0.0.0.0:0"], "--ui-tokens FILE").await;
    refused(&["--ui-sink", "lake"], "--ui").await;
    refused(
        &["--ui", "127.0.0.1:0", "--ui-sink", "sea"],
        "no such sink that can be read",
    )
    .await;
    config["sinks"]["second"] =
        json!({ "type": "filesystem", "path": harness.folder.path().join("second") });
    harness.write(&config);
    refused(
        &["--ui", "127.0.0.1:0"],
        "choose one by --ui-sink: lake, second",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_is_looked_at_until_it_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Command::from(program())
        .args([
            "demo",
            "--conversations",
            "30",
            "--ui",
            "127.0.0.1:0",
            "--output",
        ])
        .arg(folder.path().join("out"))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let stdout = tokio::io::BufReader::new(demo.stdout.take().unwrap());
    let mut lines = tokio::io::AsyncBufReadExt::lines(stdout);
    let url = in_time(async {
        loop {
            let line = lines.next_line().await.unwrap().unwrap();
            if line.starts_with("open http://") {
                return address(&line);
            }
        }
    });
    let url = url.await;
    let shown = "<dt>Conversations</dt><dd>30</dd>";
    part_with(&url, "figures", |text| text.contains(shown)).await;
    let live = part(&url, "live").await;
    assert!(
        live.contains("data-state=\"ended\"") && !live.contains("now "),
        "{live}"
    );
    let id = demo.id().unwrap().to_string();
    let sent = Command::new("kill").args(["-INT", &id]).status().await;
    assert!(sent.unwrap().success());
    let code = in_time(demo.wait()).await.unwrap().code();
    assert!(matches!(code, Some(0 | 3)), "{code:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: tests/run"]
async fn a_run_is_watched_in_a_browser_without_loading_anew() {
    let (harness, run, url) = followed(300, &[]).await;
    let browser = Browser::start().await;
    browser.open(&url).await;
    browser
        .until("document.documentElement.dataset.ready")
        .await;
    browser.script("window.same = true").await;
    browser
        .until("document.querySelector('#figures .kpi dd')?.textContent === '300'")
        .await;
    // Focus stays where it is, though everything around it is new.
    browser
        .script("document.querySelector('#live [href^=\"/losses/\"]').focus(); window.old = document.querySelector('#live')")
        .await;
    browser
        .until("document.querySelector('#live') !== old")
        .await;
    browser
        .until("document.activeElement.matches('#live [href^=\"/losses/\"]')")
        .await;
    control(&harness, "pause").await;
    browser
        .until("document.querySelector('#live').dataset.state === 'paused' && document.querySelector('#say').textContent.includes('paused')")
        .await;
    assert_eq!(browser.script("return window.same").await, json!(true));
    browser.suits_each_scheme_and_width().await;
    browser
        .script("document.querySelector('#live [href^=\"/losses/\"]').focus()")
        .await;
    browser.keys("\u{e007}").await;
    browser
        .until("location.pathname.startsWith('/losses/') && document.querySelector('a.open')")
        .await;
    browser.end().await;
    drop((harness, run));
}
