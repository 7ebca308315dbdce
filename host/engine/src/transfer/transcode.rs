//! Delivers recordings in the form that sinks want.
//!
//! A recording is spooled, transcoded into the spool, and put from there, so that nothing reaches a
//! sink before all of it is known to be right. One that cannot be transcoded is delivered as it
//! is, and its row says why: that is no loss.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    sync::{Arc, Mutex, PoisonError},
};

use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use super::{
    AnnouncedContent, AttemptError, Begun, DeliveryReport, Name, ObjectTarget, SinkBinding,
    Transfer, TransferError, host,
};
use recording_host_model::{Artifact, hex};
use recording_host_transcode::{
    Channels, Original, TranscodeError, TranscodeSettings, Transcoded, transcode,
};
use recording_host_zip::{Room, Spool};

/// The code of the note on a recording that is not in the form that was wanted.
const CODE: &str = "not-transcoded";
/// How many times its own length a recording may become. Digital silence in FLAC becomes some 600 times
/// as long as PCM, and only a file that was made for it more than this.
const GROWTH: u64 = 4096;
/// The size that it may reach in any case, in bytes.
const SMALL: u64 = 64 << 20;

/// A file that is spooled.
pub(super) struct Digested {
    pub(super) file: File,
    pub(super) size: u64,
    pub(super) sha256: String,
}

/// A file that was made, and the channel that it has if there is one for each.
struct Made {
    spooled: Digested,
    channel: Option<u16>,
}

/// The result of transcoding.
enum Making {
    /// It is already as it was wanted.
    Already,
    /// These files, and what makes each unique.
    Files(Vec<Made>, Arc<Mutex<Meter>>),
    /// It cannot be done, for this reason.
    Refused(String),
}

/// Returns true if any of some sinks wants recordings of this type in another form.
pub(super) fn wanted(bindings: &[&SinkBinding], content_type: &str) -> bool {
    let mut bindings = bindings.iter();
    bindings.any(|binding| binding.transcoding(content_type).is_some())
}

impl SinkBinding {
    /// The form in which it wants recordings of this type, if not as they are.
    fn transcoding(&self, content_type: &str) -> Option<&TranscodeSettings> {
        let settings = self.transcode.as_ref();
        settings.filter(|settings| settings.takes(content_type))
    }
}

/// Notes with each object why it is as it was recorded, by its sink.
fn annotate(kept: &mut DeliveryReport, reasons: &[(&String, String)]) {
    for (sink, object) in &mut kept.contents.objects {
        let reason = reasons.iter().find(|(name, _)| *name == sink);
        object.note = reason.map(|(_, reason)| format!("{CODE}: {reason}"));
    }
}

impl Transfer {
    /// Downloads a recording, and brings it to each sink in the form that this wants.
    pub(super) async fn transcoded(
        &self,
        artifact: &Artifact,
        announced: &AnnouncedContent,
        bindings: &[&SinkBinding],
        target: &ObjectTarget,
        begun: Option<Begun<'_>>,
    ) -> Result<DeliveryReport, AttemptError> {
        let download = self.spooled(artifact, begun).await?;
        download.examine(announced)?;
        let short = self.doubted(
            artifact,
            &download.reported,
            download.size,
            &download.sha256,
        )?;
        let original = Digested {
            file: download.file.try_clone().map_err(host)?,
            size: download.size,
            sha256: download.sha256.clone(),
        };
        let mut delivery = self
            .put_transcoded(bindings, target, &original, &mut BTreeSet::new())
            .await?;
        for (_, object) in &mut delivery.contents.objects {
            object.note = object.note.take().or(short.clone());
        }
        Ok(delivery)
    }

