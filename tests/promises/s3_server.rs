//! An S3 server in this process: signatures are checked, what is asked of it is written down, and
//! it behaves like servers that have been met.
//!
//! `s3s-fs` keeps the objects. What it lacks is added here: uploads are listed, parts have their
//! ETags, encryption is echoed, tags and storage classes are taken.

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
    /// Encryption is not told of.
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

    /// What was asked, of one operation.
    pub(crate) fn seen(&self, operation: &str) -> Vec<Seen> {
        let state = self.state.lock().unwrap();
        let seen = state.seen.iter();
        seen.filter(|seen| seen.operation == operation)
            .cloned()
            .collect()
    }

    /// The operations that were asked for.
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

impl Bucket {
    fn note<T>(&self, operation: &'static str, key: &str, request: &S3Request<T>) -> Ways {
        let headers = request
            .headers
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.to_string(), value)
            })
            .collect();
        let mut state = self.state.lock().unwrap();
        state.seen.push(Seen {
            operation,
            key: key.to_owned(),
            headers,
        });
        state.ways
    }
}

/// A PUT that is under way.
struct Busy(Arc<Mutex<State>>);

impl Busy {
    /// Begins a PUT, and refuses it if it is one too many.
    fn begin(state: &Arc<Mutex<State>>) -> S3Result<Self> {
        let mut known = state.lock().unwrap();
        let many = known.ways.at_once.is_some_and(|most| known.busy >= most);
        if many || known.slowed < known.ways.too_fast {
            known.slowed += 1;
            return Err(s3_error!(SlowDown, "less of it"));
        }
        known.busy += 1;
        known.busiest = known.busiest.max(known.busy);
        Ok(Busy(Arc::clone(state)))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.lock().unwrap().busy -= 1;
    }
}

fn refused(ways: Ways, headers: &hyper::HeaderMap) -> S3Result<()> {
    let refused = ways
        .refuses
        .iter()
        .any(|name| headers.contains_key(format!("x-amz-checksum-{name}")));
    if refused {
        return Err(s3_error!(InvalidRequest, "unknown checksum"));
    }
    Ok(())
}

#[async_trait::async_trait]
impl s3s::S3 for Bucket {
    async fn head_bucket(
        &self,
        req: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.note("HeadBucket", "", &req);
        self.files.head_bucket(req).await
    }

    async fn get_object_lock_configuration(
        &self,
        req: S3Request<GetObjectLockConfigurationInput>,
    ) -> S3Result<S3Response<GetObjectLockConfigurationOutput>> {
        self.note("GetObjectLockConfiguration", "", &req);
        Ok(S3Response::new(GetObjectLockConfigurationOutput::default()))
    }

