//! Hashes a recording's object anew and compares it with its receipt.

use recording_host_metadata::restore::Row;
use recording_host_model::hex;
use recording_host_sink::Body;
use sha2::{Digest, Sha256};

use crate::{Archive, PageError, archive::ReceiptLine, archive::broken};

/// The result in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileVerdict {
    pub(crate) good: bool,
    pub(crate) title: String,
    pub(crate) detail: String,
}

impl FileVerdict {
    fn bad(title: &str, detail: String) -> Self {
        FileVerdict {
            good: false,
            title: title.to_owned(),
            detail,
        }
    }
}

/// The SHA-256 and the length of an object.
async fn hashed(mut body: Body, key: &str) -> Result<(String, u64), PageError> {
    let (mut digest, mut length) = (Sha256::new(), 0_u64);
    while let Some(data) = body.next().await.map_err(|_| broken(key))? {
        digest.update(&data);
        length += data.len() as u64;
    }
    Ok((hex(&digest.finalize()), length))
}

/// Hashes the object of a row as it is stored, and says whether it is what the receipt's line says.
pub(crate) async fn verify(
    archive: &Archive,
    row: &Row,
    line: &ReceiptLine,
) -> Result<FileVerdict, PageError> {
    let Some(key) = row.object_key.as_deref() else {
        return Ok(FileVerdict::bad(
            "There is no file",
            "The row names no object.".to_owned(),
        ));
    };
    let promised = line.entry.objects.iter().find(|object| {
        let same = object.key == key || object.key.strip_suffix(".age") == Some(key);
        // What is encrypted keeps the names in an archive to itself.
        same && (object.member.is_none() || object.member == row.archive_member)
    });
    let Some(promised) = promised else {
        return Ok(FileVerdict::bad(
            "The receipt does not name this file",
            format!("Line {} has no object {key}.", line.number),
        ));
    };
    if !line.adds_up {
        return Ok(FileVerdict::bad(
            "The receipt itself was changed",
            "Its lines are not those that its first line counts. Verify the archive.".to_owned(),
        ));
    }
    let Some(body) = archive.stored(&promised.key).await? else {
        return Ok(FileVerdict::bad(
            "The file is missing",
            format!("{} is not there.", promised.key),
        ));
    };
    let (found, length) = hashed(body, key).await?;
    if promised.member.is_none() && length != promised.size {
        let detail = format!(
            "It has {length} bytes, and {} in the receipt.",
            promised.size
        );
        return Ok(FileVerdict::bad(
            "The file is not what the receipt says",
            detail,
        ));
    }
    if found != promised.sha256 {
        let detail = format!(
            "Its SHA-256 is {found}, and {} in the receipt.",
            promised.sha256
        );
        return Ok(FileVerdict::bad(
            "The file is not what the receipt says",
            detail,
        ));
    }
    let stored_as_read = promised.key == key && !key.ends_with(".age");
    if stored_as_read && row.sha256.as_ref().is_some_and(|sha256| *sha256 != found) {
        let detail = "Its SHA-256 is that of the receipt, and the row has another one.".to_owned();
        return Ok(FileVerdict::bad(
            "The row does not agree with the receipt",
            detail,
        ));
    }
    Ok(FileVerdict {
        good: true,
        title: "The file is what the receipt says, byte for byte".to_owned(),
        detail: format!("Read again just now: {length} bytes, SHA-256 {found}."),
    })
}