    /// Brings a recording to each sink in the form that this wants. `taken` is what makes files unique that other
    /// files have; those of the files made here are added.
    pub(super) async fn put_transcoded(
        &self,
        bindings: &[&SinkBinding],
        target: &ObjectTarget,
        original: &Digested,
        taken: &mut BTreeSet<String>,
    ) -> Result<DeliveryReport, AttemptError> {
        let mut delivery = DeliveryReport::default();
        let (mut as_it_is, groups) = grouped(bindings, &target.content_type);
        let (mut notes, mut dedup_keys) = (Vec::new(), BTreeSet::new());
        for (settings, wanting) in groups {
            match self.make(settings, original).await? {
                Making::Already => as_it_is.extend(wanting),
                Making::Refused(reason) => {
                    let refused = wanting.iter();
                    notes.extend(refused.map(|binding| (&binding.name, reason.clone())));
                    as_it_is.extend(wanting);
                }
                Making::Files(files, _room) => {
                    let target_of = |made: &Made| ObjectTarget {
                        name: target.name.made(settings, made.channel),
                        content_type: settings.to.content_type().to_owned(),
                        ..target.clone()
                    };
                    let mut targets = files.iter().map(target_of);
                    if let Some(other) = targets.find(|made| taken.contains(&made.dedup_key())) {
                        notes.extend(wanting.iter().map(|binding| {
                            let key = other.key(&binding.layout);
                            (&binding.name, format!("{key} is another file's name"))
                        }));
                        as_it_is.extend(wanting);
                        continue;
                    }
                    for made in files {
                        let sound = delivery.sound(&wanting);
                        if sound.is_empty() {
                            break;
                        }
                        let target = target_of(&made);
                        let Digested { file, size, sha256 } = made.spooled;
                        // Another release may make other bytes of it, which are as good.
                        let stored = self.put_file(&sound, &target, file, size, true).await?;
                        delivery.note(&sound, stored, &target, Some((size, sha256)));
                        dedup_keys.insert(target.dedup_key());
                    }
                    if settings.original == Original::Keep {
                        as_it_is.extend(wanting);
                    }
                }
            }
        }
        taken.extend(dedup_keys);
        let sound = delivery.sound(&as_it_is);
        if !sound.is_empty() {
            let file = original.file.try_clone().map_err(host)?;
            let stored = self
                .put_file(&sound, target, file, original.size, false)
                .await?;
            let mut kept = DeliveryReport::default();
            let whole = Some((original.size, original.sha256.clone()));
            kept.note(&sound, stored, target, whole);
            annotate(&mut kept, &notes);
            delivery.contents.objects.extend(kept.contents.objects);
            delivery.failed.extend(kept.failed);
        }
        Ok(delivery)
    }

    /// Transcodes a recording into the spool.
    async fn make(
        &self,
        settings: &TranscodeSettings,
        original: &Digested,
    ) -> Result<Making, TransferError> {
        let mut wanted = original.size;
        loop {
            let Some(room) = self.transcodes.room(wanted).await else {
                return Err(host("the spool is closed"));
            };
            let meter = Arc::new(Mutex::new(Meter {
                room,
                spool: self.transcodes.clone(),
                written: 0,
                most: original.size.saturating_mul(GROWTH).max(SMALL),
                stopped: None,
            }));
            let input = original.file.try_clone().map_err(host)?;
            let (settings_too, own_meter) = (settings.clone(), Arc::clone(&meter));
            let making = spawn_blocking(move || made(input, &settings_too, &own_meter));
            let Ok(making) = making.await else {
                return Ok(Making::Refused(TranscodeError::Codec.to_string()));
            };
            let error = match making {
                Ok(None) => return Ok(Making::Already),
                Ok(Some(files)) => return Ok(Making::Files(files, meter)),
                Err(error) => error,
            };
            let stopped = meter.lock().unwrap_or_else(PoisonError::into_inner).stopped;
            match (error, stopped) {
                // Nobody knows how much it is: all there is.
                (TranscodeError::Io(_), Some(Stopped::Room)) => wanted = u64::MAX,
                (TranscodeError::Io(_), Some(Stopped::Growth)) => {
                    let reason = format!("it would become more than {GROWTH} times as long");
                    return Ok(Making::Refused(reason));
                }
                (TranscodeError::Io(error), None) => {
                    return Err(host(self.transcodes.error(error)));
                }
                (error, _) => return Ok(Making::Refused(error.to_string())),
            }
        }
    }
}

/// The sinks that want a recording as it is, and the others by what they want.
fn grouped<'a>(
    bindings: &[&'a SinkBinding],
    content_type: &str,
) -> (
    Vec<&'a SinkBinding>,
    Vec<(&'a TranscodeSettings, Vec<&'a SinkBinding>)>,
) {
    let mut groups: Vec<(&TranscodeSettings, Vec<&SinkBinding>)> = Vec::new();
    let mut as_it_is = Vec::new();
    for binding in bindings {
        let Some(settings) = binding.transcoding(content_type) else {
            as_it_is.push(*binding);
            continue;
        };
        match groups.iter_mut().find(|(other, _)| *other == settings) {
            Some((_, alike)) => alike.push(binding),
            None => groups.push((settings, vec![binding])),
        }
    }
    (as_it_is, groups)
}

