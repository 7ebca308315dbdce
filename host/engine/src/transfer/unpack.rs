//! Delivers archives: whole, or each file of them as an object of its own.
//!
//! An archive with a flaw is downloaded again. If the same bytes come, it is
//! like that at its origin: what is sound in it is unpacked, the archive is
//! kept beside that, and the rows of the conversations concerned say why.

mod kept;
mod plan;
mod spooled;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    sync::Arc,
};

use bytes::Bytes;
use futures_util::future::join_all;
use sha2::{Digest, Sha256};
use tokio::{sync::mpsc, task::spawn_blocking};

use super::{
    AnnouncedContent, ArchiveMode, AttemptError, Begun, DeliveryReport, Name, ObjectTarget,
    SinkBinding, Transfer, TransferError, ZIP, announced, host, media_type::content_type,
    transcode,
};
use plan::{Problem, missing};
use recording_host_model::{Artifact, Container, KeyContext, hex};
use recording_host_sink::BodySender;
use recording_host_zip::{Archive, ArchiveError, EntryError, ZipLimits};
pub(super) use spooled::Spooled;

/// The message for an archive that the reader did not survive.
const FAILED: &str = "reading it failed";
/// How often an archive with a flaw is downloaded.
const DOWNLOADS: u32 = 3;
/// The longest zip in a bundle, such as that of a chat, that is opened, in bytes.
const NESTED: u64 = 256 << 20;

/// Why an archive without an index is refused.
pub(super) const NO_INDEX: &str =
    "the source delivered an archive of many recordings without its index";

/// The verdict on an archive.
enum ArchiveVerdict {
    /// This is in it, and it is certain what is not.
    Decided(DeliveryReport),
    /// It has a flaw that may have come by the download.
    Doubtful(String),
}

/// An archive on its way to sinks that want its files.
struct Unpacking<'a> {
    transfer: &'a Transfer,
    bindings: Vec<&'a SinkBinding>,
    /// The known data of the conversations whose files are in it.
    known: &'a BTreeMap<String, KeyContext>,
    delivery: DeliveryReport,
    archive: Arc<Archive>,
    /// The limits of what the archives in it may still unpack to.
    limits: ZipLimits,
    problems: Vec<Problem>,
    /// The files by what makes each unique.
    taken: BTreeSet<String>,
}

impl Transfer {
    /// Delivers an archive; a download of it may have `begun`.
    pub(super) async fn archive(
        &self,
        artifact: &Artifact,
        bindings: &[&SinkBinding],
        mut begun: Option<Begun<'_>>,
    ) -> Result<DeliveryReport, AttemptError> {
        let announced = AnnouncedContent::of(artifact, None);
        // A digest that was announced has been compared already.
        let mut before = artifact.sha256.clone();
        let mut tried = 1;
        loop {
            let spooled = self.spooled(artifact, begun.take()).await?;
            spooled.examine(&announced)?;
            let same = |before: &String| before.eq_ignore_ascii_case(&spooled.sha256);
            let sure = before.as_ref().is_some_and(same);
            match self.contents(artifact, bindings, &spooled, sure).await? {
                ArchiveVerdict::Decided(delivery) => return Ok(delivery),
                ArchiveVerdict::Doubtful(reason) if tried == DOWNLOADS => {
                    return Err(TransferError::Link(format!(
                        "{DOWNLOADS} downloads of a zip returned different bytes, and none was intact; the last one: {reason}"
                    ))
                    .into());
                }
                ArchiveVerdict::Doubtful(_) => {}
            }
            before = Some(spooled.sha256);
            self.downloads.back_off(tried, None).await;
            tried += 1;
        }
    }

