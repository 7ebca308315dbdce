//! The bucket of the server: what it takes, refuses and reports.

use super::*;

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
        // Long: one request, in the order of the protocol.
        let key = req.input.key.clone();
        let ways = self.note("PutObject", &key, &req);
        refused(ways, &req.headers)?;
        let locked = req.input.object_lock_mode.is_some();
        let names = ["content-md5", "x-amz-sdk-checksum-algorithm"];
        if locked && !names.iter().any(|name| req.headers.contains_key(*name)) {
            return Err(s3_error!(
                InvalidRequest,
                "Content-MD5 or x-amz-sdk-checksum-algorithm is required with a retention"
            ));
        }
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
            input.content_md5 = None;
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
