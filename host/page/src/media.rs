//! Media of the archive: by ranges, and as waveforms.

use std::{
    io::{self, Seek, SeekFrom, Write},
    ops::Range,
    sync::Arc,
};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    HeaderMap, StatusCode,
    body::Frame,
    header::{self, HeaderValue},
};
use recording_host_metadata::restore::Row;
use recording_host_sink::Body;

use crate::{
    Archive, Index, PageError,
    archive::broken,
    respond::{Answer, plain, streamed},
};

/// How many stretches a waveform has.
const STRETCHES: usize = 1200;
/// How much of a text is shown, in bytes.
pub(crate) const SHOWN: usize = 64 << 10;

/// How a file is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// By a player, as this type.
    Audio(&'static str),
    Video(&'static str),
    /// As text, cut.
    Text,
    /// Not at all: it can be downloaded.
    File,
}

/// How a row's file is shown, by the type that was announced. A browser gets types of this list alone.
pub(crate) fn shown(row: &Row) -> Shown {
    let announced = row.content_type.as_deref().unwrap_or_default();
    let kind = announced.split(';').next().unwrap_or_default().trim();
    match kind.to_ascii_lowercase().as_str() {
        // A file of an archive that is kept has no object of its own.
        _ if row.archive_member.is_some() => Shown::File,
        "audio/ogg" | "audio/opus" | "application/ogg" => Shown::Audio("audio/ogg"),
        "audio/wav" | "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => Shown::Audio("audio/wav"),
        "audio/mpeg" | "audio/mp3" => Shown::Audio("audio/mpeg"),
        "audio/flac" | "audio/x-flac" => Shown::Audio("audio/flac"),
        "audio/webm" => Shown::Audio("audio/webm"),
        "audio/mp4" => Shown::Audio("audio/mp4"),
        "video/webm" => Shown::Video("video/webm"),
        "video/mp4" => Shown::Video("video/mp4"),
        "application/json" | "message/rfc822" | "application/xml" => Shown::Text,
        kind if kind.starts_with("text/") => Shown::Text,
        _ => Shown::File,
    }
}

/// A row's file, or the range of it that is wanted; as a download, or for a player.
pub(crate) async fn file(
    archive: &Archive,
    row: &Row,
    headers: &HeaderMap,
    download: bool,
) -> Result<Answer, PageError> {
    let key = row.object_key.as_deref().unwrap_or_default();
    let kind = match shown(row) {
        Shown::Audio(kind) | Shown::Video(kind) if !download => kind,
        _ if !download => return Ok(plain(StatusCode::NOT_FOUND, "it is not shown; download it")),
        _ => "application/octet-stream",
    };
    // A file of an archive has the length of the file, and its object is the archive.
    let size = row.size_bytes.filter(|_| row.archive_member.is_none());
    let range = headers
        .get(header::RANGE)
        .and_then(|range| range.to_str().ok());
    // Of an empty file there is no range, and all of it is no error.
    let wanted = match (range, size.filter(|size| *size > 0)) {
        (Some(range), Some(size)) => match wanted(range, size) {
            Some(wanted) => Some((wanted, size)),
            None => {
                let mut refusal = plain(StatusCode::RANGE_NOT_SATISFIABLE, "no such range");
                set(
                    &mut refusal,
                    header::CONTENT_RANGE,
                    &format!("bytes */{size}"),
                );
                return Ok(refusal);
            }
        },
        _ => None,
    };
    let status = match wanted {
        Some(_) => StatusCode::PARTIAL_CONTENT,
        None => StatusCode::OK,
    };
    let body = match &wanted {
        Some((range, _)) => archive.range(key, range.clone()).await?,
        None => archive.open(key).await?,
    };
    let Some(body) = body else {
        return Err(PageError::Missing(key.to_owned()));
    };
    let mut answer = streamed(status, kind, sent(body, key.to_owned()));
    if let Some((range, size)) = wanted {
        let reported = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        set(&mut answer, header::CONTENT_RANGE, &reported);
        let length = (range.end - range.start).to_string();
        set(&mut answer, header::CONTENT_LENGTH, &length);
    }
    set(&mut answer, header::ACCEPT_RANGES, "bytes");
    if download {
        let name = key.rsplit('/').next().unwrap_or_default();
        let safe = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let name: String = name
            .chars()
            .map(|c| if safe(c) { c } else { '_' })
            .collect();
        let reported = format!("attachment; filename=\"{name}\"");
        set(&mut answer, header::CONTENT_DISPOSITION, &reported);
    }
    Ok(answer)
}

fn set(answer: &mut Answer, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}

/// The one range of bytes that a header asks for; none if there is no such range.
fn wanted(header: &str, size: u64) -> Option<Range<u64>> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) => first..last.checked_add(1)?.min(size),
        (Ok(first), Err(_)) if last.is_empty() => first..size,
        (Err(_), Ok(last)) if first.is_empty() => size.saturating_sub(last)..size,
        _ => return None,
    };
    (range.start < range.end).then_some(range)
}