impl Name {
    /// The name of a file that is made of this one.
    pub(super) fn made(&self, settings: &TranscodeSettings, channel: Option<u16>) -> Name {
        let to = settings.to.extension();
        let ending = match (channel, settings.channels) {
            (Some(channel), _) => format!("ch{channel}.{to}"),
            (None, Channels::Mix) => format!("mix.{to}"),
            (None, _) => to.to_owned(),
        };
        let other = |extension: &str| match ending.eq_ignore_ascii_case(extension) {
            true => format!("pcm.{ending}"),
            false => ending.clone(),
        };
        match self {
            Name::Whole(extension) => Name::Whole(other(extension)),
            Name::Entry(name) => {
                let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
                Name::Entry(format!("{stem}.{}", other(extension)))
            }
            // An archive is no recording, nor is what is kept aside.
            Name::Bundle(_) | Name::Aside { .. } => self.clone(),
        }
    }
}

/// Transcodes on a thread that may block; none if nothing is to be done.
fn made(
    input: File,
    settings: &TranscodeSettings,
    meter: &Arc<Mutex<Meter>>,
) -> Result<Option<Vec<Made>>, TranscodeError> {
    let open = || Metered::new(meter);
    let files = match transcode(input, settings, open)? {
        Transcoded::Already => return Ok(None),
        Transcoded::Files(files) => files,
    };
    let files = files.into_iter().map(|made| {
        Ok(Made {
            channel: made.channel,
            spooled: digested(made.output.file)?,
        })
    });
    Ok(Some(files.collect::<io::Result<_>>()?))
}

/// Reads a file through, on a thread that may block.
pub(super) fn digested(mut file: File) -> io::Result<Digested> {
    file.rewind()?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    let mut size = 0;
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        digest.update(&buffer[..length]);
        size += length as u64;
    }
    Ok(Digested {
        file,
        size,
        sha256: hex(&digest.finalize()),
    })
}

/// The room that the files made of a recording have, and what they take of it.
struct Meter {
    room: Room,
    spool: Spool,
    written: u64,
    /// The most that may be written.
    most: u64,
    stopped: Option<Stopped>,
}

/// Why no more may be written.
#[derive(Clone, Copy)]
enum Stopped {
    /// There is no more room.
    Room,
    /// No recording becomes so long.
    Growth,
}

/// A spooled file that is being written.
struct Metered {
    file: File,
    meter: Arc<Mutex<Meter>>,
}

impl Metered {
    fn new(meter: &Arc<Mutex<Meter>>) -> io::Result<Self> {
        let metered = meter.lock().unwrap_or_else(PoisonError::into_inner);
        let file = metered.spool.file().map_err(io::Error::other)?;
        Ok(Metered {
            file,
            meter: Arc::clone(meter),
        })
    }
}

impl Write for Metered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        let Meter {
            room,
            spool,
            written,
            most,
            stopped,
        } = &mut *meter;
        *written += bytes.len() as u64;
        if *written > *most {
            *stopped = Some(Stopped::Growth);
        } else if !spool.enlarge(room, *written) {
            *stopped = Some(Stopped::Room);
        }
        if stopped.is_some() {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for Metered {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use recording_host_transcode::Form;

    #[test]
    fn what_is_made_has_a_name_of_its_own() {
        let settings = |to, channels| TranscodeSettings {
            to,
            channels,
            when: None,
            original: Original::Keep,
        };
        let entry = |name: &str| Name::Entry(name.to_owned());
        let whole = |extension: &str| Name::Whole(extension.to_owned());
        let keep = settings(Form::Wav, Channels::Keep);
        let mix = settings(Form::Flac, Channels::Mix);
        let split = settings(Form::Wav, Channels::Split);
        for (name, settings, channel, made) in [
            (entry("c.ogg"), &keep, None, entry("c.wav")),
            (entry("wav"), &keep, None, entry("wav.wav")),
            (entry("c.WAV"), &keep, None, entry("c.pcm.wav")),
            (entry("c.1.ogg"), &mix, None, entry("c.1.mix.flac")),
            (whole("ogg"), &keep, None, whole("wav")),
            (whole("wav"), &keep, None, whole("pcm.wav")),
            (whole("wav"), &split, Some(1), whole("ch1.wav")),
        ] {
            assert_eq!(name.made(settings, channel), made);
        }
    }
}
