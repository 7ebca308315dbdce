//! Work whose instructions `.ci/counts` counts: one piece of it in a process, named by the argument.

#[path = "../../../host/cli/benches/metadata/conversations.rs"]
mod conversations;
mod fuel;
mod rows;
mod transfer;

use recording_host_metadata::RowFormat;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    match std::env::args().nth(1).as_deref() {
        Some("fuel") => fuel::print(),
        Some("jsonl") => rows::write(RowFormat::Jsonl),
        Some("parquet") => rows::write(RowFormat::Parquet),
        Some("transfer") => transfer::deliver(),
        _ => Err("say what to do: fuel, jsonl, parquet or transfer".into()),
    }
}
