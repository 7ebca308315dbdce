//! A small Genesys Cloud that a test scripts: what it has, and how it misbehaves.
//!
//! It is strict where the vendor is: a request that the vendor would refuse is refused and reported,
//! and fails the test. The answer of a hook instead is the subject of the test.

#[path = "cloud/center.rs"]
mod center;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;

use center::ScriptedCenter;
pub(crate) use center::{Answer, Ask};

use crate::support::{answering, files, run_program_fast_in};

/// The day on which all conversations begin, unless their rows say otherwise.
const DAY: &str = "2026-01-05";

/// A recording that the contact center has.
#[derive(Clone)]
pub(crate) struct Recording {
    pub(crate) id: String,
    /// The type that is announced.
    pub(crate) content_type: &'static str,
    /// The type that its bytes are served with; as announced if left out.
    pub(crate) served: Option<&'static str>,
    pub(crate) body: Bytes,
    /// Where its bytes are, in place of here.
    pub(crate) url: Option<String>,
}

impl Recording {
    /// The recording `index` of conversation `number`.
    pub(crate) fn new(number: u32, index: u32, content_type: &'static str, body: Vec<u8>) -> Self {
        Recording {
            id: format!("10000000-0000-4000-8000-{number:08}{index:04}"),
            content_type,
            served: None,
            body: body.into(),
            url: None,
        }
    }

    /// A call in WAV, which differs from all others.
    pub(crate) fn call(number: u32, index: u32) -> Self {
        Recording::new(number, index, "audio/wav", wav(number * 100 + index))
    }
}

