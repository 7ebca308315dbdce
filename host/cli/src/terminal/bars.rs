//! Draws the display on standard error, eight times a second.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use recording_host_model::{Event, Subscriber, one_line};
use tokio::task::JoinHandle;

use super::board::{Board, DisplayLine};

/// The pause between two pictures.
const TICK: Duration = Duration::from_millis(125);
/// Columns of a terminal that does not tell how many it has.
const COLUMNS: u16 = 80;

/// Lines on a terminal that change, and those that are written above them.
#[derive(Clone)]
pub(crate) struct Picture {
    multi: MultiProgress,
    bar: ProgressBar,
}

impl Picture {
    /// Begins to draw, where bars are drawn at all.
    pub(crate) fn begin() -> Option<Self> {
        super::Output::asked().has_bars().then(Self::new)
    }

    fn new() -> Self {
        let target = ProgressDrawTarget::stderr_with_hz(16);
        let multi = MultiProgress::with_draw_target(target);
        let bar = multi.add(ProgressBar::no_length().with_style(style()));
        Picture { multi, bar }
    }

    /// Draws `lines` on so many columns, and writes others above.
    pub(crate) fn show(&self, above: Vec<String>, lines: &[DisplayLine], columns: u16) {
        self.above(above);
        let columns = usize::from(columns);
        let lines = lines.iter().map(|line| drawn(line, columns));
        let lines: Vec<String> = lines
            .map(|line| console::truncate_str(&line, columns, "").into_owned())
            .collect();
        // One message, so that no picture is half of another.
        self.bar.set_message(lines.join("\n"));
    }

    fn above(&self, lines: Vec<String>) {
        for line in lines {
            // Nobody may be there any more.
            let _ = self.multi.println(one_line(&line));
        }
    }

    /// Takes the picture away.
    pub(crate) fn end(&self) {
        // The last picture is drawn whenever the one before was.
        self.bar.abandon();
        let _ = self.multi.clear();
    }
}

/// The display and the task that draws it.
pub(super) struct Bars {
    drawn: Arc<Drawn>,
    drawing: JoinHandle<()>,
}

/// The lines that are drawn, and the terminal that draws them.
struct Drawn {
    picture: Picture,
    board: Mutex<Board>,
}

impl Bars {
    pub(super) fn begin() -> Option<Self> {
        let drawn = Arc::new(Drawn {
            picture: Picture::begin()?,
            board: Mutex::new(Board::new(Instant::now())),
        });
        let each = Arc::clone(&drawn);
        let drawing = tokio::spawn(async move {
            loop {
                tokio::time::sleep(TICK).await;
                each.draw();
            }
        });
        Some(Bars { drawn, drawing })
    }

    pub(super) fn multi(&self) -> MultiProgress {
        self.drawn.picture.multi.clone()
    }

    pub(super) fn subscriber(&self, name: &str) -> Arc<dyn Subscriber> {
        self.drawn.board().add(name);
        let (drawn, name) = (Arc::clone(&self.drawn), name.to_owned());
        Arc::new(move |event: &Event| drawn.board().take(&name, event, Instant::now()))
    }

    pub(super) fn ended(&self, name: &str) {
        let lines = self.drawn.board().end(name);
        self.drawn.picture.above(lines);
    }

    /// Writes the lines that are left, and takes the display away.
    pub(super) fn end(&self) {
        self.drawing.abort();
        let lines = self.drawn.board().rest();
        self.drawn.picture.above(lines);
        self.drawn.draw();
        self.drawn.picture.end();
    }
}

impl Drawn {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw(&self) {
        let now = Instant::now();
        let columns = columns();
        let (above, lines) = {
            let mut board = self.board();
            (board.above(now), board.lines(now, columns))
        };
        self.picture.show(above, &lines, columns);
    }
}

/// A line with its bar, which takes what the texts leave of the columns.
pub(crate) fn drawn(line: &DisplayLine, columns: usize) -> String {
    match line {
        DisplayLine::Text(text) => one_line(text),
        DisplayLine::Bar {
            before,
            done,
            total,
            after,
        } => {
            let texts = before.chars().count() + after.chars().count() + 2;
            let width = columns.saturating_sub(texts);
            let share = u128::from(*done) * width as u128 / u128::from((*total).max(1));
            let full = usize::try_from(share).unwrap_or(width).min(width);
            let bar = "━".repeat(full);
            let rest = "─".repeat(width - full);
            let bar = console::style(bar).for_stderr().green();
            format!("{} {bar}{rest} {}", one_line(before), one_line(after))
        }
    }
}

/// The style of a message of several lines.
fn style() -> ProgressStyle {
    ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// The columns of the terminal of standard error.
pub(crate) fn columns() -> u16 {
    let size = Term::stderr().size_checked();
    let columns = size.map(|(_, columns)| columns);
    columns.filter(|columns| *columns > 0).unwrap_or(COLUMNS)
}