    async fn put_object(
        &self,
        mut req: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let key = req.input.key.clone();
        let ways = self.note("PutObject", &key, &req);
        refused(ways, &req.headers)?;
        if let Some(code) = ways.refuses_put
            && !key.contains("probe")
        {
            let code = s3s::S3ErrorCode::from_bytes(code.as_bytes()).unwrap();
            let mut error = s3s::S3Error::with_message(code, "refused by the test");
            if error.status_code().is_none() {
                error.set_status_code(hyper::StatusCode::BAD_REQUEST);
            }
            return Err(error);
        }
        let _busy = match key.contains("probe") {
            true => None,
            false => Some(Busy::begin(&self.state)?),
        };
        if ways.silent && !key.contains("probe") {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(ways.takes).await;
        let input = &mut req.input;
        input.storage_class = None;
        input.tagging = None;
        if ways.ignores_checksums {
            input.checksum_crc32 = None;
            input.checksum_crc32c = None;
            input.checksum_crc64nvme = None;
        }
        if ways.ignores_conditions {
            input.if_none_match = None;
        }
        if ways.stores_framing {
            let framed = b"5;chunk-signature=0000\r\nhello\r\n0;chunk-signature=0000\r\n\r\n";
            input.content_length = Some(framed.len() as i64);
            input.body = Some(s3s::Body::from(framed.to_vec()).into());
            input.checksum_crc32 = None;
            input.checksum_crc32c = None;
            input.checksum_crc64nvme = None;
        }
        if ways.loses_a_byte && !key.contains("probe") {
            input.content_length = Some(4);
            input.body = Some(s3s::Body::from(b"lost".to_vec()).into());
            input.checksum_crc64nvme = None;
        }
        let encryption = input.server_side_encryption.clone();
        let writing = self.writing.lock().await;
        let mut answer = self.files.put_object(req).await?;
        drop(writing);
        if let Some(encryption) = encryption.filter(|_| !ways.ignores_encryption) {
            answer.output.server_side_encryption = Some(encryption.clone());
            self.state
                .lock()
                .unwrap()
                .encryption
                .insert(key, encryption);
        }
        Ok(answer)
    }

    async fn get_object(
        &self,
        req: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        self.note("GetObject", &req.input.key, &req);
        let mut answer = self.files.get_object(req).await?;
        // Ranges are served: AWS says so, too.
        answer.output.accept_ranges = Some("bytes".to_owned());
        Ok(answer)
    }

    async fn head_object(
        &self,
        req: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let key = req.input.key.clone();
        self.note("HeadObject", &key, &req);
        let mut answer = self.files.head_object(req).await?;
        let encryption = self.state.lock().unwrap().encryption.get(&key).cloned();
        answer.output.server_side_encryption = encryption;
        Ok(answer)
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.note("DeleteObject", &req.input.key, &req);
        self.files.delete_object(req).await
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.note("ListObjectsV2", "", &req);
        self.files.list_objects_v2(req).await
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let key = req.input.key.clone();
        self.note("CreateMultipartUpload", &key, &req);
        let upload = MultipartUpload {
            key: Some(key),
            checksum_algorithm: req.input.checksum_algorithm.clone(),
            checksum_type: req.input.checksum_type.clone(),
            storage_class: req.input.storage_class.clone(),
            initiated: Some(SystemTime::now().into()),
            ..Default::default()
        };
        let answer = self.files.create_multipart_upload(req).await?;
        let id = answer.output.upload_id.clone();
        let upload = MultipartUpload {
            upload_id: id.clone(),
            ..upload
        };
        self.state
            .lock()
            .unwrap()
            .uploads
            .insert(id.unwrap(), upload);
        Ok(answer)
    }

    async fn upload_part(
        &self,
        req: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let part = (req.input.upload_id.clone(), req.input.part_number);
        let sum = req.input.checksum_crc64nvme.clone();
        let ways = self.note("UploadPart", &req.input.key, &req);
        let _busy = Busy::begin(&self.state)?;
        tokio::time::sleep(ways.takes).await;
        let answer = self.files.upload_part(req).await?;
        let etag = answer.output.e_tag.clone().unwrap();
        self.state.lock().unwrap().parts.insert(part, (etag, sum));
        Ok(answer)
    }

    async fn list_parts(
        &self,
        req: S3Request<ListPartsInput>,
    ) -> S3Result<S3Response<ListPartsOutput>> {
        let id = req.input.upload_id.clone();
        let ways = self.note("ListParts", &req.input.key, &req);
        let mut answer = self.files.list_parts(req).await?;
        let state = self.state.lock().unwrap();
        for part in answer.output.parts.iter_mut().flatten() {
            let number = part.part_number.unwrap();
            if let Some((etag, sum)) = state.parts.get(&(id.clone(), number)).cloned() {
                // A server that lists checksums need not have MD5 sums for ETags.
                match ways.lists_part_checksums {
                    true => part.checksum_crc64nvme = sum,
                    false => part.e_tag = Some(etag),
                }
            }
        }
        Ok(answer)
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let ways = self.note("ListMultipartUploads", "", &req);
        if ways.lists_no_uploads {
            return Err(s3_error!(NotImplemented));
        }
        let prefix = req.input.prefix.unwrap_or_default();
        let state = self.state.lock().unwrap();
        let uploads = state.uploads.values();
        let uploads = uploads
            .filter(|upload| upload.key.as_ref().unwrap().starts_with(&prefix))
            .cloned()
            .collect();
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(req.input.bucket),
            is_truncated: Some(false),
            uploads: Some(uploads),
            ..Default::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        mut req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let id = req.input.upload_id.clone();
        let ways = self.note("CompleteMultipartUpload", &req.input.key, &req);
        if ways.ignores_conditions {
            req.input.if_none_match = None;
        }
        let writing = self.writing.lock().await;
        let answer = self.files.complete_multipart_upload(req).await?;
        drop(writing);
        self.state.lock().unwrap().uploads.remove(&id);
        Ok(answer)
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let id = req.input.upload_id.clone();
        self.note("AbortMultipartUpload", &req.input.key, &req);
        let answer = self.files.abort_multipart_upload(req).await?;
        self.state.lock().unwrap().uploads.remove(&id);
        Ok(answer)
    }
}
