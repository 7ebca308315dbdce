//! Delivers archives: whole, or each file of them as an object of its own.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, Write},
};

use bytes::Bytes;
use futures_util::future::join_all;
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use super::{
    Attempt, Download, Output, Target, Transfer, TransferError, Zip, checked, host,
    name::{content_type, extension, stem},
};
use crate::{
    archive::{Archive, ArchiveError, Entry, Listed, is_index, safe},
    queue::{Absent, Contents, Object},
    sandbox::{Artifact, ArtifactKey, Container, hex},
    sink::Feed,
};

impl Transfer {
    pub(super) async fn archive(&self, artifact: &Artifact) -> Result<Contents, Attempt> {
        let (file, size, sha256) = self.spool(artifact).await?;
        let mut objects = Vec::new();
        let keep: Vec<&Output> = self.with_zip(Zip::Keep);
        let unpack: Vec<&Output> = self.with_zip(Zip::Unpack);
        let copy = file.try_clone().map_err(host)?;
        let opened = spawn_blocking(move || {
            let mut archive = Archive::open(copy)?;
            let entries = archive.entries()?;
            Ok::<_, ArchiveError>((archive, entries))
        })
        .await
        .map_err(host)?;
        let bundle = matches!(artifact.container, Container::ZipBundle(_));
        let (archive, entries) = match opened {
            Ok((archive, entries)) => (Some(archive), entries),
            // A broken zip of one recording is kept as it came; a bundle must be had anew.
            Err(error) if bundle => return Err(TransferError::Link(error.to_string()).into()),
            Err(_) => (None, Vec::new()),
        };
        let (archive, targets, missing) = self.targets(artifact, archive, &entries).await?;
        let whole = self.whole(artifact).await?;
        let damaged = archive.is_none();
        let wanting: Vec<&Output> = if damaged {
            keep.iter().chain(&unpack).copied().collect()
        } else {
            keep
        };
        if !wanting.is_empty() {
            self.put_file(&wanting, &whole, file, size).await?;
            for output in &wanting {
                let name = &output.name;
                if bundle {
                    // One object for many conversations: each row names its file in it.
                    objects.extend(targets.iter().map(|(entry, target)| {
                        let mut object = whole.object(size, &sha256);
                        object.conversation.clone_from(&target.conversation);
                        object.recording.clone_from(&target.recording);
                        object.member = Some(entry.name.clone());
                        (name.clone(), object)
                    }));
                } else {
                    objects.push((name.clone(), whole.object(size, &sha256)));
                }
            }
        }
        if let Some(mut archive) = archive
            && !unpack.is_empty()
        {
            for (entry, target) in targets {
                let mut nested = None;
                if bundle && target.content_type == "application/zip" {
                    (archive, nested) = self.nested(archive, &entry).await?;
                }
                let mut stored = Vec::new();
                if let Some((mut inner, entries)) = nested {
                    let stem = target.key.trim_end_matches(".zip");
                    for entry in entries {
                        let target = Target {
                            key: format!("{stem}/{}", entry.safe_name),
                            content_type: content_type(&entry.name).to_owned(),
                            ..target.clone()
                        };
                        let (back, object) = self.put_entry(&unpack, inner, entry, &target).await?;
                        inner = back;
                        stored.push(object);
                    }
                } else {
                    let (back, object) = self.put_entry(&unpack, archive, entry, &target).await?;
                    archive = back;
                    stored.push(object);
                }
                for output in &unpack {
                    let named = stored
                        .iter()
                        .map(|object| (output.name.clone(), object.clone()));
                    objects.extend(named);
                }
            }
        }
        Ok(Contents { objects, missing })
    }

    fn with_zip(&self, zip: Zip) -> Vec<&Output> {
        self.outputs
            .iter()
            .filter(|output| output.zip == zip)
            .collect()
    }

