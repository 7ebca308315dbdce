//! Which object each file of an archive becomes, and what is wrong with the archive.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use crate::transfer::{
    Name, ObjectTarget, SinkBinding, Transfer, TransferError, host,
    media_type::{content_type, extension},
    unpack::{FAILED, NO_INDEX},
};
use recording_host_model::{
    Artifact, ArtifactKey, BundleIndex, Container, IndexMetadata, KeyContext, MissingRecording,
    layout::KeyFacts, printable,
};
use recording_host_zip::{Archive, ArchiveError, Owner, ZipEntry, plain};

/// The code of an entry that the directory hides, and what it means.
pub(super) const HIDDEN: &str = "hidden-entry";
pub(super) const HIDDEN_REASON: &str = "it is in the zip, but not in its directory";
/// How many entries a message names.
const NAMED: usize = 5;

/// Something of an archive that cannot be delivered as it should.
pub(super) struct Problem {
    /// Whose it is.
    pub(super) conversation: String,
    pub(super) code: &'static str,
    /// The entry, unless it is about the whole.
    pub(super) name: Option<String>,
    pub(super) reason: String,
    /// The object that holds it all the same, unless that is the whole archive.
    pub(super) kept: Option<String>,
}

/// A recording that a kept archive holds.
pub(super) struct Holder {
    pub(super) conversation: String,
    pub(super) recording: String,
    pub(super) member: Option<String>,
    /// Its metadata in the archive's index.
    pub(super) index_metadata: Option<Arc<IndexMetadata>>,
}

/// The plan for an archive.
#[derive(Default)]
pub(super) struct UnpackPlan {
    /// Entries, by their index in the archive, and their objects.
    pub(super) files: Vec<(usize, ObjectTarget)>,
    /// Whose the archive is when it is kept.
    pub(super) holders: Vec<Holder>,
    pub(super) problems: Vec<Problem>,
    /// The recordings that are not there, as the index says or fails to say.
    pub(super) missing: Vec<MissingRecording>,
    /// The known data of those who own something of it.
    pub(super) known: BTreeMap<String, KeyContext>,
    /// True if there are files that nobody is known to own.
    stray: bool,
}

impl UnpackPlan {
    /// Returns true if something is in the archive that is nowhere else.
    pub(super) fn must_be_kept(&self) -> bool {
        self.stray || self.problems.iter().any(|problem| problem.kept.is_none())
    }

    /// Everybody who owns something of it.
    pub(super) fn owners(&self) -> BTreeSet<&str> {
        let files = self.files.iter().map(|(_, file)| &file.conversation);
        let holders = self.holders.iter().map(|holder| &holder.conversation);
        files.chain(holders).map(String::as_str).collect()
    }

    /// Returns true if a sink takes recordings of a conversation.
    pub(super) fn takes(&self, binding: &SinkBinding, conversation: &str) -> bool {
        let known = self.known.get(conversation);
        binding
            .route
            .takes_media(known.and_then(|known| known.record.as_ref()))
    }

    /// Notes that the index names a file that is not in the archive, or that the directory hides.
    fn absent(&mut self, conversation: &str, name: &str, is_hidden: bool) {
        if is_hidden {
            self.holders.push(unknown(conversation.to_owned()));
            self.problem(conversation, HIDDEN, name, &HIDDEN_REASON);
            return;
        }
        let reason = format!("the index names {}, which is not there", printable(name));
        self.missing
            .push(not_in_archive(conversation.to_owned(), reason, &[]));
    }

