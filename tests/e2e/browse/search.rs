//! A search is narrowed down, linked to and taken along; times and keys are told.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use serde_json::{Value, json};

use super::{Served, archive, driver::Browser, links, rows};
use crate::support::Harness;

async fn served() -> (Harness, Served) {
    let harness = archive().await;
    let cache = harness.folder.path().join("cache");
    let served = Served::start(&harness.output(), &cache, &[]);
    (harness, served)
}

/// The facets of a page: field, text that is sent, and how many hits are said to have it.
fn facets(page: &str) -> Vec<(String, String, usize)> {
    let mut found = Vec::new();
    for button in page.split("<button name=\"").skip(1) {
        let button = button.split("</button>").next().unwrap();
        let Some((_, count)) = button.split_once("<span class=\"dim\">") else {
            continue;
        };
        let field = button.split('"').next().unwrap();
        let value = button.split("value=\"").nth(1).unwrap();
        let value = value.split('"').next().unwrap().replace("&quot;", "\"");
        let count = count.split('<').next().unwrap();
        found.push((field.to_owned(), value, count.parse().unwrap()));
    }
    found
}

/// How many hits a page says that there are.
fn hits(page: &str) -> usize {
    let count = page.split("id=\"count\"").nth(1).unwrap();
    let count = count.split_once(" of ").unwrap().1;
    count.split('<').next().unwrap().trim().parse().unwrap()
}

fn form(pairs: &[(&str, &str)]) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(pairs).finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_value_by_which_a_search_can_be_narrowed_down_has_as_many_hits_as_it_says() {
    let (harness, served) = served().await;
    let all = rows(&harness.output());
    for within in [("", ""), ("direction", "inbound"), ("outcome", "stored")] {
        let page = served
            .post("/recordings", &form(&[within, ("facets", "1")]))
            .await;
        let found = facets(&page);
        let fields: BTreeSet<&str> = found.iter().map(|(field, ..)| field.as_str()).collect();
        for field in ["outcome", "agent", "queue", "wrap_up", "direction", "kind"] {
            assert!(fields.contains(field), "{field} is not in {fields:?}");
        }
        for (field, value, count) in &found {
            // What is chosen already sends nothing: it is let go of.
            if value.is_empty() {
                assert_eq!(field, within.0);
                continue;
            }
            let asked = form(&[within, (field, value)]);
            let narrowed = served.post("/recordings", &asked).await;
            assert_eq!(hits(&narrowed), *count, "{asked}");
        }
    }
    let page = served.post("/recordings", "facets=1").await;
    let told = |value: &str| facets(&page).into_iter().find(|facet| facet.1 == value);
    let lost = all.iter().filter(|row| row["outcome"] == "failed").count();
    assert_eq!(told("failed").unwrap().2, lost);
    let chats = all.iter().filter(|row| row["content_type"] == "audio/ogg");
    assert_eq!(told("audio/ogg").unwrap().2, chats.count());
    // Without being asked for, they cost nothing.
    let plain = served.post("/recordings", "").await;
    assert!(facets(&plain).is_empty() && plain.contains("Narrow down"));
}

/// A table as Python reads it.
/// A day: how many of its conversations are told of above its recordings, by outcome.
#[tokio::test(flavor = "multi_thread")]
async fn a_day_says_what_is_known_of_it_above_its_recordings() {
    let (harness, served) = served().await;
    let mut days = BTreeMap::<String, BTreeMap<String, BTreeSet<String>>>::new();
    for row in rows(&harness.output()) {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        let day = days.entry(text("start")[..10].to_owned()).or_default();
        let of = day.entry(text("outcome")).or_default();
        of.insert(text("conversation_id"));
    }
    assert!(days.len() > 3);
    for (day, outcomes) in &days {
        let page = served.get(&format!("/day/{day}")).await;
        let all: usize = outcomes.values().map(BTreeSet::len).sum();
        assert!(page.contains(&format!(", {day}</h2>")), "{page}");
        assert!(page.contains(&format!("{all} conversations: ")), "{page}");
        assert!(
            page.contains(&format!("The source counted {all}. ")),
            "{page}"
        );
        for (outcome, of) in outcomes {
            assert!(
                page.contains(&format!("{} {outcome}", of.len())),
                "{day} {outcome}"
            );
        }
    }
    let (first, _) = days.first_key_value().unwrap();
    let before: jiff::civil::Date = first.parse().unwrap();
    let before = before.yesterday().unwrap();
    let page = served.get(&format!("/day/{first}")).await;
    assert!(page.contains(&format!("href=\"/day/{before}\"")), "{page}");
    let page = served.get("/day/2019-02-03").await;
    assert!(
        page.contains("Sunday, 2019-02-03") && page.contains("never searched"),
        "{page}"
    );
    // A list of several days, or of what is no day, has no such heading.
    let several = form(&[("from", first), ("to", "2030-01-01")]);
    let page = served.post("/recordings", &several).await;
    assert!(!page.contains("class=\"day\""), "{page}");
    assert!(!served.get("/day/tomorrow").await.contains("class=\"day\""));
}

