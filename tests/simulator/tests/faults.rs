//! Each fault strikes at its rate, does on the wire what it says, and is repeated by a seed.

#[path = "faults/batch.rs"]
mod batch;
#[path = "faults/download.rs"]
mod download;
#[path = "faults/live.rs"]
mod live;
#[path = "faults/query.rs"]
mod query;
#[path = "faults/rates.rs"]
mod rates;
#[path = "faults/support.rs"]
mod support;
#[path = "faults/wire.rs"]
mod wire;
