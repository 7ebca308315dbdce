//! The life cycle of a conversation: the stages that it passes, and the transitions between them.
//!
//! A stage is a status, and a condition on the columns `outcome` and `fetch` where the status alone does
//! not determine it. All SQL takes its conditions from [`stage!`]. The table of [`Transition`]s is the one
//! that `docs/architecture.md` draws; with debug assertions the database itself refuses whatever is not in
//! it, so that every test is a test of the life cycle.

mod guard;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use guard::guard;

/// A stage's status as an SQL literal.
macro_rules! word {
    (Found) => {
        "'found'"
    };
    (Completed) => {
        "'completed'"
    };
    (Sealed) => {
        "'sealed'"
    };
    (Compactable) => {
        "'compactable'"
    };
    (Filed) => {
        "'filed'"
    };
}

/// The condition that a conversation is in a stage, as SQL; where it is a status alone, also the
/// assignment that brings it there. `Found` is any stage before the outcome is final, and `InEverySink`
/// any after each sink has acknowledged it.
macro_rules! stage {
    (Wanted) => {
        concat!(
            $crate::life_cycle::stage!(Found),
            " AND outcome IS NULL AND fetch IS NULL"
        )
    };
    (Fetching) => {
        concat!(
            $crate::life_cycle::stage!(Found),
            " AND outcome IS NULL AND fetch IS NOT NULL"
        )
    };
    (Reported) => {
        concat!(
            $crate::life_cycle::stage!(Found),
            " AND outcome IS NOT NULL"
        )
    };
    (InEverySink) => {
        concat!(
            "status IN (",
            $crate::life_cycle::word!(Filed),
            ", ",
            $crate::life_cycle::word!(Compactable),
            ")"
        )
    };
    ($status:ident) => {
        concat!("status = ", $crate::life_cycle::word!($status))
    };
}
pub(crate) use {stage, word};

/// A stage in the life of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Known, and to be fetched once it is due.
    Wanted,
    /// Requested, in a fetch; the source owes its outcome.
    Fetching,
    /// The source has said what became of it; its artifacts may still be under way.
    Reported,
    /// Its outcome is final: nothing is left to do but to file it.
    Completed,
    /// In a segment that is being filed in each sink.
    Sealed,
    /// In every sink. Its details stay until its segment has become part of a larger one, or no other can.
    Compactable,
    /// In every sink. The receipts have its details; here are ids, counts, and what another attempt at a
    /// loss would need.
    Filed,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Stage; 7] = [
        Stage::Wanted,
        Stage::Fetching,
        Stage::Reported,
        Stage::Completed,
        Stage::Sealed,
        Stage::Compactable,
        Stage::Filed,
    ];

    /// Its value in the column `status`, which the first three stages share.
    #[must_use]
    pub const fn status(self) -> &'static str {
        match self {
            Stage::Wanted | Stage::Fetching | Stage::Reported => unquoted(word!(Found)),
            Stage::Completed => unquoted(word!(Completed)),
            Stage::Sealed => unquoted(word!(Sealed)),
            Stage::Compactable => unquoted(word!(Compactable)),
            Stage::Filed => unquoted(word!(Filed)),
        }
    }

    /// The condition that a conversation is in this stage, as SQL.
    #[must_use]
    pub const fn condition(self) -> &'static str {
        match self {
            Stage::Wanted => stage!(Wanted),
            Stage::Fetching => stage!(Fetching),
            Stage::Reported => stage!(Reported),
            Stage::Completed => stage!(Completed),
            Stage::Sealed => stage!(Sealed),
            Stage::Compactable => stage!(Compactable),
            Stage::Filed => stage!(Filed),
        }
    }

    /// The invariant on the other columns in this stage, as SQL.
    #[must_use]
    pub const fn invariant(self) -> &'static str {
        match self {
            // The results of an earlier attempt are counted no longer.
            Stage::Wanted | Stage::Fetching => {
                "segment IS NULL AND bundle IS NULL AND lost = 0 AND objects = 0"
            }
            Stage::Reported => "segment IS NULL AND lost = 0 AND objects = 0",
            Stage::Completed => "segment IS NULL AND outcome IS NOT NULL AND record IS NOT NULL",
            Stage::Sealed | Stage::Compactable => {
                "segment IS NOT NULL AND outcome IS NOT NULL AND record IS NOT NULL"
            }
            // Personal data has left, unless another attempt needs it.
            Stage::Filed => "outcome IS NOT NULL AND (lost = 1 OR record IS NULL)",
        }
    }

    /// Returns true if the outcome is final. As long as a conversation stays in such a stage, its receipt's
    /// statement about it does not change: a segment is the same whenever it is read.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Stage::Completed | Stage::Sealed | Stage::Compactable | Stage::Filed
        )
    }

    /// Returns true if every sink has acknowledged it.
    #[must_use]
    pub(crate) const fn is_in_every_sink(self) -> bool {
        matches!(self, Stage::Compactable | Stage::Filed)
    }
}

