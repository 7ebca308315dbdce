//! How fast archives are unpacked, next to the bare inflate library in the same run.
//!
//! `cargo bench -p recording-host --bench unpack`. Target: at least 0.9 times the library's speed.

#[path = "../../../tests/benchmarks/queue.rs"]
mod queue;

use std::{
    fs::File,
    hint::black_box,
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use flate2::{Compression, Decompress, FlushDecompress, Status, write::DeflateEncoder};
use recording_host_engine::transfer::{SinkBinding, Transfer};
use recording_host_http::{AllowedOrigins, Authenticator, Downloads};
use recording_host_model::{
    Artifact, ArtifactKey, Container, Download, Origin, OriginRole, RecordingKey, clock::Clock,
};
use recording_host_sink::{Body, Health, PutOptions, PutResult, Sink, SinkError};
use recording_host_zip::{Archive, ZipLimits};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// How much is unpacked in a round, in bytes.
const LENGTH: usize = 64 << 20;
const ROUNDS: usize = 7;

/// Something like speech: tones that come and go over noise, 16-bit samples.
fn speech() -> Vec<u8> {
    let mut noise = 1_u32;
    let samples = (0..LENGTH / 2).map(|number| {
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        let time = number as f64 / 8000.0;
        let loud = (time * 0.7).sin().max(0.0) * 6000.0;
        let tone = (time * 1200.0).sin() + (time * 2900.0).sin() * 0.5;
        (tone * loud) as i16 + (noise % 32) as i16
    });
    samples.flat_map(i16::to_le_bytes).collect()
}

/// A transcript: the same words again and again.
fn text() -> Vec<u8> {
    let lines = (0_u64..).flat_map(|number| {
        let at = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        format!(
            "{{\"time\":{number},\"from\":\"agent-{at}\",\"body\":\"Let me look into that\"}}\n"
        )
        .into_bytes()
    });
    lines.take(LENGTH).collect()
}

/// The bare library.
fn inflate(packed: &[u8]) -> usize {
    let mut state = Decompress::new(false);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let from = state.total_in() as usize;
        let status = state
            .decompress(&packed[from..], &mut buffer, FlushDecompress::None)
            .expect("the data are sound");
        black_box(&buffer);
        if status == Status::StreamEnd {
            return state.total_out() as usize;
        }
    }
}

fn zipped(data: &[u8]) -> File {
    let file = tempfile::tempfile().expect("there is a folder for temporary files");
    let mut zip = ZipWriter::new(file);
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    zip.start_file("a.wav", options).expect("it can be written");
    zip.write_all(data).expect("it can be written");
    zip.finish().expect("it can be written")
}

/// A sink that throws everything away.
#[derive(Debug)]
struct Nowhere;

#[async_trait]
impl Sink for Nowhere {
    async fn check(&self) -> Result<Health, SinkError> {
        Ok(Health::default())
    }

    async fn put(&self, key: &str, _: PutOptions, mut body: Body) -> Result<PutResult, SinkError> {
        let mut size = 0;
        loop {
            match body.next().await {
                Ok(Some(data)) => size += data.len() as u64,
                Ok(None) => {
                    return Ok(PutResult {
                        size,
                        etag: None,
                        encrypted: None,
                    });
                }
                Err(error) => {
                    return Err(
                        SinkError::new("nowhere", key, error.to_string()).with_retryable(true)
                    );
                }
            }
        }
    }
}

/// A media server with one file.
async fn serve(body: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let length = body.len();
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&body).await;
        }
    });
    origin
}

/// A transfer from a server on this machine to [`Nowhere`], and what to transfer.
async fn delivery(folder: &std::path::Path, zip: Vec<u8>) -> (Transfer, SinkBinding, Artifact) {
    let origin = serve(zip).await;
    let origins = [Origin {
        role: OriginRole::Media,
        url: origin.clone(),
    }];
    let binding = SinkBinding::new("nowhere", Arc::new(Nowhere));
    let transfer = Transfer::new(
        Downloads::new(
            AllowedOrigins::new(&origins, None, true),
            Arc::new(Authenticator::None),
            Clock::default(),
        )
        .unwrap(),
        Arc::new(
            queue::with("c", folder)
                .await
                .expect("the folder can be used"),
        ),
        folder.to_owned(),
    );
    let artifact = Artifact {
        key: ArtifactKey::Recording(RecordingKey {
            conversation: "c".to_owned(),
            recording: "r".to_owned(),
            part: 0,
        }),
        download: Download {
            url: format!("{origin}/a.zip"),
            headers: Vec::new(),
            authenticated: false,
            expires: None,
        },
        content_type: None,
        container: Container::Zip,
        size: None,
        sha256: None,
    };
    (transfer, binding, artifact)
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for (name, data) in [("speech", speech()), ("text", text())] {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&data).expect("memory takes it");
        let packed = encoder.finish().expect("memory takes it");
        let file = zipped(&data);
        let whole = {
            use std::io::{Read, Seek};
            let mut file = file.try_clone().expect("it is open");
            let mut whole = Vec::new();
            file.rewind().expect("it is a file");
            file.read_to_end(&mut whole).expect("it is a file");
            whole
        };
        let archive = Archive::open(file, &ZipLimits::default()).expect("it is sound");
        let folder = tempfile::tempdir().expect("there is a folder for temporary files");
        let (transfer, binding, artifact) = runtime.block_on(delivery(folder.path(), whole));
        let mut best = [Duration::MAX; 3];
        for _ in 0..ROUNDS {
            let mut round = [Duration::ZERO; 3];
            let began = Instant::now();
            assert_eq!(inflate(&packed), data.len());
            round[0] = began.elapsed();
            let began = Instant::now();
            let unpacked = archive.unpack(&archive.entries()[0], |data| {
                black_box(data);
                true
            });
            assert_eq!(unpacked, Ok(true));
            round[1] = began.elapsed();
            let began = Instant::now();
            let delivery = runtime
                .block_on(transfer.deliver(&artifact, &[&binding]))
                .expect("it is sound");
            assert_eq!(delivery.contents.objects.len(), 1);
            round[2] = began.elapsed();
            for (best, this) in best.iter_mut().zip(round) {
                *best = this.min(*best);
            }
        }
        let packed = data.len() as f64 / packed.len() as f64;
        println!("{name}, packed {packed:.1} : 1, best of {ROUNDS}");
        let what = [
            "the bare library",
            "Archive::unpack, with CRC",
            "Transfer::deliver: download, spool, unpack, CRC, sha256",
        ];
        for (what, time) in what.iter().zip(best) {
            let speed = data.len() as f64 / 1e6 / time.as_secs_f64();
            let ratio = best[0].as_secs_f64() / time.as_secs_f64();
            println!("  {speed:6.0} MB/s  {ratio:4.2} x  {what}");
        }
    }
}
