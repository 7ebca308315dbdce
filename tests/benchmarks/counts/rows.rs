//! Rows of conversations, written into nothing.

use std::io;

use recording_host_metadata::{RowFormat, RowSettings, Writer};
use recording_host_model::CompletedConversation;

use crate::conversations::{SINK, conversations};

const CONVERSATIONS: u64 = 500;
const OBJECTS: u64 = 2;

/// Makes conversations and writes their rows.
pub(super) fn write(format: RowFormat) -> Result<(), Box<dyn std::error::Error>> {
    let settings = RowSettings::new(format, None)?;
    let conversations = conversations(0, CONVERSATIONS, OBJECTS);
    counted(settings, &conversations)?;
    Ok(())
}

/// `.ci/counts` counts what happens in here, by this name.
#[inline(never)]
fn counted(settings: RowSettings, conversations: &[CompletedConversation]) -> io::Result<()> {
    let mut writer = Writer::new(settings, io::sink())?;
    for completed in conversations {
        writer.write(completed, SINK)?;
    }
    writer.finish()?;
    Ok(())
}
