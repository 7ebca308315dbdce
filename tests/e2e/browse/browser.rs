//! An archive in a real browser.

use serde_json::json;

use super::{Served, archive, driver::Browser, rows};

/// Hears what reaches the loudspeakers: `heard` has the loudest sample of each side, and `apart` how far
/// both sides are apart at most.
const LISTEN: &str = "
const connect = AudioNode.prototype.connect;
window.heard = [0, 0]; window.apart = 0;
AudioNode.prototype.connect = function (to, ...rest) {
  if (to instanceof AudioDestinationNode) {
    const split = this.context.createChannelSplitter(2);
    const sides = [0, 1].map(side => { const one = this.context.createAnalyser(); connect.call(split, one, side); return one; });
    connect.call(this, split);
    setInterval(() => {
      const [left, right] = sides.map(one => { const data = new Float32Array(one.fftSize); one.getFloatTimeDomainData(data); return data; });
      left.forEach((sample, at) => {
        heard[0] = Math.max(heard[0], Math.abs(sample)); heard[1] = Math.max(heard[1], Math.abs(right[at]));
        apart = Math.max(apart, Math.abs(sample - right[at]));
      });
    }, 20);
  }
  return connect.call(this, to, ...rest);
};";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: tests/run"]
async fn a_recording_is_found_heard_and_verified_by_keyboard() {
    // Long: one scenario, told in its order.
    let harness = archive().await;
    let served = Served::start(&harness.output(), &harness.folder.path().join("cache"), &[]);
    let rows = rows(&harness.output());
    let row = rows
        .iter()
        .find(|row| row["content_type"] == "audio/ogg" && row["ani"].is_string())
        .unwrap();
    let browser = Browser::start().await;
    browser.open(&served.url).await;
    browser
        .until("document.documentElement.dataset.ready")
        .await;
    // A day by the calendar: arrows move, enter opens.
    browser
        .script("document.querySelector('.cal a[tabindex=\"0\"]').focus()")
        .await;
    browser.keys("\u{e015}\u{e007}").await;
    browser
        .until("location.pathname.startsWith('/day/') && document.documentElement.dataset.ready")
        .await;
    browser.keys("/").await;
    browser.until("document.activeElement.name === 'q'").await;
    browser.script("for (const name of ['from', 'to']) document.querySelector(`[name=${name}]`).value = ''").await;
    let id = row["conversation_id"].as_str().unwrap();
    browser
        .keys(&row["ani"].as_str().unwrap().replace("tel:", ""))
        .await;
    let link = format!(
        "[...document.querySelectorAll('a.open')].find(a => decodeURIComponent(a.href).includes('{id}'))"
    );
    browser
        .until(&format!(
            "document.querySelectorAll('a.open').length < 50 && {link}"
        ))
        .await;
    assert_eq!(browser.script("return location.search").await, json!(""));
    browser.script(&format!("{link}.focus()")).await;
    browser.keys("\u{e007}").await;
    browser
        .until("document.querySelector('#player .seg')?.hidden === false")
        .await;

    browser.script(LISTEN).await;
    browser
        .script("document.querySelector('[data-p=play]').focus()")
        .await;
    browser.keys("\u{e007}").await;
    browser.until("document.querySelector('audio').currentTime > 0.5 && heard[0] > 0.01 && heard[1] > 0.01 && apart > 0.01").await;
    browser.click("[data-p=hear][value=right]").await;
    // What was heard before the change is still on its way: measured anew until half a second has one channel alone.
    browser
        .script("document.querySelector('audio').currentTime = 0; window.since = 0")
        .await;
    let alone = "(() => {
        const now = document.querySelector('audio').currentTime;
        if (apart > 1e-4) { heard = [0, 0]; apart = 0; since = now; }
        return heard[1] > 0.01 && now > since + 0.5;
    })()";
    browser.until(alone).await;

    browser
        .script("document.querySelector('[data-verify]').focus()")
        .await;
    browser.keys("\u{e007}").await;
    browser.until("document.querySelector('#proof.good')").await;
    let file = harness.output().join(row["object_key"].as_str().unwrap());
    let mut damaged = std::fs::read(&file).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&file, damaged).unwrap();
    browser.click("[data-verify]").await;
    browser
        .until("document.querySelector('#proof.badly')")
        .await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: tests/run"]
