//! The facts of a simulation, its faults, and the result that is required of it.

mod check;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{StreamExt, stream, stream::BoxStream};
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use recording_host_model::clock::Clock;
use recording_host_sink::{
    Body, DifferentObject, Health, ObjectMeta, PutOptions, PutResult, Sink, SinkError, Store,
};

/// 2026-01-05T00:00:00Z
pub(super) const START: u64 = 1_767_571_200_000;
pub(super) const DAY: u64 = 86_400_000;

/// A call that there was.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) flagged: bool,
    /// For each recording, when it is available (ms); none if never.
    pub(super) recordings: Vec<Option<u64>>,
    /// When there is one more, of which nothing is said before (ms).
    pub(super) more: Option<u64>,
}

impl Call {
    /// Returns true if its recordings are requested.
    pub(super) fn wanted(&self) -> bool {
        self.flagged
    }

    /// How many recordings are spoken of.
    pub(super) fn extent(&self, now: u64) -> u64 {
        self.recordings.len() as u64 + u64::from(self.more.is_some_and(|at| at <= now))
    }
}

/// A change to the sinks between two runs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// There is one more.
    Add,
    /// One is wiped, and filled anew.
    Wipe,
    /// Objects, receipts and rows are lost and spoiled, and repaired.
    Damage,
}

/// What kills each machine that does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Poison {
    /// Asking for fresh links to the files of a conversation.
    Refresh,
    /// To request the recordings of a conversation.
    Step,
    /// To download a recording.
    Download,
}

/// Everything that outlives a crash.
pub(super) struct World {
    pub(super) rng: SmallRng,
    pub(super) conversations: Vec<Call>,
    /// How many days are followed; none for an export of the past.
    pub(super) days: Option<u64>,
    /// True if fetches say how much there is of a conversation, as searches do.
    pub(super) tells: bool,
    pub(super) crashes: u32,
    /// The sinks that the configuration has.
    pub(super) sinks: Vec<&'static str>,
    /// The change to them between two runs.
    pub(super) change: Option<Change>,
    /// How often something goes wrong.
    rate: f64,
    /// What machines have warned of.
    pub(super) warnings: Vec<String>,
    /// What kills machines, and the conversation or recording.
    pub(super) poison: Option<(Poison, String)>,
    /// Objects in sinks, by sink and key.
    pub(super) lake: BTreeMap<(String, String), Vec<u8>>,
    /// Those of them that were spoiled, and not put since.
    spoiled: BTreeSet<(String, String)>,
    /// How often each recording was stored.
    pub(super) stored: BTreeMap<String, u32>,
    /// Jobs by number: who is in it, and when it is done.
    pub(super) jobs: Vec<(Vec<String>, u64)>,
    pub(super) submits: usize,
    pub(super) refused: usize,
    /// Requests in the vendor's minutes.
    pub(super) minutes: BTreeMap<u64, u32>,
    /// The token that is good, and when another one was last given.
    pub(super) token: u64,
    /// Until when nothing answers (ms).
    pub(super) outage: u64,
    /// How many downloads at once are too many for who serves them.
    pub(super) narrow: usize,
    /// A sink that is unavailable for long, and from when until when (ms).
    pub(super) lake_outage: Option<(&'static str, u64, u64)>,
    pub(super) log: Vec<String>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let rate = [0.0, 0.02, 0.1, 0.25][rng.random_range(0..4_usize)];
        let crashes = rng.random_range(0..4);
        let days = (seed % 5 == 4).then(|| rng.random_range(1..3));
        let began = if days.is_some() {
            START
        } else {
            START + 2 * DAY
        };
        let mut world = Self::with(rng, rate, crashes, days);
        if seed % 3 == 1 {
            world.narrow = 1;
        }
        world.tells = seed % 2 == 1;
        world.change = match seed % 7 {
            2 => Some(Change::Add),
            5 => Some(Change::Wipe),
            3 if days.is_none() => Some(Change::Damage),
            _ => None,
        };
        if let Some(Change::Add) = world.change {
            world.sinks = vec!["one"];
        }
        if world.rng.random_bool(0.4) {
            let within = if days.is_some() { DAY } else { 120_000 };
            let from = began + world.rng.random_range(0..within);
            let until = from + world.rng.random_range(0..4 * 3_600_000);
            let sink = world.sinks[world.rng.random_range(0..world.sinks.len())];
            world.lake_outage = Some((sink, from, until));
        }
        world
    }

