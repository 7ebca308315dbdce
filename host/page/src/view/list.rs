//! The recordings: the form, the hits, and beside them one recording.

use maud::{Markup, html};

use super::{
    View,
    day::{ShownDay, heading},
    layout,
    words::{bytes, clock, cut, escaped, instant, number, stamp},
};
use crate::{
    Hit, Order, Query, Results,
    index::{COUNTED, Facet, OUTCOMES, PAGE},
    route::LINKED,
};

const ORDERS: [(Order, &str, &str); 4] = [
    (Order::Newest, "", "newest first"),
    (Order::Oldest, "oldest", "oldest first"),
    (Order::Longest, "longest", "longest first"),
    (Order::Largest, "largest", "largest first"),
];

/// The page of recordings, perhaps with the details of one.
pub(crate) fn recordings(
    query: &Query,
    results: &Results,
    day: Option<&ShownDay>,
    facets: Option<&[Facet]>,
    detail: Option<&Markup>,
) -> Markup {
    layout(
        "Recordings",
        View::Recordings,
        &html! {
            @if detail.is_none() { h1.vh { "Recordings" } }
            div.split {
                section.card.listing aria-label="Recordings" {
                    (form(query))
                    (hits(query, results, day, facets))
                }
                @match detail {
                    Some(detail) => (detail),
                    None => article.card id="detail" hidden {},
                }
            }
        },
    )
}

fn form(query: &Query) -> Markup {
    let text = |name: &str, label: &str, value: &str| {
        html! {
            label { span { (label) } input type="text" name=(name) value=(value) autocomplete="off"; }
        }
    };
    let more = [
        &query.number,
        &query.agent,
        &query.queue,
        &query.wrap_up,
        &query.direction,
        &query.code,
        &query.kind,
    ];
    html! {
        form.find method="post" action="/recordings" role="search" {
            input type="search" name="q" value=(query.text) placeholder="Number, agent, queue or any text   ( / )"
                aria-label="Number, agent, queue or any text" autocomplete="off";
            input type="date" name="from" value=(query.from) aria-label="From this day, UTC";
            input type="date" name="to" value=(query.to) aria-label="To this day, UTC";
            select name="outcome" aria-label="Outcome" {
                option value="" { "any outcome" }
                @for outcome in OUTCOMES {
                    option value=(outcome) selected[query.outcome == outcome] { (outcome) }
                }
            }
            select name="order" aria-label="Order" {
                @for (order, value, label) in ORDERS {
                    option value=(value) selected[query.order == order] { (label) }
                }
            }
            button { "Search" }
            details.more open[more.iter().any(|text| !text.is_empty())] {
                summary { "More" }
                div.fields {
                    (text("number", "Number begins with", &query.number))
                    label.check { input type="checkbox" name="exact" value="1" checked[query.exact]; span { "the whole number" } }
                    (text("agent", "Agent", &query.agent))
                    (text("queue", "Queue", &query.queue))
                    (text("wrap_up", "Wrap-up code", &query.wrap_up))
                    (text("code", "Reason code", &query.code))
                    (text("kind", "File type", &query.kind))
                    label { span { "Direction" } select name="direction" {
                        option value="" { "either" }
                        @for way in ["inbound", "outbound"] {
                            option value=(way) selected[query.direction == way] { (way) }
                        }
                    } }
                }
            }
        }
    }
}

fn hits(
    query: &Query,
    results: &Results,
    day: Option<&ShownDay>,
    facets: Option<&[Facet]>,
) -> Markup {
    html! {
        div id="results" aria-busy="false" {
            @if let Some(day) = day { (heading(day)) }
            @if let Some(found) = facets { (super::facets::facets(query, results, found)) }
            @if results.hits.is_empty() { div.in { p { "Nothing matches." } } } @else {
                table.list.cards {
                    thead { tr {
                        th scope="col" { "Began (" span.zone { "UTC" } ")" }
                        th scope="col" { "With" }
                        th scope="col" { "Agent" }
                        th.w scope="col" { "Kind" }
                        th.num scope="col" { "Length" }
                        th.num.w scope="col" { "Size" }
                        th scope="col" { "Outcome" }
                    } }
                    tbody { @for hit in &results.hits { (row(hit)) } }
                }
            }
            (foot(query, results, facets.is_some()))
        }
    }
}

