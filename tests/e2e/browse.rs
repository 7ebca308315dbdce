//! `browse`: an archive is searched, heard and verified in a browser, and nothing in it does anything but show.

#[path = "browse/archives.rs"]
mod archives;
#[path = "browse/browser.rs"]
mod browser;
#[path = "browse/driver.rs"]
mod driver;
#[path = "browse/elsewhere.rs"]
mod elsewhere;
#[path = "browse/hostile.rs"]
mod hostile;
#[path = "browse/live.rs"]
mod live;
#[path = "browse/pictures.rs"]
mod pictures;
#[path = "browse/search.rs"]
mod search;

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use genesys_simulator::Settings;
use reqwest::{Client, StatusCode, redirect::Policy};
use serde_json::Value;

use crate::support::{Harness, export, program};

/// A page that is served until this is dropped.
pub(crate) struct Served {
    child: Child,
    pub(crate) url: String,
    cache: PathBuf,
    /// The lines that were printed before the address.
    said: Vec<String>,
}

impl Served {
    pub(crate) fn start(archive: &Path, cache: &Path, more: &[&str]) -> Self {
        let mut command = program();
        command.arg("browse").arg(archive).args(more);
        Served::by(command, cache)
    }

    /// The page of a command that names the archive.
    fn by(command: std::process::Command, cache: &Path) -> Self {
        Served::listening(command, "127.0.0.1:0", cache)
    }

    fn listening(mut command: std::process::Command, address: &str, cache: &Path) -> Self {
        let mut child = command
            .args(["--listen", address, "--cache"])
            .arg(cache)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        let mut said = Vec::new();
        let open = lines.find(|line| {
            said.push(line.clone());
            line.starts_with("open ")
        });
        let open = open.unwrap();
        let url = open.split(' ').nth(1).unwrap();
        Served {
            child,
            url: url.trim_end_matches('/').to_owned(),
            cache: cache.to_owned(),
            said,
        }
    }

    async fn get(&self, path: &str) -> String {
        let response = reqwest::get(format!("{}{path}", self.url)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.text().await.unwrap()
    }

    async fn post(&self, path: &str, form: &str) -> String {
        post(&self.url, path, form).await
    }
}

/// Sends a form to the page at an address.
async fn post(url: &str, path: &str, form: &str) -> String {
    let request = Client::new().post(format!("{url}{path}"));
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let response = request.body(form.to_owned()).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    response.text().await.unwrap()
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The rows of an archive as they lie in it.
fn rows(archive: &Path) -> Vec<Value> {
    let mut rows = Vec::new();
    for file in files(&archive.join("metadata")) {
        let text = std::fs::read_to_string(file).unwrap();
        rows.extend(text.lines().map(|line| serde_json::from_str(line).unwrap()));
    }
    rows
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(self::files(&path)),
            false => files.push(path),
        }
    }
    files
}

/// The links to recordings in a page.
fn links(page: &str) -> Vec<String> {
    let links = page.split("href=\"").skip(1);
    let links = links.filter_map(|rest| rest.split('"').next());
    let links = links.filter(|link| link.starts_with("/r/"));
    links.map(str::to_owned).collect()
}

