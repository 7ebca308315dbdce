//! `evidence`: what an archive has of some conversations, as a zip that anybody can check.

use std::{
    io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use recording_host_page::{Package, Packed, Query, Selection};

use super::{
    Done,
    archive::{ArchiveArgs, OpenedArchive},
    terminal::say,
    usage,
};

#[derive(Debug, Args)]
pub(super) struct Evidence {
    #[command(flatten)]
    archive: ArchiveArgs,
    /// A conversation by its id; may be repeated.
    #[arg(long, value_name = "ID")]
    conversation: Vec<String>,
    #[command(flatten)]
    search: Search,
    /// The zip that is written; `-` is standard output.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

/// A search, in place of ids: all that is given must be met.
#[derive(Debug, Args)]
#[command(next_help_heading = "Conversations that a search finds, instead of --conversation")]
struct Search {
    /// Words, or the beginnings of words, in names, tags, reasons and attributes.
    #[arg(long, value_name = "WORDS", conflicts_with = "conversation")]
    text: Option<String>,
    /// Who called or was called: the first digits.
    #[arg(long, value_name = "DIGITS", conflicts_with = "conversation")]
    number: Option<String>,
    /// All digits of the number are given.
    #[arg(long, requires = "number")]
    exact: bool,
    /// A part of an agent's name.
    #[arg(long, value_name = "NAME", conflicts_with = "conversation")]
    agent: Option<String>,
    /// A part of a queue's name.
    #[arg(long, value_name = "NAME", conflicts_with = "conversation")]
    queue: Option<String>,
    /// A part of a wrap-up code's name.
    #[arg(long, value_name = "NAME", conflicts_with = "conversation")]
    wrap_up: Option<String>,
    /// The first day, in UTC.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day, conflicts_with = "conversation")]
    from: Option<String>,
    /// The last day, in UTC.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day, conflicts_with = "conversation")]
    to: Option<String>,
    /// The direction.
    #[arg(long, value_parser = ["inbound", "outbound"], conflicts_with = "conversation")]
    direction: Option<String>,
}

/// A day that exists.
fn day(text: &str) -> Result<String, String> {
    let day: jiff::civil::Date = text.parse().map_err(|_| "give a day as YYYY-MM-DD")?;
    Ok(day.to_string())
}

impl Search {
    fn query(self) -> Query {
        Query {
            text: self.text.unwrap_or_default(),
            number: self.number.unwrap_or_default(),
            exact: self.exact,
            agent: self.agent.unwrap_or_default(),
            queue: self.queue.unwrap_or_default(),
            wrap_up: self.wrap_up.unwrap_or_default(),
            from: self.from.unwrap_or_default(),
            to: self.to.unwrap_or_default(),
            direction: self.direction.unwrap_or_default(),
            ..Query::default()
        }
    }
}

impl Evidence {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let query = self.search.query();
        if self.conversation.is_empty() && query == Query::default() {
            usage("name conversations by --conversation, or a search, such as --number");
        }
        let Some(opened) = self.archive.open().await? else {
            say("info", "nothing to show: there is no such folder");
            return Ok(Done::Nothing);
        };
        let (archive, index) = (&opened.archive, &opened.index);
        let selection = match self.conversation.is_empty() {
            true => Selection::of_search(archive, index, query).await?,
            false => Selection::of_conversations(archive, index, &self.conversation).await?,
        };
        if selection.conversations()? == 0 {
            say(
                "info",
                "nothing to show: the archive has no such conversation",
            );
            return Ok(Done::Nothing);
        }
        let packed = write(&opened, &selection, &self.output).await?;
        for finding in &packed.first_findings {
            say("warn", finding);
        }
        say(
            "info",
            &format!(
                "{}: {} conversations, {} files, {} bytes, sha256 {}",
                self.output.display(),
                packed.conversations,
                packed.files,
                packed.size,
                packed.sha256
            ),
        );
        anyhow::ensure!(
            packed.findings == 0,
            "{} findings, which the report in the package names",
            packed.findings
        );
        Ok(Done::All)
    }
}

/// Writes the zip: all of it, or nothing under its name.
async fn write(
    opened: &OpenedArchive,
    selection: &Selection,
    output: &Path,
) -> anyhow::Result<Packed> {
    let (access, _) = opened.access()?;
    let package = Package {
        archive: &opened.archive,
        selection,
        made: Timestamp::now(),
    };
    let exported = |id: &str| access.exported("local", id);
    if output == Path::new("-") {
        return Ok(package.write(io::stdout(), exported).await?);
    }
    let failed = || output.display().to_string();
    let folder = match output.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // It has what callers said: nobody else may read it.
    let made = tempfile::Builder::new()
        .prefix(".evidence-")
        .tempfile_in(folder);
    let file = made.with_context(failed)?;
    let writer = io::BufWriter::with_capacity(256 << 10, file.reopen().with_context(failed)?);
    let packed = package.write(writer, exported).await?;
    file.as_file().sync_all().with_context(failed)?;
    file.persist(output).with_context(failed)?;
    Ok(packed)
}
