//! What a search can be narrowed down by: values, and how many hits have each.

use maud::{Markup, html};

use super::{
    list::asked,
    words::{cut, number},
};
use crate::{
    Query, Results,
    index::{COUNTED, Counted, Facet},
};

/// The facets of a search. A value narrows it down; the one that it is narrowed down to is let go of.
pub(super) fn facets(query: &Query, results: &Results, facets: &[Facet]) -> Markup {
    html! {
        section.facets id="facets" aria-labelledby="narrow" {
            h2.vh id="narrow" { "Narrow down" }
            @for facet in facets { (one(query, facet)) }
            @if results.count > COUNTED {
                p.dim { "Counted in the newest " (number(COUNTED as u64)) "." }
            }
        }
    }
}

fn one(query: &Query, facet: &Facet) -> Markup {
    let title = format!("facet-{}", facet.field);
    html! {
        form.page method="post" action="/recordings" aria-labelledby=(title) {
            (asked(query, true, facet.field))
            h3 id=(title) { (facet.title) }
            ul { @for value in &facet.values { li { (button(query, facet, value)) } } }
            @if facet.others > 0 { p.dim { "and " (number(facet.others as u64)) " more" } }
        }
    }
}

fn button(query: &Query, facet: &Facet, value: &Counted) -> Markup {
    let chosen = chosen(query, facet.field) == value.value;
    let sent = if chosen { "" } else { &value.value };
    html! {
        button name=(facet.field) value=(sent) aria-pressed=(chosen) data-of=(value.label) title=(cut(&value.label, 200)) {
            span { (cut(&value.label, 60)) } " " span.dim { (number(value.count)) }
        }
    }
}

/// The text of a field of a search.
fn chosen<'a>(query: &'a Query, field: &str) -> &'a str {
    match field {
        "outcome" => &query.outcome,
        "code" => &query.code,
        "agent" => &query.agent,
        "queue" => &query.queue,
        "wrap_up" => &query.wrap_up,
        "direction" => &query.direction,
        "kind" => &query.kind,
        _ => "",
    }
}
