//! The report as one file of HTML that loads and runs nothing.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::blocks::Block;
use crate::index::printable;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:820px;margin:32px auto;padding:0 16px;color:#1a1f26;background:#fff}\
    h1{font-size:22px}h2{font-size:17px;margin-top:28px;border-bottom:1px solid #ccd2d9}h3{font:600 14px ui-monospace,monospace;margin-top:24px}\
    dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;margin:8px 0}dt{color:#5a6472}dd{margin:0;overflow-wrap:anywhere}\
    pre,code{font:13px ui-monospace,monospace;overflow-wrap:anywhere;white-space:pre-wrap}pre{background:#f0f2f5;padding:8px 12px;border-radius:6px}\
    .good{color:#14743a}.bad{color:#b3261e}p{margin:6px 0}@media print{body{margin:0;max-width:none}}";

/// The page. All of an archive is in it as text.
pub(super) fn html(title: &str, blocks: &[Block]) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                meta http-equiv="content-security-policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main {
                h1 { (title) }
                @for block in blocks { (part(block)) }
            } }
        }
    };
    page.0
}

fn part(block: &Block) -> Markup {
    match block {
        Block::Heading(text) => html! { h2 { (printable(text)) } },
        Block::Subheading(text) => html! { h3 { (printable(text)) } },
        Block::Text(text) => html! { p { (printable(text)) } },
        Block::Verdict(good, text) => html! { p class=(class(*good)) {
            b { (mark(*good)) " " (printable(text)) }
        } },
        Block::Facts(facts) => html! { dl { @for (name, value) in facts {
            dt { (name) } dd { (printable(value)) }
        } } },
        Block::Command(text) => html! { pre { (text) } },
        Block::File(path, reported, good) => html! { p {
            code { (printable(path)) } br; code class=(class(*good)) { (mark(*good)) " " (printable(reported)) }
        } },
    }
}

fn class(good: bool) -> &'static str {
    if good { "good" } else { "bad" }
}

fn mark(good: bool) -> &'static str {
    if good { "✓" } else { "✗" }
}
