//! The page in a real browser, driven by WebDriver: `CHROMEDRIVER` is the driver's program, `AXE` the file
//! `axe.min.js`.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use reqwest::Client;
use serde_json::{Value, json};

use super::{Served, archive, rows};

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

struct Browser {
    driver: Child,
    session: String,
    client: Client,
}

impl Browser {
    async fn start() -> Self {
        let driver = std::env::var("CHROMEDRIVER")
            .expect("CHROMEDRIVER is not set: tests/run installs chromium-driver and sets it");
        let mut driver = Command::new(driver)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        let port = lines
            .find_map(|line| {
                let port = line.split("successfully on port ").nth(1)?;
                Some(port.trim_end_matches('.').to_owned())
            })
            .unwrap();
        // A driver whose pipe is closed ends.
        std::thread::spawn(move || lines.count());
        let client = Client::new();
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--autoplay-policy=user-gesture-required",
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let url = format!("http://127.0.0.1:{port}/session");
        let made = client
            .post(&url)
            .body(wanted.to_string())
            .send()
            .await
            .unwrap();
        let made: Value = serde_json::from_slice(&made.bytes().await.unwrap()).unwrap();
        let id = made["value"]["sessionId"]
            .as_str()
            .unwrap_or_else(|| panic!("{made}"));
        Browser {
            driver,
            session: format!("{url}/{id}"),
            client,
        }
    }

    async fn command(&self, path: &str, body: Value) -> Value {
        let request = self.client.post(format!("{}/{path}", self.session));
        let response = request.body(body.to_string()).send().await.unwrap();
        let mut response: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        assert!(response["value"]["error"].is_null(), "{path}: {response}");
        response["value"].take()
    }

    async fn open(&self, url: &str) {
        self.command("url", json!({ "url": url })).await;
    }

    async fn script(&self, script: &str) -> Value {
        self.command("execute/sync", json!({ "script": script, "args": [] }))
            .await
    }

    /// Waits until an expression is true.
    async fn until(&self, expression: &str) {
        for _ in 0..300 {
            if self.script(&format!("return !!({expression})")).await == json!(true) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("it never came true: {expression}");
    }

    /// Presses keys as a person would.
    async fn keys(&self, keys: &str) {
        let actions: Vec<Value> = keys
            .chars()
            .flat_map(|key| {
                let key = key.to_string();
                [
                    json!({ "type": "keyDown", "value": key }),
                    json!({ "type": "keyUp", "value": key }),
                ]
            })
            .collect();
        let actions = json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] });
        self.command("actions", actions).await;
    }

    async fn click(&self, selector: &str) {
        let found = self
            .command(
                "element",
                json!({ "using": "css selector", "value": selector }),
            )
            .await;
        let id = found
            .as_object()
            .unwrap()
            .values()
            .next()
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned();
        self.command(&format!("element/{id}/click"), json!({}))
            .await;
    }

    async fn look(&self, scheme: &str, width: u32) {
        let cdp = |cmd: &str, params: Value| json!({ "cmd": cmd, "params": params });
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.command(
            "goog/cdp/execute",
            cdp("Emulation.setEmulatedMedia", features),
        )
        .await;
        let metrics =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.command(
            "goog/cdp/execute",
            cdp("Emulation.setDeviceMetricsOverride", metrics),
        )
        .await;
    }

    /// Fails if axe finds something against WCAG 2.2 AA.
    async fn is_accessible(&self, at: &str) {
        let axe =
            std::env::var("AXE").expect("AXE is not set: tests/run installs axe-core and sets it");
        self.script(&std::fs::read_to_string(axe).unwrap()).await;
        let run = "const done = arguments[0];
            axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] })
            .then(found => done(found.violations.map(one => one.id + ': ' + one.nodes.map(node => node.html).join(' '))));";
        let found = self
            .command("execute/async", json!({ "script": run, "args": [] }))
            .await;
        assert_eq!(found, json!([]), "{at}");
    }

    async fn end(self) {
        let log = self.command("se/log", json!({ "type": "browser" })).await;
        assert_eq!(log, json!([]), "the browser's log");
        let _ = self.client.delete(&self.session).send().await;
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

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
        }
    }
    browser.end().await;
}