async fn every_view_is_accessible_in_both_schemes_and_on_a_phone() {
    let harness = archive().await;
    let served = Served::start(&harness.output(), &harness.folder.path().join("cache"), &[]);
    let recording = super::links(&served.post("/recordings", "outcome=stored").await).remove(0);
    let browser = Browser::start().await;
    for (scheme, width) in [
        ("light", 1280),
        ("dark", 1280),
        ("light", 390),
        ("dark", 390),
    ] {
        browser.look(scheme, width).await;
        for path in ["/", "/recordings", &recording, "/enter"] {
            browser.open(&format!("{}{path}", served.url)).await;
            browser
                .until("document.documentElement.dataset.ready")
                .await;
            let at = format!("{path} {scheme} {width}");
            browser.is_accessible(&at).await;
            let wide = browser
                .script("return document.documentElement.scrollWidth - innerWidth")
                .await;
            assert!(
                wide.as_i64().unwrap() <= 0,
                "{at}: it is wider than the window"
            );
            let cut = browser
                .script("const nav = document.querySelector('header.top nav'); return nav ? nav.scrollWidth - nav.clientWidth : 0")
                .await;
            assert_eq!(cut, 0, "{at}: its links do not fit");
        }
    }
    browser.end().await;
}

/// Roles that say nothing without a name.
const NAMED: [&str; 10] = [
    "heading",
    "link",
    "button",
    "searchbox",
    "textbox",
    "combobox",
    "checkbox",
    "slider",
    "image",
    "columnheader",
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: tests/run"]
async fn a_screen_reader_is_given_a_name_for_everything_and_told_what_happens() {
    let harness = archive().await;
    let served = Served::start(&harness.output(), &harness.folder.path().join("cache"), &[]);
    let recording = super::links(&served.post("/recordings", "outcome=stored").await).remove(0);
    let browser = Browser::start().await;
    for (path, expected) in [
        (
            "/",
            &[
                ("heading", "Days"),
                ("link", "Mon 5 Jan 2026: "),
                ("image", "Sun 4 Jan 2026: never searched"),
            ][..],
        ),
        (
            "/recordings",
            &[
                ("search", ""),
                ("searchbox", "Number, agent, "),
                ("columnheader", "Began"),
            ],
        ),
        (
            &recording,
            &[
                ("heading", "2026-01-"),
                ("button", "Play"),
                ("button", "Verify"),
            ],
        ),
    ] {
        browser.open(&format!("{}{path}", served.url)).await;
        browser
            .until("document.documentElement.dataset.ready")
            .await;
        let spoken = browser.spoken().await;
        for (role, name) in &spoken {
            assert!(
                !NAMED.contains(&role.as_str()) || !name.trim().is_empty(),
                "{path}: a {role} without a name in {spoken:?}"
            );
        }
        let landmarks = [("banner", ""), ("navigation", ""), ("main", "")];
        for (role, name) in landmarks.iter().chain(expected) {
            let there = spoken.iter().any(|(a, b)| a == role && b.starts_with(name));
            assert!(there, "{path}: no {role} {name:?} in {spoken:?}");
        }
    }
    // What a button has come to is announced, not shown alone.
    browser.click("[data-verify]").await;
    browser
        .until("document.querySelector('#say').textContent.includes('receipt')")
        .await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: tests/run"]
async fn evidence_of_a_recording_a_conversation_and_a_search_is_made_by_keyboard_alone() {
    let harness = archive().await;
    let served = Served::start(&harness.output(), &harness.folder.path().join("cache"), &[]);
    let rows = rows(&harness.output());
    let row = rows
        .iter()
        .find(|row| row["content_type"] == "audio/ogg" && row["ani"].is_string())
        .unwrap();
    let browser = Browser::start().await;
    browser.look("light", 1280).await;
    browser.open(&served.url).await;
    browser
        .until("document.documentElement.dataset.ready")
        .await;
    browser
        .tab_to("document.activeElement.pathname === '/recordings'")
        .await;
    browser.keys("\u{e007}").await;
    browser
        .until("location.pathname === '/recordings' && document.documentElement.dataset.ready")
        .await;
    browser.keys("/").await;
    let ani = row["ani"].as_str().unwrap().replace("tel:", "");
    browser.keys(&ani).await;
    let id = row["conversation_id"].as_str().unwrap();
    let is_link = format!(
        "document.activeElement.matches('a.open') && decodeURIComponent(document.activeElement.href).includes('{id}')"
    );
    browser
        .until("document.querySelector('#results').getAttribute('aria-busy') === 'false' && document.querySelectorAll('a.open').length < 50")
        .await;
    browser.tab_to(&is_link).await;
    browser.keys("\u{e007}").await;
    browser.until("document.querySelector('#evidence')").await;
    for button in ["Evidence", "This recording", "The whole conversation"] {
        let folder = harness.folder.path().join(button);
        std::fs::create_dir(&folder).unwrap();
        browser.download_to(&folder).await;
        browser
            .tab_to(&format!(
                "document.activeElement.textContent.startsWith('{button}')"
            ))
            .await;
        browser.keys("\u{e007}").await;
        let package = folder.join("evidence.zip");
        crate::support::in_time(async {
            while !package.exists() {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        })
        .await;
        let mut package = zip::ZipArchive::new(std::fs::File::open(&package).unwrap()).unwrap();
        let handed = std::io::read_to_string(package.by_name("rows.jsonl").unwrap()).unwrap();
        assert!(handed.contains(id), "{button}");
    }
    browser.end().await;
}
