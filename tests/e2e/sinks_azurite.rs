//! The sink `azure_blob` against Azurite, Microsoft's own emulator, which checks signatures.

use std::{
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use genesys_simulator::Settings;
use hmac::{Hmac, KeyInit, Mac};
use recording_host_engine::verify::verify;
use recording_host_sink::{Sink, conformance};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    s3_server::sink,
    sinks::free_port,
    support::{Harness, export},
};

const ACCOUNT: &str = "corp";
const KEY: &str = "bm90IGEgc2VjcmV0IGF0IGFsbA==";
const CONTAINER: &str = "recordings";

/// Azurite, which ends with the test.
struct Azurite {
    child: Child,
    endpoint: String,
}

impl Azurite {
    async fn start() -> Self {
        let program = std::env::var("AZURITE").unwrap_or_else(|_| "azurite-blob".to_owned());
        let port = free_port();
        let child = Command::new(&program)
            .args(["--blobHost", "127.0.0.1", "--blobPort"])
            .arg(port.to_string())
            .args(["--inMemoryPersistence", "--silent", "--disableTelemetry"])
            .env("AZURITE_ACCOUNTS", format!("{ACCOUNT}:{KEY}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}; tests/run installs it"));
        let server = Azurite {
            child,
            endpoint: format!("http://127.0.0.1:{port}/{ACCOUNT}"),
        };
        for _ in 0..240 {
            if server.make_container().await {
                return server;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        panic!("Azurite did not start within two minutes");
    }

    /// Makes the container, signed as Azure's "Authorize with Shared Key" says.
    async fn make_container(&self) -> bool {
        let now = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT");
        let (date, version) = (now.to_string(), "2021-12-02");
        let resource = format!("/{ACCOUNT}/{ACCOUNT}/{CONTAINER}\nrestype:container");
        let empty = "\n".repeat(11);
        let text = format!("PUT\n{empty}x-ms-date:{date}\nx-ms-version:{version}\n{resource}");
        let key = BASE64_STANDARD.decode(KEY).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(text.as_bytes());
        let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        let answer = reqwest::Client::new()
            .put(format!("{}/{CONTAINER}?restype=container", self.endpoint))
            .header("x-ms-date", date)
            .header("x-ms-version", version)
            .header("content-length", "0")
            .header("authorization", format!("SharedKey {ACCOUNT}:{signature}"))
            .send()
            .await;
        match answer {
            Ok(answer) if answer.status().is_success() => true,
            Ok(answer) => panic!("{}: {}", answer.status(), answer.text().await.unwrap()),
            Err(_) => false,
        }
    }

    fn config(&self) -> Value {
        json!({ "type": "azure_blob", "account": ACCOUNT, "container": CONTAINER,
            "prefix": "calls", "endpoint": self.endpoint, "credentials": { "access_key": KEY } })
    }

    async fn sink(&self, keys: Value) -> Arc<dyn Sink> {
        sink(self.config(), keys).await
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Azurite, which tests/run installs"]
async fn azurite_holds_what_the_sink_promises() {
    let server = Azurite::start().await;
    let sink = server.sink(json!({})).await;
    conformance::all(&*sink, "suite").await.unwrap();
    let wrong = json!({ "credentials": { "access_key": "d3Jvbmc=" }, "retry": { "attempts": 1 } });
    let error = server.sink(wrong).await.check().await.unwrap_err();
    assert!(!error.retryable, "{error}");
    assert!(error.to_string().contains("credentials"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Azurite, which tests/run installs"]
async fn an_export_to_azurite_proves_itself() {
    let server = Azurite::start().await;
    let harness = Harness::start(Settings {
        conversations: 60,
        seed: 71,
        ..Settings::default()
    })
    .await;
    let summary = export(harness.config_to(server.config())).await;
    assert_eq!(summary.conversations, 60);
    let sink = server.sink(json!({})).await;
    let report = verify(sink.store().unwrap(), true).await.unwrap();
    assert_eq!((report.findings, report.conversations), (Vec::new(), 60));
    assert!(report.objects > 40, "{}", report.objects);
}
