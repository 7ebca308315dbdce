//! The parts of a segment that are fixed before it is put: the bytes of its receipts.

use rusqlite::{OptionalExtension, params};

use super::{Queue, QueueError, compact::replace_in, life_cycle::stage};

/// How hard receipts are compressed: fast rather than small.
const LEVEL: i32 = 1;

impl Queue {
    /// The bytes that are fixed for a segment's receipt in a sink, if some are.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn fixed_receipt(
        &self,
        segment: i64,
        sink: String,
    ) -> Result<Option<Vec<u8>>, QueueError> {
        self.transaction(move |tx| {
            let fixed: Option<Vec<u8>> = tx
                .prepare_cached("SELECT receipt FROM filing WHERE segment = ?1 AND sink = ?2")?
                .query_row(params![segment, sink], |row| row.get(0))
                .optional()?
                .flatten();
            fixed.map(|bytes| unpacked(&bytes)).transpose()
        })
        .await
    }

    /// Fixes the bytes of a segment's receipt in a sink, unless some are fixed already; returns those
    /// that are. They are kept until the segment is [`filed`](Self::filed).
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn fix_receipt(
        &self,
        segment: i64,
        sink: String,
        bytes: Vec<u8>,
    ) -> Result<Vec<u8>, QueueError> {
        self.transaction(move |tx| {
            let packed = zstd::bulk::compress(&bytes, LEVEL).map_err(unusable)?;
            let fixed = tx
                .prepare_cached(
                    "UPDATE filing SET receipt = ?3 WHERE segment = ?1 AND sink = ?2 AND receipt IS NULL",
                )?
                .execute(params![segment, sink, packed])?;
            if fixed > 0 {
                return Ok(bytes);
            }
            let before: Option<Vec<u8>> = tx
                .prepare_cached("SELECT receipt FROM filing WHERE segment = ?1 AND sink = ?2")?
                .query_row(params![segment, sink], |row| row.get(0))
                .optional()?
                .flatten();
            before.map_or(Ok(bytes), |before| unpacked(&before))
        })
        .await
    }

    /// Expects a segment to be filed in a sink.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn expect_filing(&self, segment: i64, sink: String) -> Result<(), QueueError> {
        self.transaction(move |tx| {
            tx.prepare_cached("INSERT OR IGNORE INTO filing (segment, sink) VALUES (?1, ?2)")?
                .execute(params![segment, sink])?;
            // What some sinks alone lack stays apart until each has it.
            tx.prepare_cached(concat!(
                "INSERT OR IGNORE INTO wanting (conversation, sink) SELECT conversation, ?2 FROM wanting
                 JOIN conversation ON id = conversation WHERE segment = ?1 AND ",
                stage!(Sealed)
            ))?
            .execute(params![segment, sink])?;
            replace_in(tx, &sink)
        })
        .await
    }

    /// Lets go of the bytes that are fixed for a receipt which was never put.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn release_receipt(&self, segment: i64, sink: String) -> Result<(), QueueError> {
        self.transaction(move |tx| {
            tx.prepare_cached("UPDATE filing SET receipt = NULL WHERE segment = ?1 AND sink = ?2")?
                .execute(params![segment, sink])
                .map(drop)
        })
        .await
    }

    /// Notes the sha256 of a segment's rows in a sink, by which they are known to be sound when their
    /// receipt is lost.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn set_rows(
        &self,
        segment: i64,
        sink: String,
        sha256: String,
    ) -> Result<(), QueueError> {
        self.transaction(move |tx| {
            tx.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")?
                .execute([rows_of(segment, &sink), sha256])
                .map(drop)
        })
        .await
    }

    /// The sha256 of a segment's rows in a sink, if it was noted.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn rows(&self, segment: i64, sink: String) -> Result<Option<String>, QueueError> {
        self.transaction(move |tx| {
            tx.prepare_cached("SELECT value FROM meta WHERE name = ?1")?
                .query_row([rows_of(segment, &sink)], |row| row.get(0))
                .optional()
        })
        .await
    }

    /// The version of the text about the archive that a sink was given; 0 for none.
    pub async fn readme(&self, sink: String) -> Result<i64, QueueError> {
        self.transaction(move |tx| {
            let version: Option<String> = tx
                .prepare_cached("SELECT value FROM meta WHERE name = 'readme:' || ?1")?
                .query_row([sink], |row| row.get(0))
                .optional()?;
            Ok(version
                .and_then(|version| version.parse().ok())
                .unwrap_or(0))
        })
        .await
    }

    /// Notes the version of the text about the archive that a sink was given.
    pub async fn set_readme(&self, sink: String, version: i64) -> Result<(), QueueError> {
        self.transaction(move |tx| {
            tx.prepare_cached("INSERT OR REPLACE INTO meta VALUES ('readme:' || ?1, ?2)")?
                .execute(params![sink, version.to_string()])
                .map(drop)
        })
        .await
    }
}

/// Under which name the sha256 of a segment's rows in a sink is kept.
pub(super) fn rows_of(segment: i64, sink: &str) -> String {
    format!("rows:{segment}:{sink}")
}

fn unpacked(bytes: &[u8]) -> rusqlite::Result<Vec<u8>> {
    zstd::stream::decode_all(bytes).map_err(unusable)
}

fn unusable(error: std::io::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_bytes_stay_until_they_are_released() {
        let queue = Queue::in_memory().unwrap();
        queue.expect_filing(1, "lake".into()).await.unwrap();
        let fix = async |bytes: &[u8]| {
            let fixed = queue.fix_receipt(1, "lake".into(), bytes.to_vec()).await;
            fixed.unwrap()
        };
        let fixed = async || queue.fixed_receipt(1, "lake".into()).await.unwrap();
        assert_eq!(fixed().await, None);
        assert_eq!(fix(b"one").await, b"one");
        assert_eq!(fix(b"two").await, b"one");
        assert_eq!(fixed().await.as_deref(), Some(b"one".as_slice()));
        queue.release_receipt(1, "lake".into()).await.unwrap();
        assert_eq!(fixed().await, None);
        assert_eq!(fix(b"two").await, b"two");
    }

    #[tokio::test]
    async fn each_sink_has_its_own_version_of_the_text() {
        let queue = Queue::in_memory().unwrap();
        queue.set_readme("lake".into(), 3).await.unwrap();
        assert_eq!(queue.readme("lake".into()).await.unwrap(), 3);
        assert_eq!(queue.readme("other".into()).await.unwrap(), 0);
    }
}