pub(crate) async fn archive() -> Harness {
    let harness = Harness::start(Settings {
        conversations: 60,
        ..Settings::default()
    })
    .await;
    export(harness.config()).await;
    harness
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callers_recording_is_found_heard_and_verified() {
    let harness = archive().await;
    let cache = harness.folder.path().join("cache");
    let served = Served::start(&harness.output(), &cache, &[]);
    let rows = rows(&harness.output());
    let row = rows
        .iter()
        .find(|row| row["content_type"] == "audio/ogg" && row["ani"].is_string())
        .unwrap();
    let (id, ani) = (
        row["conversation_id"].as_str().unwrap(),
        row["ani"].as_str().unwrap(),
    );

    let found = served
        .post("/recordings", &format!("number={}&exact=1", digits(ani)))
        .await;
    let path = links(&found);
    let path = path
        .iter()
        .find(|link| link.replace("%2D", "-").contains(id))
        .unwrap();
    let n = |from: &str| path.replacen("/r/", from, 1);
    let shown = served.get(path).await;
    assert!(shown.contains(row["sha256"].as_str().unwrap()));

    let media = format!("{}{}", served.url, n("/media/"));
    let whole = reqwest::get(&media).await.unwrap().bytes().await.unwrap();
    let file = harness.output().join(row["object_key"].as_str().unwrap());
    assert_eq!(whole, std::fs::read(&file).unwrap());
    let part = Client::new().get(&media).header("range", "bytes=10-19");
    let part = part.send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.bytes().await.unwrap(), whole[10..20]);

    let good = served.post(&n("/verify/"), "").await;
    assert!(good.contains("is what the receipt says, byte for byte"));
    let mut damaged = whole.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&file, damaged).unwrap();
    let bad = served.post(&n("/verify/"), "").await;
    assert!(bad.contains("is not what the receipt says"));

    let log = std::fs::read_to_string(served.cache.join("access.jsonl")).unwrap();
    let actions: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let actions: Vec<&str> = actions
        .iter()
        .map(|line| line["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["search", "open", "listen", "verify", "verify"]);
    assert!(!log.contains(&digits(ani)), "what was sought is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_what_the_archive_has() {
    let harness = archive().await;
    let served = Served::start(&harness.output(), &harness.folder.path().join("cache"), &[]);
    let rows = rows(&harness.output());
    let lacking = rows.iter().filter(|row| row["outcome"] == "failed").count();
    let overview = served.get("/").await;
    assert!(
        overview.contains("<dt>Conversations</dt><dd>60</dd>"),
        "{overview}"
    );
    for outcome in ["failed", "stored", "no-recording"] {
        let count = rows.iter().filter(|row| row["outcome"] == outcome).count();
        let found = served
            .post("/recordings", &format!("outcome={outcome}"))
            .await;
        let told = match count {
            0 => "0 of 0".to_owned(),
            count => format!("1–{} of {count}", count.min(50)),
        };
        assert!(found.contains(&told), "{outcome}: {told}");
    }
    let mut without = 0;
    for link in links(&served.post("/recordings", "outcome=failed").await) {
        let page = served.get(&link).await;
        if page.contains("There is no file") {
            without += 1;
            assert!(!page.contains("id=\"proof\""), "nothing can be verified");
        }
    }
    assert!(without > 0);
    let codes = overview
        .split("/losses/")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    let mut listed = 0;
    for code in codes {
        listed += links(&served.get(&format!("/losses/{code}")).await).len();
    }
    assert!(listed >= lacking && lacking > 0, "{listed} of {lacking}");
    // An index that is there is brought up to date, and nothing is read twice.
    drop(served);
    let again = program()
        .arg("browse")
        .arg(harness.output())
        .args(["--index-only", "--cache"])
        .arg(harness.folder.path().join("cache"))
        .output()
        .unwrap();
    let again = String::from_utf8(again.stdout).unwrap();
    assert!(
        again.starts_with("index: 0 rows of 0 receipts taken in"),
        "{again}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_show_as_text() {
    let harness = archive().await;
    let hostile = "<script>alert(1)</script>\" onload=x";
    for file in files(&harness.output().join("metadata")) {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut hostile_rows = String::new();
        for line in text.lines() {
            let mut row: Value = serde_json::from_str(line).unwrap();
            row["agents"] = serde_json::json!([{ "id": "1", "name": hostile }]);
            row["attributes"][hostile] = hostile.into();
            hostile_rows.push_str(&format!("{row}\n"));
        }
        std::fs::write(file, hostile_rows).unwrap();
    }
    let served = Served::start(&harness.output(), &harness.folder.path().join("cache"), &[]);
    let found = served.post("/recordings", "agent=%3Cscript%3Ealert").await;
    let path = links(&found).remove(0);
    for page in [found, served.get(&path).await] {
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot; onload=x"));
        assert!(!page.contains("<script>alert"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_other_pages_see_nothing() {
    let harness = archive().await;
    let tokens = harness.folder.path().join("tokens");
    std::fs::write(&tokens, "ada 0123456789abcdef0123\n").unwrap();
    let cache = harness.folder.path().join("cache");
    let served = Served::start(
        &harness.output(),
        &cache,
        &["--tokens", tokens.to_str().unwrap()],
    );
    let client = Client::builder().redirect(Policy::none()).build().unwrap();
    let url = |path: &str| format!("{}{path}", served.url);
    for path in ["/", "/recordings", "/?token=0123456789abcdef0123"] {
        let refused = client.get(url(path)).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::SEE_OTHER, "{path}");
    }
    let enter = |token: &str| {
        let request = client.post(url("/enter")).body(format!("token={token}"));
        request
            .header("content-type", "application/x-www-form-urlencoded")
            .send()
    };
    assert_eq!(
        enter("wrong").await.unwrap().status(),
        StatusCode::FORBIDDEN
    );
    let entered = enter("0123456789abcdef0123").await.unwrap();
    let cookie = entered.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
    let cookie = cookie.split(';').next().unwrap();
    let ours = || client.get(url("/")).header("cookie", cookie);
    assert_eq!(ours().send().await.unwrap().status(), StatusCode::OK);
    for (name, value) in [
        ("host", "evil.example"),
        ("origin", "http://evil.example"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let refused = ours().header(name, value).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{name}");
    }
}