    /// Returns true if a sink is unavailable for long.
    pub(super) fn is_out(&self, sink: &str, now: u64) -> bool {
        self.lake_outage
            .is_some_and(|(out, from, until)| out == sink && (from..until).contains(&now))
    }

    /// Changes the sinks; returns the one that is to be filled anew.
    pub(super) fn change_sinks(&mut self, change: Change) -> Option<&'static str> {
        match change {
            Change::Add => {
                self.sinks = vec!["one", "two"];
                None
            }
            Change::Wipe => {
                self.lake.retain(|(sink, _), _| sink != "one");
                Some("one")
            }
            Change::Damage => {
                self.damage();
                None
            }
        }
    }

    /// Takes files away and spoils others, in both sinks: what one of them has sound, the other may lack.
    fn damage(&mut self) {
        let keys: Vec<_> = self.lake.keys().cloned().collect();
        for address in keys {
            let known = ["recordings/", "receipts/", "metadata/"];
            if !known.iter().any(|prefix| address.1.starts_with(prefix)) {
                continue;
            }
            match self.rng.random_range(0..12) {
                0 => drop(self.lake.remove(&address)),
                1 => {
                    let data = self.lake.get_mut(&address).unwrap();
                    let at = self.rng.random_range(0..data.len());
                    data[at] ^= 1;
                    self.spoiled.insert(address);
                }
                _ => {}
            }
        }
    }

    /// A world in which nothing goes wrong.
    pub(super) fn calm(seed: u64) -> Self {
        let mut world = Self::with(SmallRng::seed_from_u64(seed), 0.0, 0, None);
        for call in &mut world.conversations {
            call.recordings.retain(Option::is_some);
            if call.recordings.is_empty() && call.flagged {
                call.recordings.push(Some(0));
            }
        }
        world
    }

    fn with(mut rng: SmallRng, rate: f64, crashes: u32, days: Option<u64>) -> Self {
        let count = rng.random_range(0..40);
        let conversations = (0..count)
            .map(|number| {
                let start = START + rng.random_range(0..days.unwrap_or(1) * DAY);
                let end = start + rng.random_range(1000..1_800_000);
                let flagged = rng.random_bool(0.9);
                let recordings = if flagged { rng.random_range(0..4) } else { 0 };
                let recordings = (0..recordings)
                    .map(|_| match rng.random_range(0..20) {
                        0 => None,
                        1 | 2 => Some(end + rng.random_range(0..7_200_000)),
                        _ => Some(0),
                    })
                    .collect();
                // Some time after it was filed, and before the searches look back no more.
                let grows = days.is_some() && flagged && rng.random_bool(0.2);
                let more = grows.then(|| end + rng.random_range(3_600_000..9_000_000));
                Call {
                    id: format!("c{number}"),
                    start,
                    end,
                    flagged,
                    recordings,
                    more,
                }
            })
            .collect();
        World {
            rng,
            conversations,
            days,
            tells: false,
            sinks: vec!["one", "two"],
            change: None,
            crashes,
            rate,
            poison: None,
            lake: BTreeMap::new(),
            spoiled: BTreeSet::new(),
            stored: BTreeMap::new(),
            jobs: Vec::new(),
            submits: 0,
            refused: 0,
            minutes: BTreeMap::new(),
            token: 1,
            outage: 0,
            narrow: usize::MAX,
            lake_outage: None,
            log: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Returns true if a machine dies that does this to any of these.
    pub(super) fn kills(&self, what: Poison, ids: &[&str]) -> bool {
        let poison = self.poison.as_ref();
        poison.is_some_and(|(kind, id)| *kind == what && ids.contains(&id.as_str()))
    }

    /// Returns true if something goes wrong now.
    pub(super) fn strikes(&mut self) -> bool {
        let rate = self.rate;
        rate > 0.0 && self.rng.random_bool(rate)
    }

    /// Returns true if something that is rare goes wrong now.
    pub(super) fn strikes_rarely(&mut self) -> bool {
        self.strikes() && self.rng.random_bool(0.1)
    }

    /// Returns true if reading a sink goes wrong now: rarely where all of it is read, again and again.
    fn strikes_reading(&mut self) -> bool {
        match self.change {
            Some(Change::Damage) => self.strikes_rarely() && self.rng.random_bool(0.2),
            _ => self.strikes(),
        }
    }

    /// A time that something takes.
    pub(super) fn delay(&mut self, most: u64) -> Duration {
        Duration::from_millis(self.rng.random_range(1..=most))
    }
}

/// Why a sink does not put an object: another one is there.
pub(super) fn different(sink: &str, key: &str) -> SinkError {
    SinkError {
        sink: sink.into(),
        key: key.into(),
        reason: "simulated".into(),
        retryable: false,
        different: Some(DifferentObject {
            key: key.into(),
            replaceable: true,
        }),
    }
}

/// A sink in memory that sometimes fails, before or after it has stored something.
#[derive(Clone)]
pub(super) struct TestSink {
    name: &'static str,
    world: Arc<Mutex<World>>,
    clock: Clock,
}

impl TestSink {
    pub(super) fn new(name: &'static str, world: Arc<Mutex<World>>, clock: Clock) -> Self {
        TestSink { name, world, clock }
    }

    fn failure(&self, key: &str) -> SinkError {
        SinkError {
            sink: self.name.into(),
            key: key.into(),
            reason: "simulated".into(),
            retryable: true,
            different: None,
        }
    }

    /// Takes some time, and fails now and then.
    async fn answer(&self, key: &str) -> Result<(), SinkError> {
        let delay = self.world.lock().unwrap().delay(50);
        tokio::time::sleep(delay).await;
        match self.is_out() || self.world.lock().unwrap().strikes_reading() {
            true => Err(self.failure(key)),
            false => Ok(()),
        }
    }

    fn is_out(&self) -> bool {
        let now = self.clock.now();
        self.world.lock().unwrap().is_out(self.name, now)
    }
}

impl std::fmt::Debug for TestSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

#[async_trait]
impl Sink for TestSink {
    async fn check(&self) -> Result<Health, SinkError> {
        match self.is_out() {
            true => Err(self.failure("")),
            false => Ok(Health::default()),
        }
    }

    fn store(&self) -> Option<&dyn Store> {
        Some(self)
    }

    async fn put(
        &self,
        key: &str,
        info: PutOptions,
        mut body: Body,
    ) -> Result<PutResult, SinkError> {
        let failure = || self.failure(key);
        if self.is_out() {
            return Err(failure());
        }
        let delay = self.world.lock().unwrap().delay(50);
        tokio::time::sleep(delay).await;
        let mut all = Vec::new();
        while let Some(data) = body.next().await.map_err(|_| failure())? {
            all.extend_from_slice(&data);
        }
        let size = all.len() as u64;
        let mut world = self.world.lock().unwrap();
        if world.strikes() {
            return Err(failure());
        }
        let address = (self.name.to_owned(), key.to_owned());
        if world.spoiled.contains(&address) && !info.replace {
            return Err(different(self.name, key));
        }
        let spoiled = world.spoiled.remove(&address);
        if let Some(before) = world.lake.insert(address, all.clone()) {
            assert!(spoiled || before == all, "{key} was put with other content");
        }
        if world.strikes() {
            return Err(failure());
        }
        Ok(PutResult {
            size,
            etag: None,
            encrypted: None,
        })
    }
}

#[async_trait]
impl Store for TestSink {
    fn list(&self, prefix: &str) -> BoxStream<'_, Result<ObjectMeta, SinkError>> {
        let world = self.world.lock().unwrap();
        let all = world.lake.iter();
        let found: Vec<_> = all
            .filter(|((of, key), _)| of == self.name && key.starts_with(prefix))
            .map(|((_, key), data)| {
                Ok(ObjectMeta {
                    key: key.clone(),
                    size: data.len() as u64,
                    etag: None,
                })
            })
            .collect();
        stream::iter(found).boxed()
    }

    async fn get(&self, key: &str) -> Result<Option<Body>, SinkError> {
        self.answer(key).await?;
        let world = self.world.lock().unwrap();
        let data = world.lake.get(&(self.name.to_owned(), key.to_owned()));
        Ok(data.map(|data| Body::whole(data.clone().into())))
    }

    async fn delete(&self, key: &str) -> Result<(), SinkError> {
        self.answer(key).await?;
        let mut world = self.world.lock().unwrap();
        let address = (self.name.to_owned(), key.to_owned());
        world.spoiled.remove(&address);
        world.lake.remove(&address);
        match world.strikes() {
            true => Err(self.failure(key)),
            false => Ok(()),
        }
    }
}