fn row(hit: &Hit) -> Markup {
    let (arrow, with) = match hit.direction {
        Some("outbound") => ("→", &hit.dnis),
        Some(_) => ("←", &hit.ani),
        None => (
            "",
            if hit.ani.is_empty() {
                &hit.dnis
            } else {
                &hit.ani
            },
        ),
    };
    let link = format!("/r/{}/{}", escaped(&hit.conversation), hit.n);
    let kind = hit.content_type.rsplit('/').next().unwrap_or_default();
    let known = OUTCOMES.contains(&hit.outcome.as_str());
    html! {
        tr aria-selected="false" {
            td { a.open href=(link) { time datetime=(stamp(hit.start_ms)) { (instant(hit.start_ms)) } } }
            td {
                (arrow) @if let Some(way) = hit.direction { span.vh { " " (way) } }
                " " (cut(with, 40))
            }
            td title=(cut(&hit.agents, 200)) { (cut(&hit.agents, 60)) }
            td.w { (cut(kind, 20)) }
            td.num { @if let Some(ms) = hit.duration_ms { (clock(ms)) } }
            td.num.w { @if let Some(size) = hit.size { (bytes(size)) } }
            td { span class=(if known { format!("tag {}", hit.outcome) } else { "tag".to_owned() }) {
                (cut(&hit.outcome, 30))
            } }
        }
    }
}

/// What is asked, as fields of a form, so that it is in no address; all but one field.
pub(super) fn asked(query: &Query, facets: bool, but: &str) -> Markup {
    let fields = fields(query).into_iter();
    let fields = fields.chain([("facets", if facets { "1" } else { "" })]);
    html! {
        @for (name, value) in fields {
            @if !value.is_empty() && name != but { input type="hidden" name=(name) value=(value); }
        }
    }
}

/// The fields of a search, as the form names them.
fn fields(query: &Query) -> [(&'static str, &str); 13] {
    let order = ORDERS.iter().find(|(order, ..)| *order == query.order);
    [
        ("q", query.text.as_str()),
        ("number", &query.number),
        ("exact", if query.exact { "1" } else { "" }),
        ("agent", &query.agent),
        ("queue", &query.queue),
        ("wrap_up", &query.wrap_up),
        ("from", &query.from),
        ("to", &query.to),
        ("direction", &query.direction),
        ("outcome", &query.outcome),
        ("code", &query.code),
        ("kind", &query.kind),
        ("order", order.map_or("", |(_, value, _)| value)),
    ]
}

/// The address of a search, if it has nothing that tells of a person.
fn link(query: &Query) -> Option<String> {
    let mut address = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields(query) {
        match value.is_empty() {
            true => {}
            false if LINKED.contains(&name) => {
                address.append_pair(name, value);
            }
            false => return None,
        }
    }
    let address = address.finish();
    (!address.is_empty()).then(|| format!("/recordings?{address}"))
}

/// The foot of the list: the count, the pages before and after, and what can be made of all hits.
fn foot(query: &Query, results: &Results, facets: bool) -> Markup {
    let last = query.skip + results.hits.len();
    let count = match results.count > COUNTED {
        true => format!("{}+", number(COUNTED as u64)),
        false => number(results.count as u64),
    };
    let more = results.hits.len() == PAGE && last < results.count.min(COUNTED);
    let before = query.skip.saturating_sub(PAGE);
    html! {
        form.page.foot method="post" action="/recordings" {
            (asked(query, facets, ""))
            span.dim id="count" tabindex="-1" {
                @if results.hits.is_empty() { "0 of " (count) } @else {
                    (number(query.skip as u64 + 1)) "–" (number(last as u64)) " of " (count)
                }
            }
            span.some {
                @if let Some(link) = link(query) { a id="link" href=(link) { "Link to this search" } }
                button name="facets" value=(if facets { "" } else { "1" }) aria-pressed=(facets) data-of="facets" { "Narrow down" }
                button name="skip" value=(before) disabled[query.skip == 0] data-of="back" { "Back" }
                button name="skip" value=(last) disabled[!more] data-of="next" { "Next" }
            }
        }
        @if !results.hits.is_empty() {
            form.foot method="post" action="/evidence" {
                (asked(query, false, ""))
                span.dim { "All of these: with recordings and receipts as a zip, or their rows" }
                span.some {
                    button { "Evidence" }
                    button formaction="/rows" name="format" value="csv" { "CSV" }
                    button formaction="/rows" name="format" value="jsonl" { "JSON Lines" }
                }
            }
        }
    }
}
