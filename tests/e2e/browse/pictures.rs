//! The pictures of the page in the documentation: `UPDATE_PICTURES=1` takes them anew.

use std::path::Path;

use genesys_simulator::Settings;
use serde_json::json;

use super::{driver::Browser, live};
use crate::{running::Running, support::Harness};

/// The largest length of a picture, in bytes.
const LARGEST: usize = 150_000;

/// Compares a picture with the one of the documentation, or takes its place.
async fn documented(browser: &Browser, name: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join("docs/pictures").join(name);
    let taken = browser.picture().await;
    assert_eq!((&taken[..4], &taken[8..12]), (&b"RIFF"[..], &b"WEBP"[..]));
    if std::env::var_os("UPDATE_PICTURES").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &taken).unwrap();
    }
    let kept = std::fs::read(&path).unwrap();
    assert!(kept.len() < LARGEST, "{name}: {} bytes", kept.len());
    // The kind of the first chunk, and for a lossy one the width and height that follow it.
    assert_eq!(kept[12..16], taken[12..16], "{name}");
    assert_eq!(kept[26..30], taken[26..30], "{name}: of another size");
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    assert!(readme.contains(&format!("docs/pictures/{name}")), "{name}");
}

/// Opens the first recording of a list that has two channels.
async fn open_one_with_two_channels(browser: &Browser) {
    for n in 0..20 {
        let row = format!(
            "[...document.querySelectorAll('#results tr')].filter(row => row.querySelector('td.w')?.textContent === 'ogg')[{n}]"
        );
        browser
            .script(&format!("{row}.querySelector('a.open').click()"))
            .await;
        browser
            .until(&format!("{row}.getAttribute('aria-selected') === 'true'"))
            .await;
        browser
            .until("document.querySelector('#player canvas')?.hidden === false")
            .await;
        let has_two = "return document.querySelector('#player .seg').hidden === false";
        if browser.script(has_two).await == json!(true) {
            return;
        }
    }
    panic!("all have one channel");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: tests/run"]
async fn the_documentation_shows_the_page_of_today() {
    let harness = Harness::fast(
        Settings {
            conversations: 4000,
            days: 120,
            ..Settings::default()
        },
        60.0,
    )
    .await;
    let mut config = harness.config();
    let interval = config["sources"]["calls"]["options"]["interval"]
        .as_str()
        .unwrap();
    let from = interval.split('/').next().unwrap();
    config["sources"]["calls"]["options"]["interval"] = json!(format!("{from}/.."));
    let path = harness.write(&config).display().to_string();
    let arguments = ["run", "--follow", "--config", &path, "--ui", "127.0.0.1:0"];
    let mut run = Running::start(&harness, &arguments);
    let url = live::address(&run.until("open http://").await);
    let browser = Browser::start().await;
    browser.look("light", 1280).await;
    browser.open(&url).await;
    browser
        .until("document.querySelector('#figures .kpi dd')?.textContent.replace(',', '') > 1000")
        .await;
    documented(&browser, "overview.webp").await;
    browser.look("dark", 1280).await;
    browser.open(&format!("{url}/recordings")).await;
    browser
        .until("document.documentElement.dataset.ready")
        .await;
    browser
        .script("const one = document.querySelector('[name=outcome]'); one.value = 'stored'; one.dispatchEvent(new Event('input', { bubbles: true }))")
        .await;
    browser
        .until("document.querySelectorAll('.tag.stored').length > 40 && !document.querySelector('.tag.no-recording')")
        .await;
    open_one_with_two_channels(&browser).await;
    browser.click("[data-verify]").await;
    browser.until("document.querySelector('#proof.good')").await;
    browser
        .script("document.querySelector('audio').currentTime = 5; document.querySelector('#detail').scrollTop = 0; scrollTo(0, 0); document.activeElement.blur()")
        .await;
    browser
        .until("document.querySelector('audio').currentTime >= 5")
        .await;
    documented(&browser, "recording.webp").await;
    browser.end().await;
    drop((harness, run));
}
