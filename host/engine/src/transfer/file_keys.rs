//! The keys of the files that a recording becomes, before there is a recording.

use super::{ArchiveMode, Name, ObjectTarget, extension, is_zip};
use crate::preview::SinkRules;
use recording_host_model::{KeyContext, RecordingKey};
use recording_host_transcode::{Channels, Original};

/// Stands for what only the recording's bytes tell: the names of files in an archive, the number of a channel.
const ANY: &str = "*";

/// The keys of the files that a recording of a MIME type becomes in a sink, if all goes well. One that is of
/// the format that `transcode` makes counts as already as it is wanted.
pub(crate) fn file_keys(
    key: &RecordingKey,
    known: &KeyContext,
    content_type: &str,
    rules: &SinkRules,
) -> Vec<String> {
    let whole = Name::Whole(extension(content_type).to_owned());
    let mut names = Vec::new();
    if is_zip(content_type) {
        if rules.zip != ArchiveMode::Keep {
            names.push(Name::Entry(ANY.to_owned()));
        }
        if rules.zip != ArchiveMode::Unpack {
            names.push(whole);
        }
    } else {
        let settings = rules.transcode.as_ref();
        let settings = settings.filter(|settings| {
            let same = extension(content_type) == settings.to.extension();
            settings.takes(content_type) && !(same && settings.channels == Channels::Keep)
        });
        if let Some(settings) = settings {
            let each = settings.channels == Channels::Split;
            names.push(match whole.made(settings, each.then_some(0)) {
                Name::Whole(name) if each => Name::Whole(name.replace("ch0.", "ch*.")),
                name => name,
            });
        }
        if settings.is_none_or(|settings| settings.original == Original::Keep) {
            names.push(whole);
        }
    }
    let targets = names.into_iter().map(|name| ObjectTarget {
        name,
        content_type: content_type.to_owned(),
        ..ObjectTarget::of(key, known)
    });
    targets.map(|target| target.key(&rules.layout)).collect()
}
