//! The guarantees of every sink, as a suite that each can be put through, an embedder's own among them.
//!
//! ```no_run
//! # async fn example(sink: &dyn recording_host_sink::Sink) {
//! recording_host_sink::conformance::all(sink, "conformance").await.unwrap();
//! # }
//! ```
//!
//! The objects it leaves are below the prefix that it is given, below which nothing may be before.
//! A sink that cannot be read is put through the part that needs no reading.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, future::join_all};

use super::{Body, PutOptions, PutResult, Sink, SinkError, SinkExt, Store, StoreExt};

/// A promise that a sink does not keep.
#[derive(Debug, thiserror::Error)]
#[error("{promise}: {reason}")]
pub struct Failure {
    /// The promise.
    pub promise: &'static str,
    /// How it is broken.
    pub reason: String,
}

/// How often an object is read that cannot be read to its end.
const READS: u32 = 3;
/// The length of an object that no sink is expected to take in one request, in bytes.
const LARGE: usize = 20 << 20;

/// Names with which sinks have had trouble.
const ODD: [&str; 8] = [
    "a b.wav",
    "plus+and&equal=.wav",
    "percent%20.wav",
    "hash#question?.wav",
    "quote'\"<>.wav",
    "grüße-日本.wav",
    "dots..and.~tilde.wav",
    "brackets[1](2){3}.wav",
];

/// Puts a sink through all of it, with keys below `prefix`.
///
/// # Errors
/// The first promise that is not kept.
pub async fn all(sink: &dyn Sink, prefix: &str) -> Result<(), Failure> {
    let suite = Suite {
        sink,
        store: sink.store(),
        prefix: prefix.trim_matches('/'),
    };
    suite.check().await?;
    suite.round_trips().await?;
    suite.ranges().await?;
    suite.broken_off().await?;
    suite.idempotent().await?;
    suite.concurrent().await?;
    suite.odd_keys().await?;
    suite.replaced().await?;
    suite.listed().await?;
    suite.deleted().await?;
    suite.cleaned_up().await
}

struct Suite<'a> {
    sink: &'a dyn Sink,
    store: Option<&'a dyn Store>,
    prefix: &'a str,
}

/// Bytes that differ from place to place, and from seed to seed.
fn bytes(seed: u64, length: usize) -> Bytes {
    let mut state = seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let words = std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    let mut data: Vec<u8> = words.take(length.div_ceil(8)).flatten().collect();
    data.truncate(length);
    data.into()
}

fn info(size: Option<u64>, replace: bool) -> PutOptions {
    PutOptions {
        content_type: "audio/wav".into(),
        size,
        replace,
        plaintext: false,
    }
}

