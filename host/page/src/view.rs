//! The pages, a function for each part. Everything from an archive goes through here as text.

mod day;
mod detail;
mod facets;
mod list;
mod live;
mod overview;
mod plot;
pub(crate) mod words;

use maud::{DOCTYPE, Markup, html};

pub(crate) use day::ShownDay;
pub(crate) use detail::{Detail, detail};
pub(crate) use list::recordings;
pub(crate) use live::live;
pub(crate) use overview::{figures, overview, version};

/// The views, as the navigation names them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    Overview,
    Recordings,
    None,
}

fn layout(title: &str, view: View, main: &Markup) -> Markup {
    let current = |this: View| (this == view).then_some("page");
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                title { (title) " - recording-host" }
                link rel="icon" href="/icon.svg";
                link rel="stylesheet" href="/page.css";
                script type="module" src="/page.js" {}
            }
            body {
                a.skip href="#main" { "To the content" }
                header.top {
                    b { "recording-host" }
                    nav aria-label="Views" {
                        a href="/" aria-current=[current(View::Overview)] { "Overview" }
                        a href="/recordings" aria-current=[current(View::Recordings)] { "Recordings" }
                        a href="/#losses" { "Losses" }
                    }
                    button data-do="zone" aria-pressed="false" title="Times as this computer's clock has them, not in UTC" hidden { "Local" }
                    button data-do="keys" aria-label="Keys" hidden { "?" }
                    button data-do="theme" aria-label="Light or dark" hidden { "◐" }
                }
                main id="main" { (main) }
                p.vh id="say" role="status" {}
                (keys())
            }
        }
    }
}

/// The keys that a script hears.
fn keys() -> Markup {
    let keys = [
        ("/", "to the search"),
        ("j, k", "next and previous row"),
        ("arrows", "days of the calendar"),
        ("space", "play and pause"),
        ("?", "these keys"),
    ];
    html! {
        dialog id="keys" aria-labelledby="keys-title" {
            h2 id="keys-title" { "Keys" }
            dl.facts { @for (key, does) in keys { dt { kbd { (key) } } dd { (does) } } }
            form method="dialog" { button { "Close" } }
        }
    }
}

/// Asks for a token.
pub(crate) fn enter(refused: bool) -> Markup {
    layout(
        "Enter",
        View::None,
        &html! {
            section.card.narrow {
                header { h1 { "Enter" } }
                form.in method="post" action="/enter" {
                    @if refused { p role="alert" { "This token is not known." } }
                    p { label for="token" { "Token" } }
                    p { input type="password" id="token" name="token" autocomplete="off" required; }
                    p { button.main { "Enter" } }
                }
            }
        },
    )
}

/// Says what went wrong.
pub(crate) fn problem(title: &str, reason: &str) -> Markup {
    layout(
        title,
        View::None,
        &html! {
            section.card.narrow {
                header { h1 { (title) } }
                div.in { p { (reason) } p { a href="/recordings" { "To the recordings" } } }
            }
        },
    )
}
