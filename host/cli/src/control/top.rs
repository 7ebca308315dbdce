//! `top`: the display of a run on this machine.

use std::time::Duration;

use clap::Args;
use recording_host_model::one_line;

use super::{Answer, Request, Whereabouts, client::Client};
use crate::{
    Done,
    terminal::{DisplayLine, Picture, columns, drawn},
};

/// The pause between two pictures.
const TICK: Duration = Duration::from_millis(250);

#[derive(Debug, Args)]
pub(crate) struct Top {
    #[command(flatten)]
    whereabouts: Whereabouts,
    /// Print one picture and end, as it is done where standard error is no terminal.
    #[arg(long)]
    once: bool,
}

impl Top {
    pub(crate) async fn run(self) -> anyhow::Result<Done> {
        let path = self.whereabouts.socket()?;
        let mut client = Client::connect(&path).await?;
        let picture = Picture::begin().filter(|_| !self.once);
        let mut since = 0;
        loop {
            let width = columns();
            let look = Request::Look {
                columns: width,
                since,
            };
            let Some(answer) = client.try_ask(&look).await? else {
                break;
            };
            let (above, lines) = match answer {
                Answer::Display { above, next, lines } => {
                    since = next;
                    (above, lines)
                }
                Answer::Failed { reason } => anyhow::bail!(reason),
                Answer::Done { .. } | Answer::Status { .. } => (Vec::new(), Vec::new()),
            };
            match &picture {
                Some(picture) => picture.show(above, &lines, width),
                None => {
                    print(&above, &lines, width);
                    return Ok(Done::All);
                }
            }
            tokio::time::sleep(TICK).await;
        }
        if let Some(picture) = picture {
            picture.end();
        }
        eprintln!("{}: the run has ended", path.display());
        Ok(Done::All)
    }
}

fn print(above: &[String], lines: &[DisplayLine], width: u16) {
    for line in above {
        println!("{}", one_line(line));
    }
    for line in lines {
        println!("{}", drawn(line, usize::from(width)));
    }
}