/// A body on its way to a browser. One that breaks off breaks the answer off.
pub(crate) fn sent(body: Body, key: String) -> UnsyncBoxBody<Bytes, io::Error> {
    let frames = stream::try_unfold((body, key), |(mut body, key)| async move {
        let next = body.next().await;
        let next = next.map_err(|_| io::Error::other(broken(&key)))?;
        Ok(next.map(|data| (Frame::data(data), (body, key))))
    });
    StreamBody::new(frames).boxed_unsync()
}

/// The beginning of a text, and whether there is more of it.
pub(crate) async fn text(archive: &Archive, key: &str) -> Result<(String, bool), PageError> {
    let Some(mut body) = archive.open(key).await? else {
        return Err(PageError::Missing(key.to_owned()));
    };
    let mut text = Vec::new();
    while let Some(data) = body.next().await.map_err(|_| broken(key))? {
        text.extend_from_slice(&data);
        if text.len() > SHOWN {
            text.truncate(SHOWN);
            return Ok((String::from_utf8_lossy(&text).into_owned(), true));
        }
    }
    Ok((String::from_utf8_lossy(&text).into_owned(), false))
}

/// The waveform of a recording: the number of channels in a byte, then the peaks of each channel.
/// None if there is no decoder for it, or it is damaged.
pub(crate) async fn peaks(
    archive: &Archive,
    index: &Arc<Index>,
    row: &Row,
) -> Result<Option<Vec<u8>>, PageError> {
    let key = row.object_key.as_deref().unwrap_or_default();
    // By its digest, so that another object of the same key gets a waveform of its own.
    let name = format!("{key} {}", row.sha256.as_deref().unwrap_or_default());
    let sought = name.clone();
    if let Some(kept) = index.off_thread(move |index| index.peaks(&sought)).await? {
        return Ok(Some(kept));
    }
    let Some(mut body) = archive.open(key).await? else {
        return Err(PageError::Missing(key.to_owned()));
    };
    // Without a name: nobody else can open it, and it is gone with this process.
    let mut spooled = tempfile::tempfile()?;
    while let Some(data) = body.next().await.map_err(|_| broken(key))? {
        spooled.write_all(&data)?;
    }
    spooled.seek(SeekFrom::Start(0))?;
    let Some(made) = tokio::task::spawn_blocking(move || waveform(spooled)).await? else {
        return Ok(None);
    };
    let keeping = index.off_thread(move |index| {
        index.keep_peaks(&name, &made)?;
        Ok(made)
    });
    keeping.await.map(Some)
}

/// The waveform of a file: its channels, then the values of each; none of what cannot be decoded, and in a
/// build without codecs.
fn waveform(file: std::fs::File) -> Option<Vec<u8>> {
    let peaks = recording_host_transcode::peaks(file, STRETCHES).ok()?;
    let mut bytes = vec![u8::try_from(peaks.channels).ok()?];
    bytes.extend(peaks.values);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_lies_in_the_file_or_is_refused() {
        assert_eq!(wanted("bytes=0-", 10), Some(0..10));
        assert_eq!(wanted("bytes=2-3", 10), Some(2..4));
        assert_eq!(wanted("bytes=2-99", 10), Some(2..10));
        assert_eq!(wanted("bytes=-3", 10), Some(7..10));
        for bad in [
            "bytes=10-",
            "bytes=5-4",
            "bytes=-0",
            "bytes=-",
            "lines=1-2",
            "bytes=0-18446744073709551615",
        ] {
            assert_eq!(wanted(bad, 10), None, "{bad}");
        }
    }

    #[test]
    fn a_page_is_never_played_or_shown_as_one() {
        let kind = |kind: &str| {
            shown(&Row {
                content_type: Some(kind.to_owned()),
                ..Row::default()
            })
        };
        assert_eq!(kind("text/html"), Shown::Text);
        assert_eq!(kind("image/svg+xml"), Shown::File);
        assert_eq!(kind("AUDIO/OGG; codecs=opus"), Shown::Audio("audio/ogg"));
    }
}
