//! The findings of a verification.

use jiff::Timestamp;
use serde::Serialize;

use crate::receipt::parts_of;

/// How an archive differs from what its receipts say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Difference {
    /// A receipt names an object, and it is not there.
    Missing,
    /// An object has another length.
    Size,
    /// An object has other bytes.
    Content,
    /// An object is there, and no receipt names it.
    Unexpected,
    /// A receipt, or a row that belongs to it, cannot be read, or one contradicts the other about an
    /// object.
    Receipt,
    /// The lines of a receipt are not those that its header counts: one was removed, added or changed.
    Entries,
    /// A conversation stands twice in a receipt, or at one attempt in two receipts of an export.
    Repeated,
    /// A receipt says that something else became of a conversation than its rows, or its own line,
    /// say.
    Outcome,
    /// A conversation has fewer rows or more rows than it must have, or a row belongs to none.
    Rows,
    /// Two conversations name the same object: one has overwritten the other.
    SharedKey,
    /// The header of a receipt is about another segment, day or export than its key.
    Misplaced,
    /// Two receipts are about one segment.
    SameSegment,
    /// Rows of the same recordings stand twice in the sink, filed by two exports.
    Doubled,
    /// A day that the archive claims to cover has no receipt, though the source counted conversations.
    Gap,
}

impl Difference {
    /// The word for it, as it stands in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Difference::Missing => "missing",
            Difference::Size => "size",
            Difference::Content => "content",
            Difference::Unexpected => "unexpected",
            Difference::Receipt => "receipt",
            Difference::Entries => "entries",
            Difference::Repeated => "repeated",
            Difference::Outcome => "outcome",
            Difference::Rows => "rows",
            Difference::SharedKey => "shared-key",
            Difference::Misplaced => "misplaced",
            Difference::SameSegment => "same-segment",
            Difference::Doubled => "doubled",
            Difference::Gap => "gap",
        }
    }

    /// The meaning of it, and how to fix it.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Difference::Missing | Difference::Size | Difference::Content => {
                "objects were removed or changed; `run --repair` takes them from another sink, or fetches them again"
            }
            Difference::Unexpected => {
                "objects that no receipt names: stored and not filed yet, which takes hours where an export follows its source, or their receipt is gone; keep them until the export is done and `run --repair` has filed what it can"
            }
            Difference::Receipt | Difference::Entries | Difference::Outcome | Difference::Rows => {
                "receipts or rows were changed; restore the files from a copy, or let `run --repair` file their conversations again"
            }
            Difference::Repeated | Difference::Misplaced | Difference::SameSegment => {
                "receipts were copied, renamed or changed; remove the copy, or let `run --repair` file their conversations again"
            }
            Difference::SharedKey => {
                "one recording has overwritten another; `run --repair` fetches both again"
            }
            Difference::Doubled => {
                "readers of the rows count these recordings twice; `run --repair` removes the rows of one export"
            }
            Difference::Gap => {
                "the receipts of a whole day are gone, or it was not filed yet; `run --repair` files it again"
            }
        }
    }
}

/// The kind of an object of an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ObjectKind {
    /// A recording, or an archive with recordings.
    #[default]
    Recording,
    /// A file that was delivered in the place of a recording and is none.
    Aside,
    /// A file of metadata beside a recording.
    Sidecar,
    /// A file of rows.
    Rows,
    /// A part of the catalog.
    Catalog,
    /// A receipt.
    Receipt,
}

/// A segment of an export.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct SegmentId {
    /// The export, as file names have it.
    pub export: String,
    /// The day, `YYYY-MM-DD` in UTC.
    pub day: String,
    /// Its number in the export.
    pub number: i64,
}

impl SegmentId {
    /// The segment that a file belongs to by its key, if to any.
    pub(crate) fn of_file(key: &str) -> Option<Self> {
        let (day, export, number) = parts_of(key)?;
        Some(SegmentId {
            export: export.to_owned(),
            day: day.to_owned(),
            number,
        })
    }
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifyFinding {
    /// The kind of difference.
    pub difference: Difference,
    /// The object's key; of a day without receipts, their folder.
    pub key: String,
    /// The kind of object.
    pub kind: ObjectKind,
    /// Whose it is, if it is about one conversation.
    pub conversation: Option<String>,
    /// The segment whose receipt the finding is about, or names the object.
    pub segment: Option<SegmentId>,
    /// The other receipt, if it is about two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<String>,
    /// The conversations that are filed twice, if it is about that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conversations: Vec<String>,
    /// The details: what was expected and what was found.
    pub detail: String,
}

/// The interval that an export's receipts claim to cover.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// The export, as file names have it.
    pub export: String,
    /// The first instant inside.
    pub from: Timestamp,
    /// The first instant after it; none if it has no end.
    pub until: Option<Timestamp>,
    /// Up to when it was searched, as far as the receipts say.
    pub searched_until: Option<Timestamp>,
    /// When it was last searched.
    pub searched_at: Option<Timestamp>,
}

/// A day of which the source counted another number of conversations than the receipts have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CountedDay {
    /// The export, as file names have it.
    pub export: String,
    /// The day, `YYYY-MM-DD` in UTC.
    pub day: String,
    /// How many conversations the source counted.
    pub source: u64,
    /// When it counted them.
    pub at: Timestamp,
    /// How many there are in the receipts.
    pub receipts: u64,
}

/// The result of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Receipts read.
    pub receipts: u64,
    /// Conversations in them.
    pub conversations: u64,
    /// Recordings in them.
    pub objects: u64,
    /// The bytes of these.
    pub bytes: u64,
    /// Objects that are there, and that the queue of an export is still to file.
    pub not_filed: u64,
    /// Receipts whose rows are encrypted, and were not read for want of an identity.
    pub unread: u64,
    /// The coverage that each export claims.
    pub coverage: Vec<Coverage>,
    /// Receipts of version 1, which do not say what interval they are part of.
    pub without_claims: u64,
    /// Days of which the source counted another number: no finding, since what the source counts
    /// changes.
    pub counted: Vec<CountedDay>,
    /// All that is not as it should be.
    pub findings: Vec<VerifyFinding>,
}

impl VerifyReport {
    /// Returns true if there was nothing to prove: no receipt.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.receipts == 0
    }
}