    /// Brings what is in an archive to the sinks. Unless it is `sure` that the origin's archive is
    /// like that, a flaw puts an end to it.
    async fn contents(
        &self,
        artifact: &Artifact,
        bindings: &[&SinkBinding],
        spooled: &Spooled,
        sure: bool,
    ) -> Result<ArchiveVerdict, AttemptError> {
        let mut bindings = bindings.to_vec();
        bindings.retain(|binding| binding.route.content.media);
        let unpack = with_zip(&bindings, ArchiveMode::Unpack);
        let file = spooled.file.try_clone().map_err(host)?;
        let opened = open(file, ZipLimits::default()).await?;
        let whole = self.whole(artifact).await?;
        let mut plan = match &opened {
            Ok(archive) => self.plan(artifact, archive, !unpack.is_empty()).await?,
            Err(error) => self.unreadable(artifact, error).await?,
        };
        let owners = plan.owners().into_iter().map(str::to_owned).collect();
        plan.known = self.ledger.known(owners).await.map_err(host)?;
        let doubt = |problems: &[Problem]| {
            let first = problems.first().filter(|_| !sure);
            first.map(|problem| ArchiveVerdict::Doubtful(problem.to_string()))
        };
        if let Some(verdict) = doubt(&plan.problems) {
            return Ok(verdict);
        }
        let mut delivery = DeliveryReport::default();
        if let Ok(archive) = opened
            && !unpack.is_empty()
        {
            let bundle = matches!(artifact.container, Container::ZipBundle(_));
            match self
                .entries(archive, unpack, &mut plan, bundle, &doubt)
                .await?
            {
                Ok(unpacked) => delivery = unpacked,
                Err(verdict) => return Ok(verdict),
            }
        }
        let keep = match plan.must_be_kept() {
            true => bindings.clone(),
            false => with_zip(&bindings, ArchiveMode::Keep),
        };
        let mut keep = delivery.sound(&keep);
        keep.retain(|binding| {
            let mut holders = plan.holders.iter();
            holders.any(|holder| plan.takes(binding, &holder.conversation))
        });
        if !keep.is_empty() {
            self.keep(&keep, &whole, spooled, &plan, &mut delivery)
                .await?;
        }
        delivery.contents.missing = plan.missing;
        let reported = missing(&plan.problems, &whole.keys(&bindings));
        delivery.contents.missing.extend(reported);
        Ok(ArchiveVerdict::Decided(delivery))
    }

    /// Brings each file of an archive to the sinks that want it so; ends early with a verdict if there
    /// is a `doubt`.
    async fn entries(
        &self,
        archive: Arc<Archive>,
        bindings: Vec<&SinkBinding>,
        plan: &mut plan::UnpackPlan,
        bundle: bool,
        doubt: &(dyn Fn(&[Problem]) -> Option<ArchiveVerdict> + Sync),
    ) -> Result<Result<DeliveryReport, ArchiveVerdict>, AttemptError> {
        let files = plan.files.iter();
        let taken = files.map(|(_, target)| target.dedup_key());
        let mut unpacking = Unpacking {
            transfer: self,
            limits: ZipLimits::default().after(&archive),
            archive,
            bindings,
            known: &plan.known,
            delivery: DeliveryReport::default(),
            taken: taken.collect(),
            problems: std::mem::take(&mut plan.problems),
        };
        for (entry, target) in &plan.files {
            unpacking.deliver(*entry, target, bundle).await?;
            if let Some(verdict) = doubt(&unpacking.problems) {
                return Ok(Err(verdict));
            }
            if unpacking.bindings.is_empty() {
                break;
            }
        }
        let (problems, delivery) = (unpacking.problems, unpacking.delivery);
        plan.problems = problems;
        Ok(Ok(delivery))
    }

