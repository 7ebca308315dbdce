//! How fast rows are written, and in how much memory: `cargo bench -p recording-host-cli --bench metadata`.
//!
//! Each way of writing runs in a process of its own, so that each has a peak of
//! its own. Only the writing is timed, by the processor's time. Trust the ratio, which is that of
//! the best of five rounds, in which the ways take turns.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    process::Command,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::{Compression as Codec, ZstdLevel},
    file::properties::WriterProperties,
};
use recording_host_engine::{receipt, transfer::SinkBinding};
use recording_host_metadata::{Compression, RowFormat, RowSettings, Writer};
use recording_host_model::Segment;
use recording_host_sink::filesystem::Filesystem;

#[path = "metadata/conversations.rs"]
mod conversations;

use conversations::{SINK, conversations};

/// How often each way runs.
const ROUNDS: usize = 5;
const SEGMENTS: u64 = 100;
const CONVERSATIONS: u64 = 10_000;

/// Discards what it counts.
#[derive(Default)]
struct Count(u64);

impl Write for Count {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0 += data.len() as u64;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ways = ["jsonl", "jsonl+zstd", "parquet", "bare parquet"];
    if let Some(way) = std::env::args().find_map(|argument| {
        let way = argument.strip_prefix("--way=")?;
        Some(way.to_owned())
    }) {
        return run(&way);
    }
    println!("{} rows", SEGMENTS * CONVERSATIONS);
    println!("way              rows/s     MB out   peak MB");
    let mut best = BTreeMap::<&str, [f64; 3]>::new();
    for way in std::iter::repeat_n(ways, ROUNDS).flatten() {
        let reported = child(way)?;
        let mut numbers = reported.split_whitespace().map(str::parse::<f64>);
        let mut next = || numbers.next().ok_or("the child said too little");
        let (rows, seconds, bytes, peak) = (next()??, next()??, next()??, next()??);
        let known = best.entry(way).or_default();
        if known[0] < rows / seconds {
            *known = [rows / seconds, bytes / 1e6, peak];
        }
    }
    for way in ways {
        let [speed, bytes, peak] = best[way];
        println!("{way:<14}{speed:>10.0} {bytes:>10.1} {peak:>9.0}");
    }
    println!(
        "parquet at {:.2} of the bare crate's speed",
        best["parquet"][0] / best["bare parquet"][0]
    );
    println!("{}", child("segment")?.trim());
    Ok(())
}

fn child(way: &str) -> Result<String, Box<dyn std::error::Error>> {
    let program = std::env::current_exe()?;
    let ran = Command::new(program).arg(format!("--way={way}")).output()?;
    if !ran.status.success() {
        return Err(format!("{way}: {}", String::from_utf8_lossy(&ran.stderr)).into());
    }
    Ok(String::from_utf8(ran.stdout)?)
}

fn run(way: &str) -> Result<(), Box<dyn std::error::Error>> {
    let (taken, bytes) = match way {
        "jsonl" => ours(RowSettings::default())?,
        "jsonl+zstd" => ours(RowSettings::new(RowFormat::Jsonl, Some(Compression::Zstd))?)?,
        "parquet" => ours(RowSettings::new(RowFormat::Parquet, None)?)?,
        "bare parquet" => bare()?,
        "segment" => return filed(),
        other => return Err(format!("no way is called {other}").into()),
    };
    let rows = SEGMENTS * CONVERSATIONS;
    println!(
        "{rows} {} {bytes} {}",
        taken.as_secs_f64(),
        memory("VmHWM:")
    );
    Ok(())
}

/// One file of all rows by this crate.
fn ours(settings: RowSettings) -> io::Result<(Duration, u64)> {
    let mut taken = Duration::ZERO;
    let mut writer = Writer::new(settings, Count::default())?;
    for number in 0..SEGMENTS {
        let conversations = conversations(number, CONVERSATIONS, 1);
        let began = spent();
        for completed in &conversations {
            writer.write(completed, SINK)?;
        }
        taken += spent().saturating_sub(began);
    }
    let began = spent();
    let bytes = writer.finish()?.0;
    Ok((taken + spent().saturating_sub(began), bytes))
}

/// One file of the same rows by the crate `parquet` as it comes, from batches that are there.
fn bare() -> Result<(Duration, u64), Box<dyn std::error::Error>> {
    let properties = WriterProperties::builder()
        .set_compression(Codec::ZSTD(ZstdLevel::try_new(1)?))
        .build();
    let mut taken = Duration::ZERO;
    let mut writer = None;
    for number in 0..SEGMENTS {
        let mut rows = Writer::new(RowSettings::new(RowFormat::Parquet, None)?, Vec::new())?;
        for completed in &conversations(number, CONVERSATIONS, 1) {
            rows.write(completed, SINK)?;
        }
        let file = bytes::Bytes::from(rows.finish()?);
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)?.build()?;
        let batches = reader.collect::<Result<Vec<_>, _>>()?;
        let began = spent();
        for batch in &batches {
            if writer.is_none() {
                let schema = batch.schema();
                let properties = Some(properties.clone());
                writer = Some(ArrowWriter::try_new(Count::default(), schema, properties)?);
            }
            if let Some(writer) = &mut writer {
                writer.write(batch)?;
            }
        }
        taken += spent().saturating_sub(began);
    }
    let began = spent();
    let bytes = writer.ok_or("no rows")?.into_inner()?.0;
    Ok((taken + spent().saturating_sub(began), bytes))
}

/// The time that this thread has had a processor for, so that what else the machine does counts
/// less; where the system does not report it, the time of the clock.
fn spent() -> Duration {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let reported = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = reported
        .split_whitespace()
        .next()
        .and_then(|number| number.parse().ok());
    nanoseconds.map_or_else(|| BEGAN.elapsed(), Duration::from_nanos)
}

/// A whole segment with three objects a conversation, filed in a folder.
fn filed() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Runtime::new()?;
    for format in [RowFormat::Jsonl, RowFormat::Parquet] {
        let output = SinkBinding {
            metadata: RowSettings::new(format, None)?,
            ..SinkBinding::new(SINK, Arc::new(Filesystem::new(folder.path().to_owned())))
        };
        let segment = Segment {
            number: 1,
            day: "2026-01-05".to_owned(),
            ids: Vec::new(),
            replaces: BTreeMap::new(),
            apart: false,
        };
        let conversations = conversations(1, CONVERSATIONS, 3);
        let before = memory("VmHWM:");
        let began = Instant::now();
        runtime.block_on(receipt::commit_segment_alone(
            &receipt::ReceiptContext::new("bench"),
            &segment,
            conversations,
            &output,
            &[],
        ))?;
        println!(
            "a segment of {CONVERSATIONS} conversations, {} rows, filed as {format:?} in {} ms and {:.0} MB more",
            CONVERSATIONS * 3,
            began.elapsed().as_millis(),
            memory("VmHWM:") - before
        );
    }
    Ok(())
}

/// A figure of this process in MB, or nothing where the system does not report it.
fn memory(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kb = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kb.map_or(f64::NAN, |kb| kb / 1000.0)
}
