//! A real browser, driven by WebDriver: `CHROMEDRIVER` is the driver's program, `AXE` the file `axe.min.js`.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use reqwest::Client;
use serde_json::{Value, json};

/// The output of a driver.
type Lines = Box<dyn Iterator<Item = String> + Send>;

/// A driver, what it writes from now on, and the port that it has chosen. It ends if another program has
/// taken that meanwhile.
fn started(driver: &str) -> Option<(Child, Lines, String)> {
    let mut driver = Command::new(driver)
        .arg("--port=0")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    let port = lines.find_map(|line| {
        let port = line.split("successfully on port ").nth(1)?;
        Some(port.trim_end_matches('.').to_owned())
    });
    match port {
        Some(port) => Some((driver, Box::new(lines), port)),
        None => {
            driver.wait().unwrap();
            None
        }
    }
}

/// A browser whose log is empty when it ends.
pub(super) struct Browser {
    driver: Child,
    session: String,
    client: Client,
}

impl Browser {
    pub(super) async fn start() -> Self {
        let driver = std::env::var("CHROMEDRIVER")
            .expect("CHROMEDRIVER is not set: tests/run installs chromium-driver and sets it");
        let (driver, lines, port) = (0..5)
            .find_map(|_| started(&driver))
            .expect("the driver has found no port");
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

    pub(super) async fn command(&self, path: &str, body: Value) -> Value {
        let request = self.client.post(format!("{}/{path}", self.session));
        let response = request.body(body.to_string()).send().await.unwrap();
        let mut response: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        assert!(response["value"]["error"].is_null(), "{path}: {response}");
        response["value"].take()
    }

    pub(super) async fn open(&self, url: &str) {
        self.command("url", json!({ "url": url })).await;
    }

    pub(super) async fn script(&self, script: &str) -> Value {
        self.command("execute/sync", json!({ "script": script, "args": [] }))
            .await
    }

    /// Waits until an expression is true.
    pub(super) async fn until(&self, expression: &str) {
        for _ in 0..1200 {
            if self.script(&format!("return !!({expression})")).await == json!(true) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("it never came true: {expression}");
    }

    /// Presses keys as a person would.
    pub(super) async fn keys(&self, keys: &str) {
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

    /// Goes from one thing to the next by the tabulator key until that is true.
    pub(super) async fn tab_to(&self, expression: &str) {
        for _ in 0..200 {
            if self.script(&format!("return !!({expression})")).await == json!(true) {
                return;
            }
            self.keys("\u{e004}").await;
        }
        panic!("the keyboard does not get there: {expression}");
    }

    /// The contents of the window, as WebP.
    pub(super) async fn picture(&self) -> Vec<u8> {
        let params = json!({ "format": "webp", "quality": 88 });
        let command = json!({ "cmd": "Page.captureScreenshot", "params": params });
        let taken = self.command("goog/cdp/execute", command).await;
        let taken = taken["data"].as_str().unwrap();
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, taken).unwrap()
    }

    /// Has downloads lie in a folder.
    pub(super) async fn download_to(&self, folder: &std::path::Path) {
        let params = json!({ "behavior": "allow", "downloadPath": folder });
        let command = json!({ "cmd": "Browser.setDownloadBehavior", "params": params });
        self.command("goog/cdp/execute", command).await;
    }

    pub(super) async fn click(&self, selector: &str) {
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

    /// Checks that the page that is open is accessible and fits in both schemes, on a wide screen and a phone.
    pub(super) async fn suits_each_scheme_and_width(&self) {
        for (scheme, width) in [
            ("light", 1280),
            ("dark", 1280),
            ("light", 390),
            ("dark", 390),
        ] {
            self.look(scheme, width).await;
            let at = format!("{scheme} {width}");
            self.is_accessible(&at).await;
            let wide = "return document.documentElement.scrollWidth - innerWidth";
            assert!(self.script(wide).await.as_i64().unwrap() <= 0, "{at}");
        }
    }

    pub(super) async fn look(&self, scheme: &str, width: u32) {
        let cdp = |cmd: &str, params: Value| json!({ "cmd": cmd, "params": params });
        // A color that is on its way from one scheme to the other has no contrast yet.
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" }] });
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

    /// Has the browser be in another time zone.
    pub(super) async fn zone(&self, zone: &str) {
        let params = json!({ "timezoneId": zone });
        let command = json!({ "cmd": "Emulation.setTimezoneOverride", "params": params });
        self.command("goog/cdp/execute", command).await;
    }

    /// Fails if axe finds something against WCAG 2.2 AA.
    pub(super) async fn is_accessible(&self, at: &str) {
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

    /// What a screen reader is given of the page: roles and names.
    pub(super) async fn spoken(&self) -> Vec<(String, String)> {
        let command = json!({ "cmd": "Accessibility.getFullAXTree", "params": {} });
        let tree = self.command("goog/cdp/execute", command).await;
        let nodes = tree["nodes"].as_array().unwrap().iter();
        let text = |value: &Value| value["value"].as_str().unwrap_or_default().to_owned();
        nodes
            .filter(|node| node["ignored"] == false)
            .map(|node| (text(&node["role"]), text(&node["name"])))
            .collect()
    }

    pub(super) async fn end(self) {
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
