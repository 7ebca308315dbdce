//! The transcripts of chats, messages and e-mails.

use std::io::{self, Cursor, Write};

use bytes::Bytes;
use serde_json::{Value, json};
use zip::{ZipWriter, write::SimpleFileOptions};

use super::content::Content;
use crate::{Conversation, MediaType, time::iso};

/// The transcript as JSON.
pub(super) fn json(conversation: &Conversation) -> Content {
    Content::Whole(transcript(conversation).to_string().into())
}

/// A zip with the transcript of a chat or messages, or with an e-mail.
pub(super) fn zip(conversation: &Conversation) -> Content {
    let mut files = vec![(
        "transcript.json".to_owned(),
        transcript(conversation).to_string(),
    )];
    if conversation.media == MediaType::Email {
        files = vec![("message.eml".to_owned(), email(conversation))];
    } else if conversation.odd.is_multiple_of(5) {
        let text = "The customer's account at a glance.\n".repeat(20);
        files.push(("attachments/account.txt".to_owned(), text));
    }
    let packed = pack(&files).expect("writing to memory does not fail");
    Content::Whole(packed)
}

/// An e-mail by itself.
pub(super) fn eml(conversation: &Conversation) -> Content {
    Content::Whole(email(conversation).into())
}

fn pack(files: &[(String, String)]) -> io::Result<Bytes> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in files {
        zip.start_file(name, SimpleFileOptions::default())?;
        zip.write_all(text.as_bytes())?;
    }
    Ok(zip.finish()?.into_inner().into())
}

fn transcript(conversation: &Conversation) -> Value {
    let lines = [
        "Good morning, how can I help?",
        "My order has not arrived.",
        "Let me look into that for you.",
        "Thank you.",
    ];
    let step = (conversation.end - conversation.start) / lines.len() as u64;
    let messages = lines.iter().enumerate().map(|(number, text)| {
        json!({
            "from": if number % 2 == 0 { &conversation.center } else { &conversation.customer },
            "time": iso(conversation.start + number as u64 * step),
            "body": text,
        })
    });
    json!({
        "conversationId": conversation.id,
        "mediaType": conversation.media.name(),
        "messages": messages.collect::<Vec<_>>(),
    })
}

fn email(conversation: &Conversation) -> String {
    let instant = jiff::Timestamp::from_millisecond(conversation.start as i64).unwrap_or_default();
    let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_string(&instant);
    format!(
        "From: {}\r\nTo: {}\r\nDate: {}\r\nMessage-ID: <{}@center.example>\r\nSubject: My order\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nMy order has not arrived.\r\n",
        conversation.customer,
        conversation.center,
        date.unwrap_or_default(),
        conversation.id
    )
}