fn table(text: &str) -> Vec<Value> {
    let script = "import csv, io, json, sys
print(json.dumps(list(csv.DictReader(io.StringIO(sys.argv[1], newline='')))))";
    let read = Command::new("python3").args(["-c", script, text]).output();
    let read = read.unwrap();
    assert!(read.status.success(), "{read:?}");
    serde_json::from_slice(&read.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_of_a_search_are_those_of_the_archive() {
    let (harness, served) = served().await;
    let all = rows(&harness.output());
    let wanted = |row: &&Value| row["direction"] == "inbound" && row["outcome"] == "stored";
    let wanted: Vec<&Value> = all.iter().filter(wanted).collect();
    let asked = "direction=inbound&outcome=stored&format=";
    let lines = served.post("/rows", &format!("{asked}jsonl")).await;
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(lines.len() == wanted.len() && !lines.is_empty());
    assert!(wanted.iter().all(|row| lines.contains(row)));

    let records = table(&served.post("/rows", &format!("{asked}csv")).await);
    assert_eq!(records.len(), wanted.len());
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    for (record, row) in records.iter().zip(&lines) {
        for name in [
            "conversation_id",
            "recording_id",
            "sha256",
            "size_bytes",
            "ani",
            "dnis",
            "start",
            "duration_ms",
            "object_key",
            "attempt",
        ] {
            assert_eq!(record[name], json!(text(&row[name])), "{name}");
        }
        let queue = text(&row["queues"][0]["name"]);
        assert!(record["queues"].as_str().unwrap().starts_with(&queue));
        let attributes: Value =
            serde_json::from_str(record["attributes"].as_str().unwrap()).unwrap();
        assert_eq!(attributes, row["attributes"]);
    }

    let log = std::fs::read_to_string(served.cache.join("access.jsonl")).unwrap();
    let ids: BTreeSet<&str> = wanted
        .iter()
        .map(|row| row["conversation_id"].as_str().unwrap())
        .collect();
    for id in ids {
        let noted = log
            .lines()
            .filter(|line| line.contains("export-rows") && line.contains(id));
        assert_eq!(noted.count(), 2, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_has_an_address_unless_it_tells_of_a_person() {
    let (harness, served) = served().await;
    let asked = "outcome=failed&from=2026-01-01&to=2026-12-31&order=oldest";
    let page = served.post("/recordings", asked).await;
    let link = page.split("id=\"link\" href=\"").nth(1).unwrap();
    let link = link.split('"').next().unwrap().replace("&amp;", "&");
    let linked = served.get(&link).await;
    assert!(!links(&page).is_empty());
    assert_eq!(links(&linked), links(&page));
    let row = rows(&harness.output()).remove(0);
    let agent = row["agents"][0]["name"].as_str().unwrap_or("x");
    for (field, value) in [
        ("agent", agent),
        ("number", "1555"),
        ("q", "1555"),
        ("queue", "a"),
        ("wrap_up", "a"),
    ] {
        let page = served
            .post(
                "/recordings",
                &form(&[("outcome", "stored"), (field, value)]),
            )
            .await;
        assert!(!page.contains("id=\"link\""), "{field}");
        // Nor is one obeyed that somebody has made.
        let address = form(&[("outcome", "failed"), ("order", "oldest"), (field, value)]);
        let linked = served.get(&format!("/recordings?{address}")).await;
        assert_eq!(
            links(&linked),
            links(&page_of_losses(&served).await),
            "{field}"
        );
    }
}

async fn page_of_losses(served: &Served) -> String {
    served
        .post("/recordings", "outcome=failed&order=oldest")
        .await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: tests/run"]
async fn a_search_is_narrowed_down_by_keyboard_and_has_an_address() {
    let (_harness, served) = served().await;
    let browser = Browser::start().await;
    browser.look("light", 1280).await;
    browser.open(&format!("{}/recordings", served.url)).await;
    browser
        .until("document.documentElement.dataset.ready")
        .await;
    browser
        .tab_to("document.activeElement.textContent === 'Narrow down'")
        .await;
    browser.keys("\u{e007}").await;
    browser.until("document.querySelector('#facets') && document.activeElement.textContent === 'Narrow down'").await;
    // Back to the values, which are before the list.
    browser
        .script("const one = document.querySelector('#facets [name=queue]'); window.told = one.querySelector('.dim').textContent; window.queue = one.dataset.of; one.focus()")
        .await;
    browser.keys("\u{e007}").await;
    browser.until("document.activeElement.matches('#facets [name=queue][aria-pressed=true]') && document.activeElement.dataset.of === queue").await;
    browser
        .until("document.querySelector('#count').textContent.endsWith(` of ${told}`)")
        .await;
    // A queue may say whom it serves: it is in no address, and the form has it for the next search.
    assert_eq!(browser.script("return location.search").await, json!(""));
    browser
        .until("document.querySelector('form.find [name=queue]').value === `\"${queue}\"`")
        .await;
    browser.suits_each_scheme_and_width().await;
    browser.look("light", 1280).await;
    browser.script("document.activeElement.matches('#facets *') || document.querySelector('#facets [name=queue][aria-pressed=true]').focus()").await;
    browser.keys("\u{e007}").await;
    browser.until("document.querySelector('#facets') && !document.querySelector('#facets [aria-pressed=true]') && document.querySelector('form.find [name=queue]').value === ''").await;
    browser
        .script("document.querySelector('#facets [name=outcome]').focus()")
        .await;
    browser.keys("\u{e007}").await;
    browser
        .until("location.search.startsWith('?outcome=')")
        .await;
    let count = browser
        .script("return document.querySelector('#count').textContent")
        .await;
    let address = browser.script("return location.href").await;
    browser.open(address.as_str().unwrap()).await;
    browser
        .until("document.documentElement.dataset.ready")
        .await;
    assert_eq!(
        browser
            .script("return document.querySelector('#count').textContent")
            .await,
        count
    );
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: tests/run"]
async fn times_are_told_as_the_clock_on_the_wall_has_them_and_keys_are_told() {
    let (_harness, served) = served().await;
    let browser = Browser::start().await;
    browser.look("dark", 390).await;
    browser.zone("Asia/Kolkata").await;
    browser.open(&format!("{}/recordings", served.url)).await;
    browser
        .until("document.documentElement.dataset.ready")
        .await;
    let first = "return document.querySelector('#results time').textContent";
    let utc = browser.script(first).await;
    browser
        .tab_to("document.activeElement.dataset.do === 'zone'")
        .await;
    browser.keys("\u{e007}").await;
    browser
        .until("document.activeElement.getAttribute('aria-pressed') === 'true'")
        .await;
    let local = browser.script(first).await;
    let instant = |text: &Value| {
        let text = text.as_str().unwrap().replace(' ', "T");
        text.parse::<jiff::civil::DateTime>().unwrap()
    };
    let apart = instant(&local).since(instant(&utc)).unwrap();
    assert_eq!(apart.total(jiff::Unit::Minute).unwrap(), 330.0);
    browser.until("document.querySelector('th .zone').textContent === 'Asia/Calcutta' || document.querySelector('th .zone').textContent === 'Asia/Kolkata'").await;
    // A search that comes later is told the same way, and so is the next page.
    browser.keys("/").await;
    browser.script("const one = document.querySelector('[name=order]'); one.value = 'oldest'; one.dispatchEvent(new Event('input', { bubbles: true }))").await;
    browser.until("location.search === '?order=oldest'").await;
    browser.until("document.querySelector('#results time').textContent !== document.querySelector('#results time').dataset.utc").await;
    browser.open(&format!("{}/recordings", served.url)).await;
    browser
        .until("document.documentElement.dataset.ready")
        .await;
    assert_eq!(browser.script(first).await, local);
    browser.is_accessible("local times").await;

    browser.keys("?").await;
    browser.until("document.querySelector('#keys').open").await;
    browser.is_accessible("keys").await;
    browser.keys("\u{e00c}").await;
    browser.until("!document.querySelector('#keys').open").await;
    browser.end().await;
}