    /// Downloads an archive into an unnamed file.
    async fn spool(&self, artifact: &Artifact) -> Result<(File, u64, String), Attempt> {
        let mut download = Download::begin(self, artifact).await?;
        let announced = download.size;
        let folder = self.spool.clone();
        let mut file = spawn_blocking(move || crate::archive::spool(&folder))
            .await
            .map_err(host)?
            .map_err(host)?;
        let mut digest = Sha256::new();
        let mut total = 0;
        while let Some(data) = download.next().await? {
            digest.update(&data);
            total += data.len() as u64;
            file = spawn_blocking(move || file.write_all(&data).map(|()| file))
                .await
                .map_err(host)?
                .map_err(host)?;
        }
        let sha256 = checked(artifact, announced, total, digest)?;
        file.rewind().map_err(host)?;
        Ok((file, total, sha256))
    }

    /// The object that an archive is when it is kept.
    async fn whole(&self, artifact: &Artifact) -> Result<Target, Attempt> {
        let (conversation, recording, stem) = match &artifact.key {
            ArtifactKey::Bundle(id) => (
                String::new(),
                String::new(),
                format!("bundles/{}", safe(id)),
            ),
            ArtifactKey::Recording(key) => {
                let id = key.conversation.clone();
                let starts = self.queue.starts(vec![id.clone()]).await.map_err(host)?;
                let start = starts.get(&id).copied().unwrap_or_default();
                let stem = stem(start, &id, &key.recording, key.part);
                (id, key.recording.clone(), stem)
            }
        };
        Ok(Target {
            conversation,
            recording,
            key: format!("{stem}.zip"),
            content_type: "application/zip".to_owned(),
        })
    }

    /// Which object each file of an archive becomes, and what its index says is missing.
    async fn targets(
        &self,
        artifact: &Artifact,
        archive: Option<Archive>,
        entries: &[Entry],
    ) -> Result<(Option<Archive>, Vec<(Entry, Target)>, Vec<Absent>), Attempt> {
        let Some(mut archive) = archive else {
            return Ok((None, Vec::new(), Vec::new()));
        };
        match (&artifact.key, &artifact.container) {
            (ArtifactKey::Bundle(_), Container::ZipBundle(index)) => {
                let passing = index.passing_errors.clone();
                let (index, list) = (index.clone(), entries.to_vec());
                let (archive, listed) = spawn_blocking(move || {
                    let listed = archive.listed(&list, &index)?;
                    Ok::<_, ArchiveError>((archive, listed))
                })
                .await
                .map_err(host)?
                .map_err(|error| TransferError::Link(error.to_string()))?;
                let ids = listed
                    .owners
                    .values()
                    .map(|owner| owner.conversation.clone())
                    .collect();
                let starts = self.queue.starts(ids).await.map_err(host)?;
                let targets = bundle_targets(entries, &listed, &starts);
                let missing = listed
                    .missing
                    .into_iter()
                    .map(|(conversation, message)| {
                        let text = message.to_lowercase();
                        Absent {
                            conversation,
                            code: "not-in-bundle".to_owned(),
                            passing: passing.iter().any(|word| text.contains(word)),
                            message,
                        }
                    })
                    .collect();
                Ok((Some(archive), targets, missing))
            }
            (ArtifactKey::Recording(key), _) => {
                let id = vec![key.conversation.clone()];
                let starts = self.queue.starts(id).await.map_err(host)?;
                let start = starts.get(&key.conversation).copied().unwrap_or_default();
                let stem = stem(start, &key.conversation, &key.recording, key.part);
                let targets = entries.iter().map(|entry| {
                    let target = Target {
                        conversation: key.conversation.clone(),
                        recording: key.recording.clone(),
                        key: format!("{stem}/{}", entry.safe_name),
                        content_type: content_type(&entry.name).to_owned(),
                    };
                    (entry.clone(), target)
                });
                Ok((Some(archive), targets.collect(), Vec::new()))
            }
            (ArtifactKey::Bundle(_), _) => Ok((Some(archive), Vec::new(), Vec::new())),
        }
    }

