//! The run that goes on: how far each source is, what it waits for, its sinks, its losses.

use std::time::{Duration, Instant};

use maud::{Markup, html};

use super::{
    plot::{Plot, plot},
    words::{bytes, cut, escaped, number, time},
};
use crate::live::{Live, Source};

/// The run, for the overview; `version` is that of the archive's figures.
pub(crate) fn live(live: &Live, version: &str) -> Markup {
    let (state, age) = (live.state(), live.age());
    let at = jiff::Timestamp::now().strftime("%H:%M:%S").to_string();
    html! {
        div id="live" data-version=(version) data-state=(state) {
            section.card aria-labelledby="run" {
                header {
                    h2 id="run" { "This run" }
                    span.key {
                        span class=(format!("tag {state}")) { (state) }
                        span { "since " (time(age)) ", as of " (at) " UTC" }
                    }
                }
                @for (name, source) in live.sources() { (one(&name, &source, state, age)) }
            }
        }
    }
}

fn one(name: &str, source: &Source, state: &str, age: Duration) -> Markup {
    let now = Instant::now();
    let name = cut(name, 100);
    html! {
        section.source aria-label=(name) {
            div {
                h3 { (name) @if source.ended.is_some() { " " span.tag.ended { "ended" } } }
                (stages(source, age))
                (waits(source, state, now))
            }
            div.plots { (plots(source, age)) }
            div { (sinks(source)) }
            div { (losses(source)) }
        }
    }
}

fn stages(source: &Source, age: Duration) -> Markup {
    let total = source.total();
    let progress = &source.progress;
    let stages = [
        ("Found", progress.conversations),
        ("Fetched", progress.fetched),
        ("Stored", progress.stored),
        ("In receipts", source.filed()),
    ];
    html! {
        table.list.slim {
            thead { tr {
                th scope="col" { "Conversations" }
                th.wide scope="col" { span.vh { "Share" } }
                th.num scope="col" { "of " (number(total)) }
            } }
            tbody { @for (stage, done) in stages { tr {
                th scope="row" { (stage) }
                td.wide { svg.bar.far viewBox="0 0 1000 6" preserveAspectRatio="none" aria-hidden="true" {
                    rect width=(per_mille(done, total)) height="6" {}
                } }
                td.num { (number(done)) }
            } } }
        }
        p.dim {
            (bytes(source.bytes)) " stored and " (number(source.requests)) " requests in this run"
            @if let Some(left) = source.left(age) { "; about " (time(left)) " left at the pace of now" }
            "."
            @if let Some(since) = source.stale(age) { " Conversations were counted " (time(since)) " ago." }
        }
    }
}

fn per_mille(done: u64, total: u64) -> u64 {
    done.min(total).saturating_mul(1000) / total.max(1)
}

/// The work under way, and what is waited for.
fn waits(source: &Source, state: &str, now: Instant) -> Markup {
    let activity = &source.activity;
    let mut waits = Vec::new();
    match state {
        _ if source.ended.is_some() => {}
        "paused" => waits.push("`control resume`: the run is paused".to_owned()),
        "draining" => waits.push("work in progress to finish: the run is draining".to_owned()),
        _ => {}
    }
    if let Some((subject, done, total)) = source.examined {
        let of = total.map_or(String::new(), |total| format!(" of {}", number(total)));
        waits.push(format!(
            "a look at the archive: {}{of} {subject}",
            number(done)
        ));
    }
    if let Some(left) = source.paused(now) {
        waits.push(format!("the source's rate limit: {} more", time(left)));
    }
    for sink in &source.away {
        waits.push(format!("sink {}, which is unavailable", cut(sink, 100)));
    }
    if activity.jobs > 0 {
        let age = source.oldest_job(now).unwrap_or_default();
        let noun = if activity.jobs == 1 { "job" } else { "jobs" };
        let jobs = number(activity.jobs as u64);
        waits.push(format!(
            "{jobs} {noun} at the vendor, the oldest {}",
            time(age)
        ));
    }
    if activity.links > 0 {
        let (links, at_once) = (number(activity.links as u64), activity.transfers);
        waits.push(format!(
            "{links} files to be downloaded, {at_once} at once at most"
        ));
    }
    html! {
        p.waits { b { "Waits for" } @if waits.is_empty() { " nothing" } }
        @if !waits.is_empty() { ul { @for wait in &waits { li { (wait) } } } }
    }
}

fn plots(source: &Source, age: Duration) -> Markup {
    let backlog = &source.backlog;
    let each_second = |value: f64| format!("{}/s", bytes(value as u64));
    let count = |value: f64| number(value as u64);
    let (throughput, requests) = (
        source.series.rates(|point| point.bytes),
        source.series.requests(),
    );
    html! {
        (plot(&Plot {
            title: "Throughput",
            values: &throughput,
            now: source.throughput(age),
            limit: None,
            age,
            ended: source.ended,
            word: &each_second,
        }))
        @if let Some(allowed) = backlog.requests_allowed {
            (plot(&Plot {
                title: "Requests in the vendor's minute",
                values: &requests,
                now: source.requests_of_minute(age) as f64,
                limit: Some(allowed as f64),
                age,
                ended: source.ended,
                word: &count,
            }))
        }
        @if let (Some(used), Some(allowed)) = (backlog.month_requests, backlog.month_allowed) {
            p.dim { "This month: " (number(used)) " of " (number(allowed)) " requests." }
        }
    }
}

fn sinks(source: &Source) -> Markup {
    let backlog = &source.backlog;
    html! {
        table.list.slim {
            thead { tr {
                th scope="col" { "Sink" }
                th scope="col" { "State" }
                th.num scope="col" { "Missing files" }
                th.num scope="col" { "Conversations being filed" }
            } }
            tbody { @for (sink, artifacts) in &backlog.artifacts { tr {
                @let away = source.away.contains(sink);
                th scope="row" { (cut(sink, 60)) }
                td { span class=(if away { "tag failed" } else { "tag stored" }) {
                    (if away { "unavailable" } else { "available" })
                } }
                td.num { (number(*artifacts)) }
                td.num { (number(backlog.conversations.get(sink).copied().unwrap_or_default())) }
            } } }
        }
        @if backlog.queue_bytes > 0 {
            p.dim {
                "Queue " (bytes(backlog.queue_bytes)) "; " (bytes(backlog.spool_bytes)) " of "
                (bytes(backlog.spool_max_bytes)) " room for downloads in use."
            }
        }
    }
}

fn losses(source: &Source) -> Markup {
    let mut losses: Vec<_> = source.losses.iter().collect();
    losses.sort_by_key(|(code, count)| (std::cmp::Reverse(**count), *code));
    html! {
        table.list.slim {
            thead { tr {
                th scope="col" { "Unavailable for good, in this run" }
                th.num scope="col" { "Recordings" }
            } }
            tbody {
                @if losses.is_empty() { tr { td { "None" } td.num { "0" } } }
                @for (code, count) in losses { tr {
                    td.mono { a href=(format!("/losses/{}", escaped(code))) { (cut(code, 60)) } }
                    td.num { (number(*count)) }
                } }
            }
        }
    }
}
