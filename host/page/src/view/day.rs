//! A day: what is known of it, in the calendar and above its recordings.

use jiff::civil::{Date, Weekday};
use maud::{Markup, html};

use super::words::number;
use crate::index::{Day, OUTCOMES};

/// The day of a number since 1970.
pub(super) fn civil(day: i64) -> Date {
    let epoch = Date::constant(1970, 1, 1);
    debug_assert_eq!(epoch.weekday(), Weekday::Thursday);
    let days = jiff::Span::new().try_days(day);
    days.and_then(|days| epoch.checked_add(days))
        .unwrap_or(epoch)
}

/// A day whose recordings are listed.
pub(crate) struct ShownDay {
    pub(crate) date: Date,
    /// Its numbers in the index.
    pub(crate) known: Option<Day>,
    /// True if a run works on it.
    pub(crate) under_way: bool,
}

/// What is known of a day without a conversation; `under_way`: a run works on it.
pub(super) fn empty(day: Option<&Day>, under_way: bool) -> String {
    match day {
        Some(day) if day.waiting() > 0 => {
            let waiting = number(day.waiting());
            format!("the source counted {waiting}, none is here")
        }
        Some(day) if day.searched => "searched, no conversation".to_owned(),
        _ if under_way => "being exported, nothing filed yet".to_owned(),
        _ => "never searched".to_owned(),
    }
}

/// The heading of a list of one day: its conversations by outcome, what the source counted, and the days beside it.
pub(super) fn heading(day: &ShownDay) -> Markup {
    let (date, known) = (day.date, day.known.as_ref());
    let beside = |date: Option<Date>, before: &str, after: &str| {
        html! { @if let Some(date) = date {
            a href=(format!("/day/{date}")) { (before) (date) (after) }
        } }
    };
    html! {
        header.day {
            h2 { (date.strftime("%A, %Y-%m-%d")) }
            nav aria-label="Days beside it" {
                (beside(date.yesterday().ok(), "← ", ""))
                (beside(date.tomorrow().ok(), "", " →"))
            }
            p.dim { @match known.filter(|day| day.conversations() > 0) {
                None => { (empty(known, day.under_way)) },
                Some(day) => {
                    (number(day.conversations()))
                    (if day.conversations() == 1 { " conversation: " } else { " conversations: " })
                    (outcomes(day)) ". "
                    @match (day.waiting(), day.counted) {
                        (0, Some(counted)) => { "The source counted " (number(counted)) ". " },
                        (waiting, Some(_)) => { "The source counted " (number(waiting)) " more. " },
                        (_, None) => {},
                    }
                    @if !day.searched { "No receipt says that the whole day was searched." }
                },
            } }
        }
    }
}

fn outcomes(day: &Day) -> String {
    let of = |outcome: &str| {
        let count = day.outcomes.get(outcome).filter(|count| **count > 0)?;
        Some(format!("{} {outcome}", number(*count)))
    };
    let known: Vec<String> = OUTCOMES.iter().filter_map(|outcome| of(outcome)).collect();
    known.join(", ")
}