    async fn put_file(
        &self,
        outputs: &[&Output],
        target: &Target,
        mut file: File,
        size: u64,
    ) -> Result<(), Attempt> {
        let _held = self.hold(Some(size), outputs.len()).await;
        let (feeds, puts) = self.puts(outputs, target, Some(size));
        let reader = spawn_blocking(move || -> io::Result<_> {
            file.rewind()?;
            loop {
                let mut buffer = vec![0; 64 << 10];
                let length = file.read(&mut buffer)?;
                buffer.truncate(length);
                if length == 0 || !feed_all(&feeds, &Bytes::from(buffer)) {
                    return Ok(feeds);
                }
            }
        });
        let read = async {
            let feeds = reader.await.map_err(host)?.map_err(host)?;
            join_all(feeds.into_iter().map(Feed::end)).await;
            Ok::<_, TransferError>(())
        };
        let (read, stored) = tokio::join!(read, join_all(puts));
        for result in stored {
            result?;
        }
        Ok(read?)
    }

    async fn put_entry(
        &self,
        outputs: &[&Output],
        mut archive: Archive,
        entry: Entry,
        target: &Target,
    ) -> Result<(Archive, Object), Attempt> {
        let size = entry.size;
        let _held = self.hold(Some(size), outputs.len()).await;
        let (feeds, puts) = self.puts(outputs, target, Some(size));
        let unpacker = spawn_blocking(move || {
            let mut digest = Sha256::new();
            archive.unpack(&entry, |data| {
                digest.update(&data);
                feed_all(&feeds, &data)
            })?;
            Ok::<_, ArchiveError>((archive, feeds, hex(&digest.finalize())))
        });
        let unpack = async {
            let (archive, feeds, sha256) = unpacker
                .await
                .map_err(host)?
                .map_err(|error| TransferError::Link(error.to_string()))?;
            join_all(feeds.into_iter().map(Feed::end)).await;
            Ok::<_, TransferError>((archive, sha256))
        };
        let (unpacked, stored) = tokio::join!(unpack, join_all(puts));
        let (archive, sha256) = unpacked?;
        for result in stored {
            result?;
        }
        Ok((archive, target.object(size, &sha256)))
    }

    /// Opens a zip inside a bundle, such as that of a chat; none if it is damaged.
    async fn nested(
        &self,
        mut archive: Archive,
        entry: &Entry,
    ) -> Result<(Archive, Option<(Archive, Vec<Entry>)>), Attempt> {
        let (folder, entry) = (self.spool.clone(), entry.clone());
        let opened = spawn_blocking(move || -> Result<_, TransferError> {
            let mut file = crate::archive::spool(&folder).map_err(host)?;
            let mut written = Ok(());
            archive
                .unpack(&entry, |data| {
                    written = file.write_all(&data);
                    written.is_ok()
                })
                .map_err(|error| TransferError::Link(error.to_string()))?;
            written.map_err(host)?;
            let inner = Archive::open(file).and_then(|mut inner| {
                let entries = inner.entries()?;
                Ok((inner, entries))
            });
            Ok((archive, inner.ok()))
        });
        Ok(opened.await.map_err(host)??)
    }
}

fn feed_all(feeds: &[Feed], data: &Bytes) -> bool {
    let mut open = false;
    for feed in feeds {
        open |= feed.send_blocking(data.clone()).is_ok();
    }
    open
}

fn bundle_targets(
    entries: &[Entry],
    listed: &Listed,
    starts: &BTreeMap<String, u64>,
) -> Vec<(Entry, Target)> {
    let mut parts = BTreeMap::<(String, String), u32>::new();
    let mut targets = Vec::new();
    for entry in entries {
        let Some(owner) = listed.owners.get(&entry.name) else {
            continue;
        };
        if is_index(entry) && owner.content_type.is_none() {
            continue;
        }
        let content_type = owner
            .content_type
            .clone()
            .unwrap_or_else(|| content_type(&entry.name).to_owned());
        let id = (owner.conversation.clone(), owner.recording.clone());
        let part = parts.entry(id).or_default();
        let start = starts.get(&owner.conversation).copied().unwrap_or_default();
        let stem = stem(start, &owner.conversation, &owner.recording, *part);
        *part += 1;
        targets.push((
            entry.clone(),
            Target {
                conversation: owner.conversation.clone(),
                recording: owner.recording.clone(),
                key: format!("{stem}.{}", extension(&content_type)),
                content_type,
            },
        ));
    }
    targets
}
