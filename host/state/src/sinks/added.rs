//! A sink that is added, and lacks all that others have.

use crate::{
    Queue, QueueError,
    compact::replace_in,
    life_cycle::stage,
    seal::seal_apart,
    sinks::{SEALED_AT_ONCE, keep_none},
};

impl Queue {
    /// Notes that a sink lacks all that others have: what is under way is brought to it as to one that
    /// was unavailable, what is filed is filled in. What is under way to some sinks alone is brought to it with
    /// them if it is still to be fetched; if it is not, it is filled in once these have it.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn lacks_all(&self, sink: String) -> Result<(), QueueError> {
        self.transaction(move |tx| {
            // What was copied for some sinks has no artifacts that others could be owed.
            seal_apart(tx, 1, SEALED_AT_ONCE)?;
            tx.prepare_cached(
                concat!("INSERT OR IGNORE INTO backlog (sink, artifact, split, conversation)
                 SELECT ?1, key, split, conversation FROM artifact AS a WHERE status = 'stored' AND
                 (conversation IS NOT NULL OR EXISTS (SELECT 1 FROM conversation AS c WHERE c.bundle = a.key
                   AND (", stage!(Found), " OR ", stage!(Completed), " OR ", stage!(Sealed), ")))
                 AND NOT EXISTS (SELECT 1 FROM conversation AS c JOIN wanting ON wanting.conversation = c.id
                   WHERE (c.id = a.conversation OR c.bundle = a.key) AND ", stage!(Sealed), ")"),
            )?
            .execute([&sink])?;
            tx.prepare_cached(
                concat!("INSERT OR IGNORE INTO filing (segment, sink)
                 SELECT DISTINCT segment, ?1 FROM conversation AS c WHERE ", stage!(Sealed), "
                 AND NOT EXISTS (SELECT 1 FROM wanting WHERE wanting.conversation = c.id)"),
            )?
            .execute([&sink])?;
            replace_in(tx, &sink)?;
            keep_none(tx)?;
            // The archive's text about itself may be gone, too.
            tx.prepare_cached("DELETE FROM meta WHERE name = 'readme:' || ?1")?
                .execute([&sink])?;
            tx.prepare_cached(
                concat!("INSERT OR IGNORE INTO wanting (conversation, sink)
                 SELECT id, ?1 FROM conversation WHERE ", stage!(Filed), "
                 UNION SELECT conversation, ?1 FROM wanting UNION SELECT conversation, ?1 FROM alike"),
            )?
            .execute([&sink])
            .map(drop)
        })
        .await
    }
}
