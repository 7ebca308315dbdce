//! The overview: figures, the calendar, losses.

use maud::{Markup, html};

use super::{
    View,
    day::{civil, empty},
    layout,
    words::{ago, bytes, cut, escaped, number},
};
use crate::{
    index::{Day, Overview},
    live::UnderWay,
    refresh::Freshness,
};

/// Weeks that the calendar shows at most: the last ones.
const WEEKS: i64 = 106;
/// Weeks that the calendar shows at least.
const LEAST: i64 = 8;
/// Weeks up to which the calendar's cells are large.
const FEW: usize = 16;
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// The overview of an archive, with the run that goes on beside it, if one does.
pub(crate) fn overview(live: Option<&Markup>, archive: &Markup) -> Markup {
    layout(
        "Overview",
        View::Overview,
        &html! {
            h1.vh { "Overview" }
            @if let Some(live) = live {
                (live)
                p.dim id="gone" role="alert" hidden { "The run has ended, or cannot be reached; this is how it was." }
                noscript { p.dim { "Without script, these figures are as of when the page was loaded: load it again." } }
            }
            (archive)
        },
    )
}

/// The figures of an archive, as the index had them at `freshness`, while days are under way.
pub(crate) fn figures(
    name: &str,
    overview: &Overview,
    freshness: &Freshness,
    under_way: &UnderWay,
) -> Markup {
    html! {
        div id="figures" data-version=(version(freshness, under_way)) {
            (totals(overview))
            (calendar(overview, under_way))
            div.two.even {
                (losses(overview))
                (archive(name, overview, freshness))
            }
        }
    }
}

/// What the figures depend on: others are shown when it changes.
pub(crate) fn version(freshness: &Freshness, under_way: &UnderWay) -> String {
    let state = match under_way.is_empty() {
        true => "as-it-is",
        false => "under-way",
    };
    format!("{}-{state}", freshness.version)
}

fn totals(overview: &Overview) -> Markup {
    let (conversations, recordings, size, lost) = overview.totals();
    let of = |outcome: &str| {
        let each = overview.days.values();
        each.filter_map(|day| day.outcomes.get(outcome))
            .sum::<u64>()
    };
    let (stored, empty) = (of("stored"), of("no-recording"));
    let share = stored as f64 * 100.0 / conversations.max(1) as f64;
    let filled: Vec<i64> = overview
        .days
        .iter()
        .filter(|(_, day)| day.conversations() > 0)
        .map(|(day, _)| *day)
        .collect();
    let range = filled.first().zip(filled.last());
    html! {
        dl.card.kpi {
            div { dt { "Conversations" } dd { (number(conversations)) } }
            div { dt { "Stored" } dd { (number(stored)) " " small { (format!("{share:.1} %")) } } }
            div { dt { "Nothing recorded" } dd { (number(empty)) } }
            div { dt { "Missing recordings" } dd { (number(lost)) } }
            div { dt { "Files" } dd { (number(recordings)) " " small { (bytes(size)) } } }
            div { dt { "Days" } dd {
                (number(filled.len() as u64)) " "
                @if let Some((first, last)) = range { small { (date(*first)) " to " (date(*last)) } }
            } }
        }
    }
}

fn calendar(overview: &Overview, under_way: &UnderWay) -> Markup {
    let filled: Vec<i64> = overview.days.keys().copied().collect();
    let (Some(first), Some(last)) = (filled.first(), filled.last()) else {
        return html! { section.card { div.in { p { "There is no receipt in this archive." } } } };
    };
    // Day 0 was a Thursday: weeks begin on Mondays.
    let week = |day: i64| (day + 3).div_euclid(7);
    let last_week = week(*last);
    // A single week would stand there alone.
    let first_week = (last_week - WEEKS + 1).max(week(*first).min(last_week - LEAST + 1));
    let weeks: Vec<i64> = (first_week..=last_week).collect();
    let most = overview.days.values().map(Day::conversations).max();
    let start = weeks
        .iter()
        .flat_map(|week| (0..7).map(move |at| week * 7 - 3 + at));
    let start = start.into_iter().find(|day| {
        overview
            .days
            .get(day)
            .is_some_and(|day| day.conversations() > 0)
    });
    html! {
        section.card aria-labelledby="cal" {
            header {
                h2 id="cal" { "Days" }
                div.key {
                    span { i.c.never {} "never searched" }
                    @if !under_way.is_empty() { span { i.c.never.soon {} "being exported" } }
                    span { i.c.wait {} "the source has more" }
                    span { "fewer " i.c.h1 {} i.c.h2 {} i.c.h3 {} i.c.h4 {} " more conversations" }
                    span { i.c.h3.lost {} "missing recordings" }
                }
            }
            div class=(if weeks.len() <= FEW { "cal few" } else { "cal" }) {
                table {
                    caption.vh { "Conversations by day; arrow keys move" }
                    thead { tr {
                        td {}
                        @for (month, columns) in months(&weeks) {
                            th scope="colgroup" colspan=(columns) { (month) }
                        }
                    } }
                    tbody { @for (row, weekday) in WEEKDAYS.iter().enumerate() { tr {
                        th scope="row" {
                            @if row % 2 == 0 { (weekday) } @else { span.vh { (weekday) } }
                        }
                        @for (column, week) in weeks.iter().enumerate() {
                            @let number = week * 7 - 3 + row as i64;
                            td { @match overview.days.get(&number) {
                                Some(day) if day.conversations() > 0 => {
                                    (cell(day, number, (row, column), most, start == Some(number)))
                                },
                                day => { (blank(day, number, under_way.has(number))) },
                            } }
                        }
                    } } }
                }
            }
        }
    }
}

