//! The rows of a search as a download, written while they are sent.

use std::sync::Arc;

use bytes::Bytes;
use hyper::{StatusCode, header, header::HeaderValue};
use recording_host_sink::{Body, BodySender};

use crate::{
    Indexed, Page, PageError, Query,
    media::sent,
    respond::{Answer, streamed},
    table::{COLUMNS, Form, Found},
};

/// The rows that a search finds, in this form.
pub(super) async fn of_search(
    page: &Arc<Page>,
    of: &Arc<Indexed>,
    query: Query,
    form: Form,
    who: &str,
) -> Result<Answer, PageError> {
    let found = Found::of(&of.index, query).await?;
    if found.file_after("")?.is_none() {
        return Err(PageError::Missing("what was asked for".to_owned()));
    }
    let (page, of, who) = (Arc::clone(page), Arc::clone(of), who.to_owned());
    let (feed, body) = Body::channel();
    tokio::spawn(async move {
        // A download that breaks off says to the browser that it is not whole.
        if write(&page, &of, &found, form, &who, &feed).await.is_ok() {
            feed.end().await;
        }
    });
    let (kind, name) = match form {
        Form::Csv => (
            "text/csv; charset=utf-8",
            "attachment; filename=\"rows.csv\"",
        ),
        Form::Lines => (
            "application/x-ndjson",
            "attachment; filename=\"rows.jsonl\"",
        ),
    };
    let mut answer = streamed(StatusCode::OK, kind, sent(body, "the rows".to_owned()));
    answer
        .headers_mut()
        .insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(name));
    Ok(answer)
}

async fn write(
    page: &Page,
    of: &Indexed,
    found: &Found,
    form: Form,
    who: &str,
    feed: &BodySender,
) -> Result<(), PageError> {
    let send = async |text: String| {
        let sent = feed.send(Bytes::from(text)).await;
        sent.map_err(|error| PageError::Io(std::io::Error::other(error)))
    };
    if form == Form::Csv {
        send(COLUMNS.to_owned()).await?;
    }
    let mut last = String::new();
    while let Some(file) = found.file_after(&last)? {
        let (conversations, text) = found.text(&of.archive, &file, form).await?;
        for id in &conversations {
            page.access.add(who, "export-rows", Some(id))?;
        }
        send(text).await?;
        last = file;
    }
    Ok(())
}
