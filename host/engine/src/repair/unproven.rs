//! Conversations that are filed, as the ledger knows, and of which a sink proves nothing: the receipt of
//! their segment is gone, and nothing is left that would prove them.

use std::collections::HashSet;

use super::{Repair, RepairError, RepairReport};
use crate::{
    identity::route,
    receipt::{ReceiptReader, by_day},
};
use recording_host_model::route::Route;
use recording_host_sink::{Store, StoreExt};
use recording_host_state::hashed;

impl Repair<'_> {
    /// Has conversations fetched again that no receipt of the sink names. A sink that takes only some
    /// is left out: what it does not take is no loss.
    pub(super) async fn fetch_unproven(
        &self,
        store: &dyn Store,
        done: &mut RepairReport,
    ) -> Result<(), RepairError> {
        let binding = self.binding();
        if route(&binding.route) != route(&Route::default()) {
            return Ok(());
        }
        let mut proven = HashSet::new();
        for key in by_day(store, "receipts/").await?.into_values().flatten() {
            let Some(bytes) = store.read(&key).await? else {
                continue;
            };
            let Ok(reader) = ReceiptReader::new(bytes.as_slice()) else {
                continue;
            };
            let entries = reader.filter_map(Result::ok);
            proven.extend(entries.map(|(_, entry)| hashed(&entry.conversation_id)));
        }
        let unproven = self.ledger.unproven(binding.name.clone(), proven).await?;
        done.postponed += unproven.under_way;
        let noted = self.ledger.lacks(binding.name.clone(), unproven.filed);
        done.fetched_again += noted.await?;
        Ok(())
    }
}
