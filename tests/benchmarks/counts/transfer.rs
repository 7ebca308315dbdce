//! A recording on its way from a server to a bucket, both of them here.

#[path = "../queue.rs"]
mod queue;

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
};

use recording_host_engine::transfer::{DeliveryReport, SinkBinding, Transfer, TransferError};
use recording_host_http::{AllowedOrigins, Authenticator, Downloads};
use recording_host_model::{
    Artifact, ArtifactKey, Container, Download, Origin, OriginRole, RecordingKey, clock::Clock,
};
use recording_host_sink_s3::{Credentials, Identity, S3, S3SinkConfig};
use tokio::runtime::{Builder, Runtime};

/// The length of the recording, in bytes.
const LENGTH: usize = 1 << 20;
const SUM: &str = "x-amz-checksum-crc64nvme:";

/// Delivers a recording twice: the first time opens connections and loads certificates, whose number is up to
/// the machine.
pub(super) fn deliver() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let origin = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A connection that breaks off ends its thread, and nothing else.
            std::thread::spawn(move || serve(&stream));
        }
    });
    let folder = tempfile::tempdir()?;
    let origins = [Origin {
        role: OriginRole::Media,
        url: origin.clone(),
    }];
    let downloads = Downloads::new(
        AllowedOrigins::new(&origins, None, true),
        Arc::new(Authenticator::None),
        Clock::default(),
    )?;
    // What the counted thread does is all but the server and the queue.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let queue = runtime.block_on(queue::with("c", folder.path()))?;
    let transfer = Transfer::new(downloads, Arc::new(queue), folder.path().to_owned());
    let bucket = runtime.block_on(bucket(&origin));
    let binding = SinkBinding::new("bucket", Arc::new(bucket));
    let recording = recording(&origin);
    runtime.block_on(transfer.deliver(&recording, &[&binding]))?;
    let report = counted(&runtime, &transfer, &recording, &binding)?;
    match report.contents.objects.as_slice() {
        [(_, object)] if object.size == LENGTH as u64 && object.etag.is_some() => Ok(()),
        _ => Err(format!("the recording is not in the bucket: {report:?}").into()),
    }
}

/// `.ci/counts` counts what happens in here, by this name.
#[inline(never)]
fn counted(
    runtime: &Runtime,
    transfer: &Transfer,
    recording: &Artifact,
    binding: &SinkBinding,
) -> Result<DeliveryReport, TransferError> {
    runtime.block_on(transfer.deliver(recording, &[binding]))
}

fn recording(origin: &str) -> Artifact {
    Artifact {
        key: ArtifactKey::Recording(RecordingKey {
            conversation: "c".to_owned(),
            recording: "r".to_owned(),
            part: 0,
        }),
        download: Download {
            url: format!("{origin}/recording"),
            headers: Vec::new(),
            authenticated: false,
            expires: None,
        },
        content_type: Some("audio/wav".to_owned()),
        container: Container::Single,
        size: None,
        sha256: None,
    }
}

async fn bucket(origin: &str) -> S3 {
    S3::new(S3SinkConfig {
        bucket: "bucket".to_owned(),
        region: Some("eu-west-1".to_owned()),
        endpoint: Some(origin.to_owned()),
        path_style: true,
        identity: Identity {
            source: Credentials::Static {
                access_key_id: "key".into(),
                secret_access_key: "secret".into(),
                session_token: None,
            },
            role: None,
        },
        ..S3SinkConfig::default()
    })
    .await
}

/// A WAV file of silence.
fn wav() -> Vec<u8> {
    let length = |header: usize| ((LENGTH - header) as u32).to_le_bytes();
    let format = b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data";
    let header = [b"RIFF", &length(8)[..], format, &length(44)].concat();
    let mut file = vec![0; LENGTH];
    file[..header.len()].copy_from_slice(&header);
    file
}

/// Answers the requests of a connection: the recording; an object that is there as soon as it is put, with the
/// checksum that came with it, as S3 does.
fn serve(stream: &TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let header = |name: &str| head.lines().find(|line| line.starts_with(name));
        if head.starts_with("PUT") {
            let length = header("content-length:").and_then(|line| line[15..].trim().parse().ok());
            let mut body = vec![0; length.unwrap_or(0)];
            reader.read_exact(&mut body)?;
            let sum = header(SUM).ok_or(io::ErrorKind::InvalidData)?;
            write!(
                writer,
                "HTTP/1.1 200 OK\r\netag: \"1\"\r\n{sum}\r\ncontent-length: 0\r\n\r\n"
            )?;
        } else if head.starts_with("GET") {
            write!(
                writer,
                "HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n"
            )?;
            writer.write_all(&wav())?;
        } else {
            write!(
                writer,
                "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
            )?;
        }
    }
}
