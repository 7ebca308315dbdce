//! Packages of evidence as downloads, written while they are sent.

use std::{
    io::{self, Write},
    sync::Arc,
};

use bytes::Bytes;
use hyper::{StatusCode, header, header::HeaderValue};
use jiff::Timestamp;
use recording_host_metadata::restore::Row;
use recording_host_sink::{Body, BodySender};

use crate::{
    Indexed, Package, Page, PageError, Query, Selection,
    media::sent,
    respond::{Answer, streamed},
};

/// The bytes that are sent at a time.
const CHUNK: usize = 64 << 10;

pub(super) async fn of_search(
    page: &Arc<Page>,
    of: &Arc<Indexed>,
    query: Query,
    who: &str,
) -> Result<Answer, PageError> {
    let selection = Selection::of_search(&of.archive, &of.index, query).await?;
    package(page, of, selection, who)
}

pub(super) async fn of_conversation(
    page: &Arc<Page>,
    of: &Arc<Indexed>,
    id: &str,
    who: &str,
) -> Result<Answer, PageError> {
    let ids = [id.to_owned()];
    let selection = Selection::of_conversations(&of.archive, &of.index, &ids).await?;
    package(page, of, selection, who)
}

pub(super) async fn of_recording(
    page: &Arc<Page>,
    of: &Arc<Indexed>,
    row: &Row,
    who: &str,
) -> Result<Answer, PageError> {
    let row = row.clone();
    let selection = Selection::of_recording(&of.archive, &of.index, row).await?;
    package(page, of, selection, who)
}

fn package(
    page: &Arc<Page>,
    of: &Arc<Indexed>,
    selection: Selection,
    who: &str,
) -> Result<Answer, PageError> {
    if selection.conversations()? == 0 {
        return Err(PageError::Missing("what was asked for".to_owned()));
    }
    let (page, of, who) = (Arc::clone(page), Arc::clone(of), who.to_owned());
    let (feed, body) = Body::channel();
    let feed = Arc::new(feed);
    let into = io::BufWriter::with_capacity(CHUNK, Feed(Arc::clone(&feed)));
    tokio::spawn(async move {
        let package = Package {
            archive: &of.archive,
            selection: &selection,
            made: Timestamp::now(),
        };
        let exported = |id: &str| page.access.exported(&who, id);
        // A download that breaks off says to the browser that it is no package.
        if package.write(into, exported).await.is_ok()
            && let Some(feed) = Arc::into_inner(feed)
        {
            feed.end().await;
        }
    });
    let body = sent(body, "the package".to_owned());
    let mut answer = streamed(StatusCode::OK, "application/zip", body);
    let name = HeaderValue::from_static("attachment; filename=\"evidence.zip\"");
    answer
        .headers_mut()
        .insert(header::CONTENT_DISPOSITION, name);
    Ok(answer)
}

/// The thread's end of a download.
struct Feed(Arc<BodySender>);

impl Write for Feed {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let sent = self.0.send_blocking(Bytes::copy_from_slice(data));
        sent.map_err(|error| io::Error::new(io::ErrorKind::BrokenPipe, error))?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