/// A second of sound in WAV; another `seed` makes other bytes.
pub(crate) fn wav(seed: u32) -> Vec<u8> {
    let mut sound = Vec::new();
    for sample in 0..800_u32 {
        let level = (sample.wrapping_mul(seed.wrapping_add(7)) % 4001) as i16 - 2000;
        sound.extend(level.to_le_bytes());
    }
    let mut file = Vec::from(*b"RIFF");
    file.extend((36 + sound.len() as u32).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data");
    file.extend((sound.len() as u32).to_le_bytes());
    file.extend(sound);
    file
}

/// The id of conversation `number`.
pub(crate) fn id(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// The analytics row of conversation `number`: a call of four minutes between a customer and an
/// agent, recorded on both sides.
pub(crate) fn row(number: u32) -> Value {
    json!({
        "conversationId": id(number),
        "conversationStart": format!("{DAY}T10:00:00.000Z"),
        "conversationEnd": format!("{DAY}T10:04:00.000Z"),
        "originatingDirection": "inbound",
        "divisionIds": ["d-1"],
        "participants": [
            { "participantId": format!("p{number}a"), "participantName": "Caller",
              "purpose": "customer",
              "sessions": [{ "sessionId": format!("s{number}a"), "mediaType": "voice",
                "ani": "tel:+15550100", "dnis": "tel:+15550199", "recording": true,
                "segments": [{ "segmentType": "interact", "queueId": "q-1",
                  "segmentStart": format!("{DAY}T10:00:00.000Z"),
                  "segmentEnd": format!("{DAY}T10:04:00.000Z") }] }] },
            { "participantId": format!("p{number}b"), "participantName": "Agent One",
              "userId": "u-1", "purpose": "agent",
              "sessions": [{ "sessionId": format!("s{number}b"), "mediaType": "voice",
                "recording": true,
                "metrics": [{ "name": "tTalkComplete", "value": 1000 }],
                "segments": [{ "segmentType": "wrapup", "queueId": "q-1", "wrapUpCode": "w-1" }] }] },
        ],
    })
}

/// How a command of the program ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    /// Its standard output, if that is JSON.
    pub(crate) json: Value,
    /// Its standard error.
    pub(crate) said: String,
}

/// The contact center as a web server, and a folder for what is exported from it.
pub(crate) struct Cloud {
    url: String,
    folder: TempDir,
    center: Arc<ScriptedCenter>,
    /// Options of the source besides those that all tests have.
    pub(crate) options: Value,
    /// Keys of the source besides those that all tests have.
    pub(crate) source: Value,
    /// The backends of secrets, if there are any.
    pub(crate) secret: Option<Value>,
    /// The sinks; at first a folder, `out`.
    pub(crate) sinks: Value,
    /// Further environment variables of the program.
    pub(crate) environment: Vec<(&'static str, String)>,
}

impl Cloud {
    /// A contact center that has these conversations and does everything right.
    pub(crate) async fn honest(conversations: Vec<(Value, Vec<Recording>)>) -> Self {
        Self::start(conversations, |_| None).await
    }

    /// A contact center whose answers are those of the hook, where that has one.
    pub(crate) async fn start(
        conversations: Vec<(Value, Vec<Recording>)>,
        hook: impl Fn(Ask<'_>) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let center = Arc::new(ScriptedCenter {
            conversations,
            hook: Box::new(hook),
            seen: Mutex::default(),
        });
        let shared = Arc::clone(&center);
        let url = answering(move |request| {
            let center = Arc::clone(&shared);
            async move { center.answer(request).await }
        });
        let folder = TempDir::new().unwrap();
        let output = folder.path().join("output");
        Cloud {
            url: url.await,
            folder,
            center,
            options: json!({}),
            source: json!({}),
            secret: None,
            sinks: json!({ "out": { "type": "filesystem", "path": output } }),
            environment: Vec::new(),
        }
    }

    /// Its address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A folder beside that of the queue.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder that recordings are brought to.
    pub(crate) fn output(&self) -> PathBuf {
        self.folder("output")
    }

    /// All files that were brought, by their keys.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        files(&self.output())
    }

    /// The keys of what lies where recordings lie.
    pub(crate) fn recordings(&self) -> Vec<String> {
        let files = self.files().into_keys();
        files.filter(|key| key.starts_with("recordings/")).collect()
    }

    /// How often something was asked: `page`, `submit`, `poll`, `metadata` or `media`.
    pub(crate) fn asked(&self, what: &str) -> u64 {
        let seen = self.center.seen.lock().unwrap();
        seen.counts.get(what).copied().unwrap_or_default()
    }

    /// Runs a command of the program; nothing that the vendor refuses may have been asked by then, and what
    /// it says steers no terminal.
    pub(crate) async fn command(&self, command: &str, more: &[&str]) -> Ran {
        let path = self.configuration();
        let mut arguments = vec![command, "--config", &path, "--json"];
        arguments.extend(more);
        let ran = run_program_fast_in(&self.environment, &arguments).await;
        let seen = self.center.seen.lock().unwrap();
        assert!(seen.wrong.is_empty(), "{:#?}", seen.wrong);
        let said = String::from_utf8(ran.stderr).unwrap();
        assert!(!said.contains("hush"), "{said}");
        let steers = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!said.contains(steers), "{said:?}");
        Ran {
            code: ran.status.code(),
            json: serde_json::from_slice(&ran.stdout).unwrap_or_default(),
            said,
        }
    }

    /// What a command says to people, on standard output and standard error.
    pub(crate) async fn spoken(&self, command: &str, more: &[&str]) -> String {
        let path = self.configuration();
        let mut arguments = vec![command, "--config", &path];
        arguments.extend(more);
        let ran = run_program_fast_in(&self.environment, &arguments).await;
        String::from_utf8([ran.stdout, ran.stderr].concat()).unwrap()
    }

    /// Writes the configuration; returns its path.
    pub(super) fn configuration(&self) -> String {
        let mut options = json!({
            "api_url": self.url,
            "login_url": self.url,
            "media_origins": [self.url],
            "interval": format!("{DAY}/2026-01-06"),
            "poll_seconds": 1,
        });
        let all = options.as_object_mut().unwrap();
        all.extend(self.options.as_object().unwrap().clone());
        let mut source = json!({
            "type": "genesys_cloud",
            "allow_private_addresses": true,
            "confirm_hours": 0,
            "auth": { "client_id": "client", "client_secret": "hush-hush-hush" },
            "options": options,
        });
        let all = source.as_object_mut().unwrap();
        all.extend(self.source.as_object().unwrap().clone());
        let mut config = json!({
            "data_dir": self.folder.path().join("data"),
            "sources": { "calls": source },
            "sinks": self.sinks,
        });
        if let Some(secret) = &self.secret {
            config["secret"] = secret.clone();
        }
        let path = self.folder.path().join("config.yaml");
        // Another command may be reading it.
        if std::fs::read_to_string(&path).ok() != Some(config.to_string()) {
            std::fs::write(&path, config.to_string()).unwrap();
        }
        path.display().to_string()
    }

    /// Exports, and checks that the sums agree: each conversation has one outcome, and the sinks
    /// prove what was reported.
    pub(crate) async fn run(&self) -> Exported {
        self.run_with(&[]).await
    }

    /// Exports with further arguments.
    pub(crate) async fn run_with(&self, arguments: &[&str]) -> Exported {
        let ran = self.command("run", arguments).await;
        let summary = &ran.json["sources"]["calls"];
        assert!(summary.is_object(), "{ran:?}");
        let outcomes: BTreeMap<String, u64> =
            serde_json::from_value(summary["outcomes"].clone()).unwrap();
        let conversations = summary["conversations"].as_u64().unwrap();
        assert_eq!(outcomes.values().sum::<u64>(), conversations, "{ran:?}");
        let mut losses = BTreeMap::<String, Vec<(String, String)>>::new();
        for loss in summary["losses"].as_array().unwrap() {
            let text = |name: &str| loss[name].as_str().unwrap().to_owned();
            let of = losses.entry(text("conversation")).or_default();
            of.push((text("code"), text("message")));
        }
        let proven = self.command("verify", &["--full"]).await;
        assert_eq!(proven.code, Some(0), "{proven:?} after {ran:?}");
        for (name, report) in proven.json["sinks"].as_object().unwrap() {
            assert_eq!(report["findings"], json!([]), "{name}: {proven:?}");
        }
        Exported {
            code: ran.code,
            outcomes,
            losses,
            said: ran.said,
        }
    }
}

/// An export's report of itself.
#[derive(Debug)]
pub(crate) struct Exported {
    pub(crate) code: Option<i32>,
    pub(crate) outcomes: BTreeMap<String, u64>,
    /// Code and message of each loss, by conversation.
    pub(crate) losses: BTreeMap<String, Vec<(String, String)>>,
    pub(crate) said: String,
}

impl Exported {
    /// Checks that everything was stored and nothing lost.
    pub(crate) fn complete(&self, conversations: u64) {
        assert_eq!(
            self.outcomes,
            BTreeMap::from([("stored".to_owned(), conversations)]),
            "{self:?}"
        );
        assert_eq!(self.code, Some(0), "{self:?}");
        assert!(self.losses.is_empty(), "{self:?}");
    }

    /// Conversations that were stored in full.
    pub(crate) fn stored(&self) -> u64 {
        self.outcomes.get("stored").copied().unwrap_or_default()
    }

    /// The message of the one loss of conversation `number`, which must have this code.
    pub(crate) fn loss(&self, number: u32, code: &str) -> &str {
        let of = self.losses.get(&id(number));
        let of = of.unwrap_or_else(|| panic!("{number} lost nothing: {self:?}"));
        assert_eq!(of.len(), 1, "{self:?}");
        assert_eq!(of[0].0, code, "{self:?}");
        &of[0].1
    }
}