    /// Unpacks an entry into an object in each sink; a body whose entry turns out to be damaged
    /// breaks off.
    async fn put_entry(
        &self,
        bindings: &[&SinkBinding],
        archive: &Arc<Archive>,
        entry: usize,
        target: &ObjectTarget,
    ) -> Result<Result<DeliveryReport, EntryError>, AttemptError> {
        let Some(size) = archive.entries().get(entry).map(|entry| entry.size) else {
            return Ok(Err(EntryError::Absent));
        };
        let _held = self.hold(Some(size), bindings.len()).await;
        let (feeds, puts) = self.puts(bindings, target, Some(size), false);
        let (sender, mut receiver) = mpsc::channel::<Bytes>(4);
        let archive = Arc::clone(archive);
        let unpacker = spawn_blocking(move || {
            archive.unpack(&archive.entries()[entry], |data| {
                sender.blocking_send(data).is_ok()
            })
        });
        // The archive of one recording may contain anything.
        let listed = matches!(target.name, Name::Whole(_)).then_some(target.content_type.as_str());
        let feeding = async move {
            let mut digest = Sha256::new();
            let mut next = receiver.recv().await;
            let first = next.as_deref().unwrap_or_default();
            if let Some(reason) = listed.and_then(|kind| announced::listed(kind, first)) {
                return Err(EntryError::NoRecording(reason));
            }
            while let Some(data) = next {
                digest.update(&data);
                let sent = join_all(feeds.iter().map(|feed| feed.send(data.clone()))).await;
                if sent.iter().all(Result::is_err) {
                    break;
                }
                next = receiver.recv().await;
            }
            drop(receiver);
            match unpacker.await {
                Ok(Ok(true)) => {
                    join_all(feeds.into_iter().map(BodySender::end)).await;
                    Ok(Some(hex(&digest.finalize())))
                }
                // The sinks say why they stopped.
                Ok(Ok(false)) => Ok(None),
                Ok(Err(error)) => Err(error),
                Err(_) => Err(EntryError::Damaged(FAILED.to_owned())),
            }
        };
        let (fed, stored) = tokio::join!(feeding, join_all(puts));
        let sha256 = match fed {
            Ok(sha256) => sha256,
            Err(error @ EntryError::Spool(_)) => return Err(host(error).into()),
            Err(error) => return Ok(Err(error)),
        };
        let mut delivery = DeliveryReport::default();
        delivery.note(
            bindings,
            stored,
            target,
            sha256.map(|sha256| (size, sha256)),
        );
        Ok(Ok(delivery))
    }
}

/// Those of some sinks that want archives like this, among others.
fn with_zip<'a>(bindings: &[&'a SinkBinding], zip: ArchiveMode) -> Vec<&'a SinkBinding> {
    let mut wanting = bindings.to_vec();
    wanting.retain(|binding| binding.zip == zip || binding.zip == ArchiveMode::Both);
    wanting
}

impl<'a> Unpacking<'a> {
    /// Brings a file to the sinks, or the files in it if it is the zip of a chat in a bundle.
    async fn deliver(
        &mut self,
        entry: usize,
        target: &ObjectTarget,
        bundle: bool,
    ) -> Result<(), AttemptError> {
        let archive = Arc::clone(&self.archive);
        let short = archive.entries()[entry].size <= NESTED;
        if bundle && short && target.content_type == ZIP {
            return self.nested(entry, target).await;
        }
        if transcode::wanted(&self.takers(target), &target.content_type) {
            return self.transcoded(&archive, entry, target).await;
        }
        self.put(&archive, entry, target, None).await.map(drop)
    }

    /// Brings a recording to each sink in the form that this wants.
    async fn transcoded(
        &mut self,
        archive: &Arc<Archive>,
        entry: usize,
        target: &ObjectTarget,
    ) -> Result<(), AttemptError> {
        let file = match self.transfer.spooled_entry(archive, entry).await? {
            Ok(file) => file,
            Err(error) => {
                let name = &archive.entries()[entry].name;
                self.problem(target, error.code(), name, &error, None);
                return Ok(());
            }
        };
        let original = spawn_blocking(|| transcode::digested(file))
            .await
            .map_err(host)?
            .map_err(host)?;
        let bindings = self.takers(target);
        let put = self
            .transfer
            .put_transcoded(&bindings, target, &original, &mut self.taken)
            .await?;
        self.took(put);
        Ok(())
    }

