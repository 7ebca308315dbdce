//! `completions` and `man`: what shells and manuals say, from the definition of the command line itself.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Args as CommandLine, Done};

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct Man {
    /// The folder, such as /usr/local/share/man/man1; it is made if it is not there.
    folder: PathBuf,
}

impl Completions {
    pub(super) fn run(self) -> anyhow::Result<Done> {
        let mut script = Vec::new();
        let mut command = CommandLine::command();
        let name = command.get_name().to_owned();
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        print!("{}", String::from_utf8_lossy(&script));
        Ok(Done::All)
    }
}

impl Man {
    pub(super) fn run(self) -> anyhow::Result<Done> {
        let folder = &self.folder;
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let pages = clap_mangen::generate_to(CommandLine::command(), folder);
        pages.with_context(|| folder.display().to_string())?;
        Ok(Done::All)
    }
}
