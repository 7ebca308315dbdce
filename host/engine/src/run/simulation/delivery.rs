//! The way from the links of a simulation to its sinks.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use super::world::{Poison, World, different};
use crate::{
    run::ports::ArtifactDelivery,
    transfer::{DeliveryReport, SinkBinding, TransferError, known},
};
use recording_host_model::{Artifact, ArtifactKey, Object, clock::Clock, hex};
use recording_host_sink::{Backpressure, SinkError};
use recording_host_state::Ledger;

/// The way from a link to two sinks.
pub(super) struct Way {
    world: Arc<Mutex<World>>,
    ledger: Arc<dyn Ledger>,
    killed: Arc<Notify>,
    clock: Clock,
    /// How many downloads are under way.
    under_way: AtomicUsize,
    backpressure: Backpressure,
}

impl Way {
    pub(super) fn new(
        world: Arc<Mutex<World>>,
        ledger: Arc<dyn Ledger>,
        killed: Arc<Notify>,
        clock: Clock,
    ) -> Self {
        Way {
            world,
            ledger,
            killed,
            clock,
            under_way: AtomicUsize::new(0),
            backpressure: Backpressure::default(),
        }
    }
}

#[async_trait]
impl ArtifactDelivery for Way {
    async fn deliver(
        &self,
        artifact: &Artifact,
        bindings: &[&SinkBinding],
    ) -> Result<DeliveryReport, TransferError> {
        // Long: all faults of a delivery, in the order in which they can happen.
        let ArtifactKey::Recording(key) = &artifact.key else {
            panic!("no bundles here");
        };
        let (delay, narrow, kills) = {
            let mut world = self.world.lock().unwrap();
            let kills = world.kills(Poison::Download, &[&key.recording]);
            (world.delay(5000), world.narrow, kills)
        };
        if kills {
            self.killed.notify_one();
            std::future::pending::<()>().await;
        }
        if self.under_way.fetch_add(1, Ordering::Relaxed) >= narrow {
            self.backpressure.on_timeout();
        }
        self.clock.sleep(delay).await;
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        let (broken, full) = {
            let mut world = self.world.lock().unwrap();
            (world.strikes(), world.strikes())
        };
        if broken {
            return Err(match self.clock.now() % 2 {
                0 => TransferError::Link("simulated expiry".into()),
                _ => TransferError::Origin("simulated outage".into()),
            });
        }
        let known = known(&*self.ledger, &key.conversation).await?;
        tokio::time::sleep(Duration::from_millis(1)).await;
        let bytes = key.recording.as_bytes();
        let object = Object {
            conversation: key.conversation.clone(),
            recording: key.recording.clone(),
            key: format!("recordings/{}/{}", known.start, key.recording),
            member: None,
            content_type: "audio/ogg".into(),
            size: bytes.len() as u64,
            sha256: hex(&Sha256::digest(bytes)),
            etag: None,
            stored: None,
            note: None,
            aside: false,
            file: String::new(),
            index_metadata: None,
        };
        let mut delivery = DeliveryReport::default();
        let mut world = self.world.lock().unwrap();
        let now = self.clock.now();
        for binding in bindings {
            let sink = binding.name.clone();
            if world.is_out(&sink, now) || (full && sink == "one") {
                let error = SinkError::new(&sink, &key.recording, "simulated").with_retryable(true);
                delivery.failed.push((sink, error));
                continue;
            }
            let address = (sink.clone(), object.key.clone());
            if world.lake.get(&address).is_some_and(|there| there != bytes) {
                delivery
                    .failed
                    .push((sink.clone(), different(&sink, &object.key)));
                continue;
            }
            let name = format!("{sink} {}", key.recording);
            *world.stored.entry(name).or_default() += 1;
            world.lake.insert(address, bytes.to_vec());
            delivery.contents.objects.push((sink, object.clone()));
        }
        Ok(delivery)
    }

    fn backpressure(&self) -> u64 {
        self.backpressure.count()
    }
}
