//! Compares receipts with each other: what is filed twice, and what days they leave out.

use std::collections::BTreeMap;

use rusqlite::{Row, params};

use super::{
    Check,
    claims::HeaderClaims,
    expected_objects::ExpectedObjects,
    finding::{Difference, ObjectKind, SegmentId, VerifyFinding},
};
use recording_host_sink::SinkError;

/// A receipt as the database has it.
#[derive(Clone)]
struct FiledSegment {
    key: String,
    segment: SegmentId,
}

impl FiledSegment {
    /// Reads four columns from the one with this number on.
    fn read(row: &Row<'_>, from: usize) -> rusqlite::Result<Self> {
        Ok(FiledSegment {
            key: row.get(from)?,
            segment: SegmentId {
                export: row.get(from + 1)?,
                day: row.get(from + 2)?,
                number: row.get(from + 3)?,
            },
        })
    }
}

/// Two receipts that are about the same, with the conversations that they share.
struct Pair {
    one: FiledSegment,
    other: FiledSegment,
    conversations: Vec<String>,
}

const ONE: &str = "one.key, one.export, one.day, one.segment";
const OTHER: &str = "other.key, other.export, other.day, other.segment";

impl ExpectedObjects {
    /// Leaves receipts out of all that follows: others have taken their place.
    async fn set_void(&self, keys: Vec<String>) -> Result<(), SinkError> {
        self.with(move |tx| {
            let mut update = tx.prepare_cached("UPDATE receipt SET void = 1 WHERE key = ?1")?;
            for key in keys {
                update.execute([key])?;
            }
            Ok(())
        })
        .await
    }

    async fn receipt_keys(&self) -> Result<Vec<String>, SinkError> {
        self.with(|tx| {
            tx.prepare("SELECT key FROM receipt")?
                .query_map([], |row| row.get(0))?
                .collect()
        })
        .await
    }

    /// How many conversations the receipts have.
    async fn conversations(&self) -> Result<u64, SinkError> {
        self.with(|tx| {
            tx.query_row(
                "SELECT count(DISTINCT conversation) FROM entry JOIN receipt ON receipt.id = entry.receipt
                 WHERE NOT void",
                [],
                |row| row.get::<_, i64>(0).map(|count| count as u64),
            )
        })
        .await
    }

    /// How many conversations each export's receipts have of each day.
    async fn days(&self) -> Result<BTreeMap<(String, String), u64>, SinkError> {
        self.with(|tx| {
            tx.prepare(
                "SELECT export, day, count(DISTINCT conversation)
                 FROM receipt LEFT JOIN entry ON receipt.id = entry.receipt WHERE NOT void GROUP BY export, day",
            )?
            .query_map([], |row| {
                Ok(((row.get(0)?, row.get(1)?), row.get::<_, i64>(2)? as u64))
            })?
            .collect()
        })
        .await
    }

    /// Receipts of one segment.
    async fn same_segment(&self) -> Result<Vec<Pair>, SinkError> {
        self.with(|tx| {
            tx.prepare(&format!(
                "SELECT {ONE}, {OTHER} FROM receipt AS one JOIN receipt AS other USING (export, segment)
                 WHERE one.key < other.key AND NOT one.void AND NOT other.void ORDER BY one.key, other.key"
            ))?
            .query_map([], |row| {
                Ok(Pair {
                    one: FiledSegment::read(row, 0)?,
                    other: FiledSegment::read(row, 4)?,
                    conversations: Vec::new(),
                })
            })?
            .collect()
        })
        .await
    }

    /// Receipts of one export that have the same attempt at a conversation, if `same`; or of two
    /// exports that have the same attempt at a recording.
    async fn filed_twice(&self, same: bool) -> Result<Vec<Pair>, SinkError> {
        let (table, relation) = match same {
            true => ("entry", "="),
            false => ("recording", "<>"),
        };
        let and_recording = if same {
            ""
        } else {
            "AND b.recording = a.recording"
        };
        self.with(move |tx| {
            let mut query = tx.prepare(&format!(
                "SELECT DISTINCT {ONE}, {OTHER}, a.conversation
                 FROM {table} AS a JOIN {table} AS b
                   ON b.conversation = a.conversation AND b.attempt = a.attempt {and_recording}
                 JOIN receipt AS one ON one.id = a.receipt JOIN receipt AS other ON other.id = b.receipt
                 WHERE one.key < other.key AND one.export {relation} other.export
                   AND NOT one.void AND NOT other.void
                 ORDER BY one.key, other.key, a.conversation"
            ))?;
            let mut rows = query.query(params![])?;
            let mut pairs = Vec::<Pair>::new();
            while let Some(row) = rows.next()? {
                let (one, other) = (FiledSegment::read(row, 0)?, FiledSegment::read(row, 4)?);
                let conversation = row.get(8)?;
                match pairs.last_mut() {
                    Some(last) if last.one.key == one.key && last.other.key == other.key => {
                        last.conversations.push(conversation);
                    }
                    _ => pairs.push(Pair {
                        one,
                        other,
                        conversations: vec![conversation],
                    }),
                }
            }
            Ok(pairs)
        })
        .await
    }
}

impl Check<'_> {
    /// Compares all receipts that were read with each other, and with what they claim.
    pub(super) async fn segments(&mut self, reported: HeaderClaims) -> Result<(), SinkError> {
        let mut void = self.ledger.receipt_keys().await?;
        void.retain(|key| self.is_void(key));
        self.ledger.set_void(void).await?;
        self.report.conversations = self.ledger.conversations().await?;
        for pair in self.ledger.same_segment().await? {
            let detail = format!("it is about the same segment as {}", pair.one.key);
            self.pair(Difference::SameSegment, pair, detail);
        }
        for pair in self.ledger.filed_twice(true).await? {
            let detail = format!(
                "{} conversations stand at the same attempt in {}, too, the first: {}",
                pair.conversations.len(),
                pair.one.key,
                pair.conversations[0]
            );
            self.pair(Difference::Repeated, pair, detail);
        }
        for pair in self.ledger.filed_twice(false).await? {
            let detail = format!(
                "the rows of {} conversations stand in those of {}, too, the first: {}",
                pair.conversations.len(),
                pair.one.key,
                pair.conversations[0]
            );
            self.pair(Difference::Doubled, pair, detail);
        }
        let days = self.ledger.days().await?;
        let (coverage, counted, gaps) = reported.against(&days);
        (self.report.coverage, self.report.counted) = (coverage, counted);
        self.report.findings.extend(gaps);
        Ok(())
    }

    fn pair(&mut self, difference: Difference, pair: Pair, detail: String) {
        self.report.findings.push(VerifyFinding {
            difference,
            key: pair.other.key,
            kind: ObjectKind::Receipt,
            conversation: None,
            segment: Some(pair.other.segment),
            other: Some(pair.one.key),
            conversations: pair.conversations,
            detail,
        });
    }
}