impl Suite<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    async fn put(&self, name: &str, data: &Bytes, replace: bool) -> Result<PutResult, SinkError> {
        let info = info(None, replace);
        self.sink
            .put_bytes(&self.key(name), info, data.clone())
            .await
    }

    /// Puts an object whose length is not known beforehand, in frames; without an end if `broken`.
    async fn put_frames(
        &self,
        name: &str,
        data: &Bytes,
        broken: bool,
    ) -> Result<PutResult, SinkError> {
        let (feed, body) = Body::channel();
        let key = self.key(name);
        let feeding = async {
            for frame in data.chunks(100_000) {
                if feed.send(data.slice_ref(frame)).await.is_err() {
                    return;
                }
            }
            if broken {
                drop(feed);
            } else {
                feed.end().await;
            }
        };
        tokio::join!(self.sink.put(&key, info(None, true), body), feeding).0
    }

    async fn ranges(&self) -> Result<(), Failure> {
        const PROMISE: &str = "a range of an object is what the object has there";
        let Some(store) = self.store.filter(|_| !self.sink.encrypts()) else {
            return Ok(());
        };
        let data = bytes(9, 700_000);
        let put = self.put("ranges.wav", &data, true).await;
        put.map_err(broken(PROMISE))?;
        for (from, to) in [(0, 1), (0, 700_000), (299_999, 300_001), (699_990, 900_000)] {
            let got = store.get_range(&self.key("ranges.wav"), from..to).await;
            let body = got.map_err(broken(PROMISE))?;
            let mut found = Vec::new();
            if let Some(mut body) = body {
                while let Ok(Some(part)) = body.next().await {
                    found.extend_from_slice(&part);
                }
            }
            let wanted = &data[from as usize..data.len().min(to as usize)];
            ensure(PROMISE, found == wanted, || {
                format!("{from}..{to}: {} other bytes", found.len())
            })?;
        }
        Ok(())
    }

    /// The object as it is stored; none if there is none, or the sink cannot be read.
    async fn read(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        let Some(store) = self.store else {
            return Ok(None);
        };
        let mut tried = 0;
        loop {
            tried += 1;
            match store.read(&self.key(name)).await {
                // Any read may break off, as long as it says that another one can succeed.
                Err(error) if error.retryable && tried < READS => {}
                read => return read.map_err(|error| error.to_string()),
            }
        }
    }

    async fn holds(&self, promise: &'static str, name: &str, data: &Bytes) -> Result<(), Failure> {
        if self.store.is_none() {
            return Ok(());
        }
        let fail = |reason: String| Failure {
            promise,
            reason: format!("{}: {reason}", self.key(name)),
        };
        match self.read(name).await.map_err(fail)? {
            Some(found) if found == *data => Ok(()),
            Some(found) => Err(fail(format!(
                "{} bytes that are not the {} that were put",
                found.len(),
                data.len()
            ))),
            None => Err(fail("it is not there".into())),
        }
    }

    async fn check(&self) -> Result<(), Failure> {
        const PROMISE: &str = "a sink that works passes its check";
        let health = self.sink.check().await.map_err(broken(PROMISE))?;
        ensure(PROMISE, !health.found.contains('\n'), || {
            "what it found is more than a line".into()
        })
    }

    async fn round_trips(&self) -> Result<(), Failure> {
        const PROMISE: &str = "what is put is there, whole, when the put returns";
        for (name, data) in [
            ("empty.wav", Bytes::new()),
            ("small.wav", bytes(1, 1000)),
            ("medium.wav", bytes(2, 3 << 20)),
        ] {
            let stored = self.put(name, &data, true).await.map_err(broken(PROMISE))?;
            ensure(PROMISE, stored.size == data.len() as u64, || {
                format!("{name}: {} bytes reported", stored.size)
            })?;
            self.holds(PROMISE, name, &data).await?;
        }
        for (name, length) in [("unknown.wav", 1000), ("large.wav", LARGE)] {
            let data = bytes(3, length);
            let stored = self.put_frames(name, &data, false).await;
            let stored = stored.map_err(broken(PROMISE))?;
            ensure(PROMISE, stored.size == length as u64, || {
                format!("{name}: {} bytes reported", stored.size)
            })?;
            self.holds(PROMISE, name, &data).await?;
        }
        let missing = self.read("never-put.wav").await;
        ensure(PROMISE, missing == Ok(None), || {
            format!("an object that was never put reads as {missing:?}")
        })
    }

    async fn broken_off(&self) -> Result<(), Failure> {
        const PROMISE: &str = "a body that breaks off leaves nothing";
        for (name, length) in [("broken-small.wav", 1000), ("broken-large.wav", LARGE)] {
            let result = self.put_frames(name, &bytes(4, length), true).await;
            match result {
                Ok(_) => ensure(PROMISE, false, || format!("{name}: the put succeeded"))?,
                Err(error) => ensure(PROMISE, error.retryable, || {
                    format!("{name}: {error}, as if another attempt were of no use")
                })?,
            }
            let left = self.read(name).await;
            ensure(PROMISE, left == Ok(None), || {
                format!(
                    "{name}: {} bytes are there",
                    left.map_or(0, |left| left.map_or(0, |left| left.len()))
                )
            })?;
        }
        Ok(())
    }

    async fn idempotent(&self) -> Result<(), Failure> {
        const PROMISE: &str = "the same object put again changes nothing and is a success";
        for (name, length) in [("again-small.wav", 1000), ("again-large.wav", LARGE)] {
            let data = bytes(5, length);
            for _ in 0..2 {
                let stored = self.put(name, &data, false).await;
                let stored = stored.map_err(broken(PROMISE))?;
                ensure(PROMISE, stored.size == length as u64, || {
                    format!("{name}: {} bytes reported", stored.size)
                })?;
            }
            self.holds(PROMISE, name, &data).await?;
        }
        Ok(())
    }

    async fn concurrent(&self) -> Result<(), Failure> {
        const PROMISE: &str = "puts of the same key at once leave one whole object";
        let versions: Vec<Bytes> = (0..4).map(|seed| bytes(10 + seed, 2 << 20)).collect();
        let puts = versions
            .iter()
            .map(|data| self.put("at-once.wav", data, true));
        let results = join_all(puts).await;
        for error in results.iter().filter_map(|result| result.as_ref().err()) {
            ensure(PROMISE, error.retryable, || error.to_string())?;
        }
        ensure(PROMISE, results.iter().any(Result::is_ok), || {
            "none of them succeeded".into()
        })?;
        let found = self.read("at-once.wav").await.map_err(|reason| Failure {
            promise: PROMISE,
            reason,
        })?;
        let whole = found.is_none_or(|found| versions.iter().any(|data| found == *data));
        ensure(PROMISE, whole, || {
            "the object is none of the versions that were put".into()
        })
    }

    async fn odd_keys(&self) -> Result<(), Failure> {
        const PROMISE: &str = "a key is what it is, whatever characters it has";
        for (seed, name) in ODD.iter().enumerate() {
            let name = format!("odd/{name}");
            let data = bytes(20 + seed as u64, 100);
            self.put(&name, &data, true)
                .await
                .map_err(broken(PROMISE))?;
            self.holds(PROMISE, &name, &data).await?;
        }
        let Some(store) = self.store else {
            return Ok(());
        };
        let found = listed(store, &self.key("odd/"))
            .await
            .map_err(broken(PROMISE))?;
        for name in ODD {
            let key = self.key(&format!("odd/{name}"));
            ensure(PROMISE, found.contains(&key), || {
                format!("{key} is not in the listing: {found:?}")
            })?;
        }
        Ok(())
    }

    async fn replaced(&self) -> Result<(), Failure> {
        const PROMISE: &str = "a different object is replaced if the caller says so, and only then";
        if self.store.is_none() {
            return Ok(());
        }
        for (name, length) in [("rules-small.wav", 1000), ("rules-large.wav", LARGE)] {
            let (one, other) = (bytes(30, length), bytes(31, length));
            self.put(name, &one, true).await.map_err(broken(PROMISE))?;
            match self.put(name, &other, false).await {
                Ok(_) => ensure(PROMISE, false, || format!("{name} was replaced unasked"))?,
                Err(error) => ensure(
                    PROMISE,
                    !error.retryable
                        && error.to_string().contains(name)
                        && error.reason.contains("overwrite"),
                    || format!("{error}: it should name the key and how to fix it"),
                )?,
            }
            self.holds(PROMISE, name, &one).await?;
            self.put(name, &other, true)
                .await
                .map_err(broken(PROMISE))?;
            self.holds(PROMISE, name, &other).await?;
        }
        Ok(())
    }

    async fn listed(&self) -> Result<(), Failure> {
        const PROMISE: &str = "objects are listed by prefix, in the order of their keys";
        let Some(store) = self.store else {
            return Ok(());
        };
        let names = [
            "list/2026/01/02/b.wav",
            "list/2026/01/01/c.wav",
            "list/2026/01/01/a.wav",
            "list/2026/01.txt",
            "list/2025/12/31/d.wav",
        ];
        for name in names {
            let data = bytes(40, name.len());
            self.put(name, &data, true).await.map_err(broken(PROMISE))?;
        }
        for prefix in [
            "list/",
            "list/2026/01/",
            "list/2026/0",
            "list/2026/01/02/b.wav",
            "list/x",
        ] {
            let mut expected: Vec<String> = names
                .iter()
                .filter(|name| name.starts_with(prefix))
                .map(|name| self.key(name))
                .collect();
            expected.sort_unstable();
            let found = listed(store, &self.key(prefix)).await;
            let found = found.map_err(broken(PROMISE))?;
            ensure(PROMISE, found == expected, || {
                format!("{prefix}: {found:?} instead of {expected:?}")
            })?;
        }
        let mut found = store.list(&self.key("list/2026/01.txt"));
        let one = found.next().await.transpose().map_err(broken(PROMISE))?;
        let size = one.map(|one| one.size);
        ensure(PROMISE, size == Some(names[3].len() as u64), || {
            format!("its listed size is {size:?}")
        })
    }

    async fn deleted(&self) -> Result<(), Failure> {
        const PROMISE: &str =
            "what is deleted is gone, and only that; deleting nothing is a success";
        let Some(store) = self.store else {
            return Ok(());
        };
        let data = bytes(45, 1000);
        for name in ["delete/a.wav", "delete/a.wav.txt"] {
            self.put(name, &data, true).await.map_err(broken(PROMISE))?;
        }
        for key in ["delete/a.wav", "delete/a.wav", "delete/never-put.wav"] {
            let deleted = store.delete(&self.key(key)).await;
            deleted.map_err(broken(PROMISE))?;
        }
        let found = listed(store, &self.key("delete/")).await;
        let found = found.map_err(broken(PROMISE))?;
        ensure(PROMISE, found == [self.key("delete/a.wav.txt")], || {
            format!("{found:?} is there")
        })?;
        let gone = self.read("delete/a.wav").await;
        ensure(PROMISE, gone == Ok(None), || "it can be read".into())?;
        let again = self.put("delete/a.wav", &data, false).await;
        again.map_err(broken(PROMISE))?;
        self.holds(PROMISE, "delete/a.wav", &data).await
    }

    async fn cleaned_up(&self) -> Result<(), Failure> {
        const PROMISE: &str = "after a cleanup there is nothing left of puts that came to no end";
        // A put that is dropped on its way, as it is when a run is stopped.
        let (feed, body) = Body::channel();
        let key = self.key("dropped.wav");
        let data = bytes(50, 1 << 20);
        {
            let put = self.sink.put(&key, info(Some(64 << 20), true), body);
            let feeding = async {
                for _ in 0..LARGE >> 20 {
                    if feed.send(data.clone()).await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! {
                biased;
                _ = put => {}
                () = feeding => {}
            }
        }
        drop(feed);
        self.sink.cleanup().await.map_err(broken(PROMISE))?;
        let left = self.read("dropped.wav").await;
        ensure(PROMISE, left == Ok(None), || "the object is there".into())?;
        let whole = bytes(51, LARGE);
        let mut tried = 0;
        loop {
            // The dropped put may take a moment to let go.
            match self.put("dropped.wav", &whole, true).await {
                Err(error) if error.retryable && tried < 20 => {
                    tried += 1;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                result => {
                    result.map_err(broken(PROMISE))?;
                    break;
                }
            }
        }
        self.sink.cleanup().await.map_err(broken(PROMISE))?;
        self.holds(PROMISE, "dropped.wav", &whole).await?;
        if let Some(store) = self.store {
            let found = listed(store, &self.key(""))
                .await
                .map_err(broken(PROMISE))?;
            let strange = found
                .iter()
                .find(|key| key.contains(".part") || key.contains("broken"));
            ensure(PROMISE, strange.is_none(), || {
                format!("{strange:?} is there")
            })?;
        }
        Ok(())
    }
}

async fn listed(store: &dyn Store, prefix: &str) -> Result<Vec<String>, SinkError> {
    store
        .list(prefix)
        .map_ok(|found| found.key)
        .try_collect()
        .await
}

fn broken(promise: &'static str) -> impl Fn(SinkError) -> Failure {
    move |error| Failure {
        promise,
        reason: error.to_string(),
    }
}

fn ensure(
    promise: &'static str,
    kept: bool,
    reason: impl FnOnce() -> String,
) -> Result<(), Failure> {
    if kept {
        Ok(())
    } else {
        let reason = reason();
        Err(Failure { promise, reason })
    }
}