/// The months of weeks, each with how many of them begin in it; two columns have room for a name.
fn months(weeks: &[i64]) -> Vec<(String, usize)> {
    let mut months: Vec<(String, usize)> = Vec::new();
    for week in weeks {
        let month = civil(week * 7 - 3).strftime("%b %Y").to_string();
        match months.last_mut() {
            Some((last, columns)) if *last == month => *columns += 1,
            _ => months.push((month, 1)),
        }
    }
    for (month, columns) in &mut months {
        if *columns < 3 && weeks.len() > FEW {
            *month = month.chars().take(3).collect();
        }
    }
    months
}

/// The cell of a day without a conversation.
fn blank(day: Option<&Day>, number: i64, under_way: bool) -> Markup {
    let class = match day {
        Some(day) if day.waiting() > 0 => "c wait",
        Some(day) if day.searched => "c h0",
        _ if under_way => "c never soon",
        _ => "c never",
    };
    let reported = format!("{}: {}", reported(number), empty(day, under_way));
    html! { span class=(class) role="img" aria-label=(reported) title=(reported) {} }
}

/// A day as people read it.
fn reported(day: i64) -> String {
    civil(day).strftime("%a %-d %b %Y").to_string()
}

fn cell(
    day: &Day,
    number: i64,
    (row, column): (usize, usize),
    most: Option<u64>,
    first: bool,
) -> Markup {
    let (all, lost, waiting) = (day.conversations(), day.lost(), day.waiting());
    let depth = 1 + all.saturating_sub(1) * 4 / most.unwrap_or(1).max(1);
    let mut class = format!("c h{}", depth.min(4));
    let mut reported = format!("{}: {all} conversations", reported(number));
    if lost > 0 {
        class.push_str(" lost");
        reported.push_str(&format!(", {lost} with missing recordings"));
    }
    if waiting > 0 {
        class.push_str(" wait");
        reported.push_str(&format!(", the source counted {waiting} more"));
    }
    html! {
        a class=(class) href=(format!("/day/{}", date(number))) data-at=(format!("{row},{column}"))
            tabindex=(if first { "0" } else { "-1" }) aria-label=(reported) title=(reported) {}
    }
}

fn losses(overview: &Overview) -> Markup {
    let most = overview
        .losses
        .first()
        .map_or(1, |loss| loss.conversations.max(1));
    html! {
        section.card id="losses" aria-labelledby="lost" {
            header { h2 id="lost" { "Missing recordings, by reason" } }
            @if overview.losses.is_empty() { div.in { p { "None missing." } } } @else {
                table.list {
                    thead { tr {
                        th scope="col" { "Code" }
                        th.num scope="col" { "Conversations" }
                        th scope="col" { span.vh { "Share" } }
                    } }
                    tbody { @for loss in &overview.losses { tr {
                        td.mono { a href=(format!("/losses/{}", escaped(&loss.code))) { (cut(&loss.code, 60)) } }
                        td.num { (number(loss.conversations)) }
                        td { svg.bar width="100" height="6" aria-hidden="true" {
                            rect width=(loss.conversations * 100 / most) height="6" {}
                        } }
                    } } }
                }
            }
        }
    }
}

fn archive(name: &str, overview: &Overview, freshness: &Freshness) -> Markup {
    html! {
        section.card aria-labelledby="archive" {
            header { h2 id="archive" { "Archive" } }
            div.in {
                dl.facts {
                    dt { "Where" } dd.mono { (cut(name, 300)) }
                    dt { "Exports" } dd { @for export in &overview.exports { div.mono { (cut(export, 100)) } } }
                    dt { "Receipts" } dd { (number(overview.receipts)) }
                    @if let Some(written) = &overview.written {
                        dt { "Newest receipt" } dd { (cut(written, 40)) @if let Some(ago) = ago(written) { span.dim { ", " (ago) } } }
                    }
                    @if let Some((done, total)) = freshness.indexing {
                        dt { "Indexing" } dd { (number(done as u64)) " of " (number(total as u64)) " receipts" }
                    }
                }
                @if let Some(problem) = &freshness.problem {
                    p { "New receipts were not looked for: " (cut(problem, 300)) }
                }
                @if !overview.problems.is_empty() {
                    h3 { "Not readable: " (number(overview.problems.len() as u64)) }
                    ul { @for (receipt, problem) in &overview.problems {
                        li { span.mono { (cut(receipt, 200)) } ": " (cut(problem, 300)) }
                    } }
                }
            }
        }
    }
}

fn date(day: i64) -> String {
    civil(day).to_string()
}