    fn problem(
        &mut self,
        conversation: &str,
        code: &'static str,
        name: &str,
        reason: &impl ToString,
    ) {
        self.problems.push(Problem {
            conversation: conversation.to_owned(),
            code,
            name: Some(name.to_owned()),
            reason: reason.to_string(),
            kept: None,
        });
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "entry {}: {}", printable(name), self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

/// Puts problems into words: one reason for each conversation and code.
pub(super) fn missing(problems: &[Problem], whole: &str) -> Vec<MissingRecording> {
    let mut alike = BTreeMap::<(&str, &str), Vec<&Problem>>::new();
    for problem in problems {
        let of = (problem.conversation.as_str(), problem.code);
        alike.entry(of).or_default().push(problem);
    }
    let stated = alike.into_iter().map(|((conversation, code), problems)| {
        let first = problems[0];
        let names = problems
            .iter()
            .filter_map(|problem| problem.name.as_deref());
        let mut text: Vec<String> = names.take(NAMED).map(printable).collect();
        if problems.len() > NAMED {
            text.push(format!("{} more", problems.len() - NAMED));
        }
        let text = match text.is_empty() {
            true => first.reason.clone(),
            false => format!("{}: {}", text.join(", "), first.reason),
        };
        let kept = first.kept.as_deref().unwrap_or(whole);
        let message = format!("{text}; the zip is kept as {kept}");
        MissingRecording {
            conversation: conversation.to_owned(),
            code: code.to_owned(),
            message,
            retryable: false,
        }
    });
    stated.collect()
}

impl Transfer {
    /// Decides what becomes of an archive that can be read.
    pub(super) async fn plan(
        &self,
        artifact: &Artifact,
        archive: &Arc<Archive>,
        unpacking: bool,
    ) -> Result<UnpackPlan, TransferError> {
        match (&artifact.key, &artifact.container) {
            (ArtifactKey::Bundle(_), Container::ZipBundle(index)) => {
                let (shared, index) = (Arc::clone(archive), index.clone());
                self.bundle(&artifact.key, shared, index, unpacking).await
            }
            (ArtifactKey::Recording(key), _) => {
                let known = self.known(&key.conversation).await?;
                Ok(recording(
                    archive,
                    &ObjectTarget::of(key, &known),
                    unpacking,
                ))
            }
            (ArtifactKey::Bundle(_), _) => Err(TransferError::item("no-index", NO_INDEX)),
        }
    }

    /// The plan for an archive that cannot be read: all of it is kept.
    pub(super) async fn unreadable(
        &self,
        artifact: &Artifact,
        error: &ArchiveError,
    ) -> Result<UnpackPlan, TransferError> {
        let holders = match &artifact.key {
            ArtifactKey::Recording(key) => vec![Holder {
                conversation: key.conversation.clone(),
                recording: key.recording.clone(),
                member: None,
                index_metadata: None,
            }],
            ArtifactKey::Bundle(_) => {
                let ids = self.ledger.in_bundle(&artifact.key).await.map_err(host)?;
                ids.into_iter().map(unknown).collect()
            }
        };
        if holders.is_empty() {
            return Err(TransferError::Link(error.to_string()));
        }
        let problems = holders.iter().map(|holder| Problem {
            conversation: holder.conversation.clone(),
            code: error.code(),
            name: None,
            reason: error.to_string(),
            kept: None,
        });
        Ok(UnpackPlan {
            problems: problems.collect(),
            holders,
            ..UnpackPlan::default()
        })
    }

    async fn bundle(
        &self,
        key: &ArtifactKey,
        archive: Arc<Archive>,
        index: BundleIndex,
        unpacking: bool,
    ) -> Result<UnpackPlan, TransferError> {
        let reading = Arc::clone(&archive);
        let retryable_errors = index.retryable_errors.clone();
        let listed = tokio::task::spawn_blocking(move || reading.listed(&index)).await;
        let mut listed = listed.map_err(|_| TransferError::Link(FAILED.to_owned()))?;
        let ids = listed.owners.values().flatten();
        let ids = ids.map(|owner| owner.conversation.clone()).collect();
        let known = self.ledger.known(ids).await.map_err(host)?;
        let mut plan = UnpackPlan::default();
        let mut reported: BTreeSet<String> = BTreeSet::new();
        let mut keys = BundleKeys::new(&known);
        let mut found = BTreeSet::new();
        for (number, entry) in archive.entries().iter().enumerate() {
            let name = plain(&entry.name);
            let owners = listed.owners.get(&name).map_or(&[][..], Vec::as_slice);
            // An index may not speak for conversations that nobody requested.
            let owners: Vec<&Owner> = owners
                .iter()
                .filter(|owner| known.contains_key(&owner.conversation))
                .collect();
            if owners.is_empty() {
                plan.stray |= !listed.documents.contains(&entry.name);
                continue;
            }
            found.insert(name);
            for owner in owners {
                reported.insert(owner.conversation.clone());
                plan.holders.push(Holder {
                    conversation: owner.conversation.clone(),
                    recording: owner.recording.clone(),
                    member: Some(entry.name.clone()),
                    index_metadata: owner.index_metadata.clone(),
                });
                match entry.refused() {
                    Some(error) if unpacking => {
                        plan.problem(&owner.conversation, error.code(), &entry.name, error);
                    }
                    Some(_) => {}
                    None => plan.files.push((number, keys.target(entry, owner))),
                }
            }
        }
        let hidden: BTreeSet<String> = archive.hidden().iter().map(|name| plain(name)).collect();
        let absent = listed.owners.iter();
        for (name, owners) in absent.filter(|(name, _)| !found.contains(*name)) {
            let owners = owners.iter().map(|owner| &owner.conversation);
            for conversation in owners.filter(|conversation| known.contains_key(*conversation)) {
                reported.insert(conversation.clone());
                plan.absent(conversation, name, hidden.contains(name));
            }
        }
        plan.stray |= hidden.iter().any(|name| !listed.owners.contains_key(name));
        for (conversation, reason) in listed.missing.drain(..) {
            reported.insert(conversation.clone());
            let missing = not_in_archive(conversation, reason, &retryable_errors);
            plan.missing.push(missing);
        }
        plan.stray |= !listed.unreadable.is_empty();
        if plan.stray {
            self.strays(key, &mut plan, &reported, &listed.unreadable)
                .await?;
        }
        Ok(plan)
    }

    /// Notes that recordings may be among the files that nobody is known to own.
    async fn strays(
        &self,
        key: &ArtifactKey,
        plan: &mut UnpackPlan,
        reported: &BTreeSet<String>,
        unreadable: &[(String, recording_host_zip::EntryError)],
    ) -> Result<(), TransferError> {
        let ids = self.ledger.in_bundle(key).await.map_err(host)?;
        for id in ids.into_iter().filter(|id| !reported.contains(id)) {
            match unreadable.first() {
                Some((name, error)) => plan.problem(&id, "damaged-index", name, error),
                None => plan.problems.push(Problem {
                    conversation: id.clone(),
                    code: "unlisted-entry",
                    name: None,
                    reason: "the bundle has files that its index does not list".to_owned(),
                    kept: None,
                }),
            }
            plan.holders.push(unknown(id));
        }
        if plan.holders.is_empty() {
            let bundle = key.to_text().replace('\n', " ");
            let reason = format!(
                "bundle {}: its files cannot be assigned to conversations",
                printable(&bundle)
            );
            return Err(TransferError::Link(reason));
        }
        Ok(())
    }
}

/// A recording that the index names a reason for; a later attempt may have it if that has one of the words.
fn not_in_archive(
    conversation: String,
    message: String,
    retryable_errors: &[String],
) -> MissingRecording {
    let lower = message.to_lowercase();
    MissingRecording {
        conversation,
        code: "not-in-bundle".to_owned(),
        retryable: retryable_errors.iter().any(|word| lower.contains(word)),
        message,
    }
}

/// A conversation whose recordings may be anywhere in the archive.
fn unknown(conversation: String) -> Holder {
    Holder {
        conversation,
        recording: String::new(),
        member: None,
        index_metadata: None,
    }
}

/// The plan for the archive of one recording.
fn recording(archive: &Archive, target: &ObjectTarget, unpacking: bool) -> UnpackPlan {
    let mut plan = UnpackPlan {
        holders: vec![Holder {
            conversation: target.conversation.clone(),
            recording: target.recording.clone(),
            member: None,
            index_metadata: None,
        }],
        ..UnpackPlan::default()
    };
    for (number, entry) in archive.entries().iter().enumerate() {
        match entry.refused() {
            Some(error) => {
                plan.problem(&target.conversation, error.code(), &entry.name, error);
            }
            None => plan.files.push((
                number,
                ObjectTarget {
                    name: Name::Entry(entry.safe_name.clone()),
                    content_type: content_type(&entry.name).to_owned(),
                    ..target.clone()
                },
            )),
        }
    }
    for name in archive.hidden() {
        plan.problem(&target.conversation, HIDDEN, name, &HIDDEN_REASON);
    }
    if plan.files.is_empty() && plan.problems.is_empty() {
        plan.problems.push(Problem {
            conversation: target.conversation.clone(),
            code: "empty-archive",
            name: None,
            reason: "there is no file in the zip".to_owned(),
            kept: None,
        });
    } else if !unpacking {
        // As it came is as it was wanted.
        plan.problems.clear();
    }
    plan
}

/// Gives each file of a bundle a key of its own.
struct BundleKeys<'a> {
    known: &'a BTreeMap<String, KeyContext>,
    parts: BTreeMap<(String, String), u32>,
}

impl<'a> BundleKeys<'a> {
    fn new(known: &'a BTreeMap<String, KeyContext>) -> Self {
        BundleKeys {
            known,
            parts: BTreeMap::new(),
        }
    }

    fn target(&mut self, entry: &ZipEntry, owner: &Owner) -> ObjectTarget {
        let content_type = owner
            .content_type
            .clone()
            .unwrap_or_else(|| content_type(&entry.name).to_owned());
        let id = (owner.conversation.clone(), owner.recording.clone());
        let next = self.parts.entry(id).or_default();
        let part = *next;
        *next += 1;
        let known = self.known.get(&owner.conversation);
        ObjectTarget {
            about: known.map(KeyFacts::from).unwrap_or_default(),
            conversation: owner.conversation.clone(),
            recording: owner.recording.clone(),
            part,
            name: Name::Whole(extension(&content_type).to_owned()),
            content_type,
            index_metadata: owner.index_metadata.clone(),
        }
    }
}
