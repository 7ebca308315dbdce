//! An S3 server in this process: signatures are checked, what is asked of it is written down, and
//! it behaves like servers that have been met.
//!
//! `s3s-fs` keeps the objects. What it lacks is added here: uploads are listed, parts have their
//! ETags, encryption is echoed, tags and storage classes are taken.

#[path = "s3_server/bucket.rs"]
mod bucket;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use recording_host_config::Config;
use recording_host_sink::Sink;
use s3s::{
    S3Request, S3Response, S3Result, auth::SimpleAuth, dto::*, s3_error, service::S3ServiceBuilder,
};
use serde_json::{Value, json};

pub(crate) const ACCESS_KEY: &str = "AKIDEXAMPLE";
pub(crate) const SECRET_KEY: &str = "wJalrXUtnFEMI-EXAMPLE";
pub(crate) const BUCKET: &str = "corp-recordings";

/// How a server differs from AWS.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ways {
    /// Checksums of these kinds are refused.
    pub(crate) refuses: &'static [&'static str],
    /// Checksums are not looked at.
    pub(crate) ignores_checksums: bool,
    /// `If-None-Match` is not looked at.
    pub(crate) ignores_conditions: bool,
    /// Objects are stored with the framing of uploads.
    pub(crate) stores_framing: bool,
    /// Encryption is not reported.
    pub(crate) ignores_encryption: bool,
    /// Uploads cannot be listed.
    pub(crate) lists_no_uploads: bool,
    /// Parts are listed with their checksums.
    pub(crate) lists_part_checksums: bool,
    /// The last byte of an object is lost.
    pub(crate) loses_a_byte: bool,
    /// The error with which PUT of an object is refused, if any.
    pub(crate) refuses_put: Option<&'static str>,
    /// How many PUTs of objects come too fast before one is taken.
    pub(crate) too_fast: usize,
    /// How many PUTs of objects at once are taken, if not all.
    pub(crate) at_once: Option<usize>,
    /// How long a PUT of an object or a part takes.
    pub(crate) takes: Duration,
    /// No PUT of an object is ever answered.
    pub(crate) silent: bool,
}

/// A request that was made.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) operation: &'static str,
    pub(crate) key: String,
    headers: BTreeMap<String, String>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.headers.keys().map(String::as_str)
    }
}

#[derive(Debug, Default)]
struct State {
    ways: Ways,
    seen: Vec<Seen>,
    encryption: BTreeMap<String, ServerSideEncryption>,
    uploads: BTreeMap<String, MultipartUpload>,
    /// ETag and checksum of each part, by upload and number.
    parts: BTreeMap<(String, i32), (ETag, Option<String>)>,
    /// PUTs of objects and parts that are under way, and how many were at most.
    busy: usize,
    busiest: usize,
    /// PUTs that were too fast or too many.
    slowed: usize,
}

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
    folder: Arc<tempfile::TempDir>,
}

struct Bucket {
    files: s3s_fs::FileSystem,
    /// Held while an object is written: `s3s-fs` may keep the bytes of one put with the checksum of
    /// another.
    writing: tokio::sync::Mutex<()>,
    state: Arc<Mutex<State>>,
}

/// Serves S3, and returns the URL.
pub(crate) async fn serve(builder: S3ServiceBuilder) -> String {
    let service = builder.build();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service.clone();
            tokio::spawn(async move {
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    url
}

impl Server {
    pub(crate) async fn start(ways: Ways) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let state = Arc::new(Mutex::new(State {
            ways,
            ..State::default()
        }));
        let mut builder = S3ServiceBuilder::new(Bucket {
            files: s3s_fs::FileSystem::new(folder.path()).unwrap(),
            writing: tokio::sync::Mutex::default(),
            state: state.clone(),
        });
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let url = serve(builder).await;
        Server {
            url,
            state,
            folder: Arc::new(folder),
        }
    }

    /// The keys of a sink that writes here, as a configuration has them.
    pub(crate) fn config(&self) -> Value {
        json!({
            "type": "s3",
            "bucket": BUCKET,
            "prefix": "calls",
            "region": "eu-west-1",
            "endpoint": self.url,
            "path_style": true,
            "retry": { "attempts": 2, "max_backoff_seconds": 1 },
            "credentials": { "access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY },
        })
    }

    /// A sink that writes here, with these keys besides those of [`config`](Self::config).
    pub(crate) async fn sink(&self, keys: Value) -> Arc<dyn Sink> {
        sink(self.config(), keys).await
    }

    /// Forgets what was asked so far.
    pub(crate) fn forget(&self) {
        self.state.lock().unwrap().seen.clear();
    }

    /// The requests for one operation.
    pub(crate) fn seen(&self, operation: &str) -> Vec<Seen> {
        let state = self.state.lock().unwrap();
        let seen = state.seen.iter();
        seen.filter(|seen| seen.operation == operation)
            .cloned()
            .collect()
    }

    /// The operations that were requested.
    pub(crate) fn all(&self) -> Vec<&'static str> {
        let state = self.state.lock().unwrap();
        state.seen.iter().map(|seen| seen.operation).collect()
    }

    /// Uploads that are not finished.
    pub(crate) fn unfinished(&self) -> usize {
        self.state.lock().unwrap().uploads.len()
    }

    /// How many PUTs were under way at most.
    pub(crate) fn busiest(&self) -> usize {
        self.state.lock().unwrap().busiest
    }

    /// How many PUTs were too fast or too many.
    pub(crate) fn slowed(&self) -> usize {
        self.state.lock().unwrap().slowed
    }

    /// Parts that have arrived.
    pub(crate) fn parts(&self) -> usize {
        self.state.lock().unwrap().parts.len()
    }

    /// The names of all objects.
    pub(crate) fn keys(&self) -> Vec<String> {
        let files = crate::support::files(self.folder.path());
        let bucket = format!("{BUCKET}/");
        let keys = files.keys().filter_map(|name| name.strip_prefix(&bucket));
        keys.map(str::to_owned).collect()
    }

    /// Puts an object there, past the protocol: `s3s-fs` takes no long keys, but gives them.
    pub(crate) fn place(&self, key: &str, body: &[u8]) {
        let path = self.folder.path().join(BUCKET).join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, body).unwrap();
    }

    /// Lets uploads look as if they had been begun so long ago.
    pub(crate) fn age_uploads(&self, by: Duration) {
        let begun = SystemTime::now() - by;
        for upload in self.state.lock().unwrap().uploads.values_mut() {
            upload.initiated = Some(begun.into());
        }
    }
}

/// The sink that a configuration makes of these keys.
pub(crate) async fn sink(mut config: Value, keys: Value) -> Arc<dyn Sink> {
    for (name, value) in keys.as_object().unwrap() {
        config[name] = value.clone();
    }
    let config = Config::new(json!({
        "data_dir": "unused",
        "sources": { "calls": {
            "type": "genesys_cloud",
            "options": { "region": "mypurecloud.ie", "interval": "2026-01-01/2026-02-01" },
        } },
        "sinks": { "lake": config },
    }));
    let mut sinks = config.unwrap().sinks().await.unwrap();
    sinks.pop().unwrap().1
}
