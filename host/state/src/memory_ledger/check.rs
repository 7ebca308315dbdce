//! What holds of the data between any two calls, for tests.

use super::kept::Kept;
use crate::life_cycle::Stage;

impl Kept {
    /// Checks that what is counted once is what there is, and that each conversation is of its stage.
    pub(crate) fn check(&self) {
        let (mut objects, mut bytes, mut filed) = (0, 0, 0);
        for (id, known) in &self.conversations {
            let stage = known.stage();
            let joined = known.segment.is_some_and(|number| self.is_joined(number));
            if stage.is_in_every_sink() || stage == Stage::Sealed && joined {
                objects += known.objects;
                bytes += known.bytes;
                filed += 1;
            }
            let decided = !matches!(stage, Stage::Wanted | Stage::Fetching);
            assert_eq!(known.outcome.is_some(), decided, "the outcome of {id}");
            assert!(!known.lost || stage.is_final(), "{id} is lost too early");
            let told = !matches!(stage, Stage::Filed) || known.lost;
            assert!(known.record.is_some() || !told, "the record of {id}");
            if matches!(stage, Stage::Completed) || known.is_open() {
                assert_eq!(known.segment, None, "the segment of {id}");
            }
        }
        let counted = self.totals.outcomes.values().sum::<u64>();
        assert_eq!(counted, filed, "conversations that every sink has");
        let counted = (self.totals.objects, self.totals.bytes);
        assert_eq!(counted, (objects, bytes), "objects that every sink has");
    }
}