/// An SQL literal without its quotes.
const fn unquoted(literal: &'static str) -> &'static str {
    let (_, rest) = literal.split_at(1);
    rest.split_at(rest.len() - 1).0
}

/// A cause that moves a conversation from one stage to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transition {
    /// A search finds it.
    Found,
    /// A search finds it and says what has become of it, with nothing to fetch.
    FoundWithOutcome,
    /// Receipts prove it.
    Proven,
    /// A fetch takes it.
    FetchBegun,
    /// A search hands over its recordings, or says that there are none, before a fetch asks.
    ReportedByASearch,
    /// The fetch says what has become of it; or has failed, or ended without a word on it.
    Reported,
    /// The fetch has failed, and is divided into smaller ones.
    Divided,
    /// More of it may come: it is requested once more.
    Postponed,
    /// Nothing is left to do for it: its outcome is final.
    Completed,
    /// Its objects were copied from a sink that has them to those that lack it.
    CopiedBetweenSinks,
    /// A segment takes it.
    Sealed,
    /// Every sink has its segment, which may still be compacted.
    FiledCompactable,
    /// Every sink has its segment.
    Filed,
    /// Every sink has its segment, but there is more of it at the source by now.
    GrownMeanwhile,
    /// A larger segment takes the place of its own.
    Compacted,
    /// Its segment is not compacted any more.
    Released,
    /// There is more of it at the source, or its loss is tried again, while it can be compacted.
    TakenUpWhileCompactable,
    /// There is more of it at the source, its loss is tried again, or a sink lacks it.
    TakenUp,
}

impl Transition {
    /// All transitions.
    pub const ALL: [Transition; 18] = [
        Transition::Found,
        Transition::FoundWithOutcome,
        Transition::Proven,
        Transition::FetchBegun,
        Transition::ReportedByASearch,
        Transition::Reported,
        Transition::Divided,
        Transition::Postponed,
        Transition::Completed,
        Transition::CopiedBetweenSinks,
        Transition::Sealed,
        Transition::FiledCompactable,
        Transition::Filed,
        Transition::GrownMeanwhile,
        Transition::Compacted,
        Transition::Released,
        Transition::TakenUpWhileCompactable,
        Transition::TakenUp,
    ];

    /// The stage that it leads from, none for a conversation that was not known, and the one to which.
    /// No two transitions have the same.
    #[must_use]
    pub const fn ends(self) -> (Option<Stage>, Stage) {
        use Stage::{Compactable, Completed, Fetching, Filed, Reported, Sealed, Wanted};
        match self {
            Transition::Found => (None, Wanted),
            Transition::FoundWithOutcome => (None, Completed),
            Transition::Proven => (None, Filed),
            Transition::FetchBegun => (Some(Wanted), Fetching),
            Transition::ReportedByASearch => (Some(Wanted), Reported),
            Transition::Reported => (Some(Fetching), Reported),
            Transition::Divided => (Some(Fetching), Wanted),
            Transition::Postponed => (Some(Reported), Wanted),
            Transition::Completed => (Some(Reported), Completed),
            Transition::CopiedBetweenSinks => (Some(Wanted), Completed),
            Transition::Sealed => (Some(Completed), Sealed),
            Transition::FiledCompactable => (Some(Sealed), Compactable),
            Transition::Filed => (Some(Sealed), Filed),
            Transition::GrownMeanwhile => (Some(Sealed), Wanted),
            Transition::Compacted => (Some(Compactable), Sealed),
            Transition::Released => (Some(Compactable), Filed),
            Transition::TakenUpWhileCompactable => (Some(Compactable), Wanted),
            Transition::TakenUp => (Some(Filed), Wanted),
        }
    }
}