    /// The sinks that take a file.
    fn takers(&self, target: &ObjectTarget) -> Vec<&'a SinkBinding> {
        let known = self.known.get(&target.conversation);
        let record = known.and_then(|known| known.record.as_ref());
        let mut bindings = self.bindings.clone();
        bindings.retain(|binding| binding.route.takes_media(record));
        bindings
    }

    /// Notes what was put, and leaves out the sinks that failed.
    fn took(&mut self, put: DeliveryReport) {
        self.delivery.contents.objects.extend(put.contents.objects);
        self.delivery.failed.extend(put.failed);
        self.bindings = self.delivery.sound(&self.bindings);
    }

    /// Puts an entry, or notes why that cannot be; `kept` holds the entry all the same. Says whether
    /// there was nothing wrong with the entry.
    async fn put(
        &mut self,
        archive: &Arc<Archive>,
        entry: usize,
        target: &ObjectTarget,
        kept: Option<&str>,
    ) -> Result<bool, AttemptError> {
        let bindings = self.takers(target);
        if bindings.is_empty() {
            return Ok(true);
        }
        let put = self.transfer.put_entry(&bindings, archive, entry, target);
        match put.await? {
            Ok(put) => {
                self.took(put);
                Ok(true)
            }
            Err(error) => {
                let name = &archive.entries()[entry].name;
                self.problem(target, error.code(), name, &error, kept);
                Ok(false)
            }
        }
    }

    fn problem(
        &mut self,
        target: &ObjectTarget,
        code: &'static str,
        name: &str,
        reason: &impl ToString,
        kept: Option<&str>,
    ) {
        self.problems.push(Problem {
            conversation: target.conversation.clone(),
            code,
            name: Some(name.to_owned()),
            reason: reason.to_string(),
            kept: kept.map(str::to_owned),
        });
    }

    /// Brings the files of a zip in the archive to the sinks; the zip itself if it has a flaw.
    async fn nested(&mut self, entry: usize, target: &ObjectTarget) -> Result<(), AttemptError> {
        let outer = Arc::clone(&self.archive);
        let file = match self.transfer.spooled_entry(&outer, entry).await? {
            Ok(file) => file,
            Err(error) => {
                let name = &outer.entries()[entry].name;
                self.problem(target, error.code(), name, &error, None);
                return Ok(());
            }
        };
        let before = self.problems.len();
        let kept = target.keys(&self.bindings);
        let kept = Some(kept.as_str());
        let mut stored = false;
        match open(file, self.limits).await? {
            Ok(inner) => {
                self.limits = self.limits.after(&inner);
                for name in inner.hidden() {
                    self.problem(target, plan::HIDDEN, name, &plan::HIDDEN_REASON, kept);
                }
                for (number, file) in inner.entries().iter().enumerate() {
                    if let Some(error) = file.refused() {
                        self.problem(target, error.code(), &file.name, error, kept);
                        continue;
                    }
                    let target = ObjectTarget {
                        name: Name::Entry(file.safe_name.clone()),
                        content_type: content_type(&file.name).to_owned(),
                        ..target.clone()
                    };
                    stored |= self.put(&inner, number, &target, kept).await?;
                }
            }
            Err(error) => {
                let name = &outer.entries()[entry].name;
                self.problem(target, error.code(), name, &error, kept);
            }
        }
        if !stored || self.problems.len() > before {
            self.put(&outer, entry, target, None).await?;
        }
        Ok(())
    }
}

/// Opens an archive, on a thread that may block.
async fn open(
    file: File,
    limits: ZipLimits,
) -> Result<Result<Arc<Archive>, ArchiveError>, TransferError> {
    match spawn_blocking(move || Archive::open(file, &limits)).await {
        Ok(Err(error @ ArchiveError::Io(_))) => Err(host(error)),
        Ok(opened) => Ok(opened.map(Arc::new)),
        // What it holds got the better of the reader: that is its own fault, and nobody else's.
        Err(_) => Ok(Err(ArchiveError::Broken(FAILED.to_owned()))),
    }
}

fn feed_all(feeds: &[BodySender], data: &Bytes) -> bool {
    let mut open = false;
    for feed in feeds {
        open |= feed.send_blocking(data.clone()).is_ok();
    }
    open
}
