//! One recording: player or text, facts, receipt.

use maud::{Markup, html};
use recording_host_metadata::restore::{Named, Row};

use super::words::{bytes, clock, cut, escaped, number};
use crate::{
    PageError,
    archive::ReceiptLine,
    index::printable,
    media::{Shown, shown},
    verify::FileVerdict,
};

/// A recording with all that is shown of it.
pub(crate) struct Detail<'a> {
    /// The rows of its conversation.
    pub(crate) rows: &'a [Row],
    /// Which of them is shown.
    pub(crate) n: usize,
    pub(crate) row: &'a Row,
    pub(crate) line: &'a Result<ReceiptLine, PageError>,
    pub(crate) verdict: Option<&'a FileVerdict>,
    /// The text of the file, and true if it was cut.
    pub(crate) text: Option<&'a (String, bool)>,
}

impl Detail<'_> {
    /// The ids in the paths about it.
    fn path(&self) -> String {
        format!("{}/{}", escaped(&self.row.conversation_id), self.n)
    }
}

/// The details of a recording.
pub(crate) fn detail(detail: &Detail<'_>) -> Markup {
    let row = detail.row;
    let began = row.start.get(..19).unwrap_or(&row.start).replace('T', " ");
    html! {
        article.card id="detail" {
            header {
                div {
                    h1 { time datetime=(row.start) { (cut(&began, 30)) } " " span.zone.dim { "UTC" } }
                    span.dim {
                        @if let Some(way) = &row.direction { (cut(way, 20)) ", " }
                        @match &row.content_type {
                            Some(kind) => (cut(kind, 60)),
                            None => "no file",
                        }
                        @if let Some(size) = row.size_bytes { ", " (bytes(size)) }
                    }
                }
                @if row.object_key.is_some() {
                    a.btn href=(format!("/download/{}", detail.path())) { "Download" }
                }
            }
            (content(detail))
            (proof(detail))
            (files(detail))
            div.in { (facts(row)) }
            (evidence(detail))
            section aria-labelledby="receipt" {
                header.part { h2 id="receipt" { "Receipt" } }
                div.in { (receipt(detail)) }
            }
        }
    }
}

fn content(detail: &Detail<'_>) -> Markup {
    let path = detail.path();
    let seconds = duration_ms(detail.row).unwrap_or_default() as f64 / 1000.0;
    let media = format!("/media/{path}");
    html! {
        @if detail.row.object_key.is_none() {
            div.in { p { "There is no file" @match &detail.row.reason {
                Some(reason) => { ": " (cut(reason, 1000)) },
                None => ".",
            } } }
        } @else {
            @match shown(detail.row) {
                Shown::Audio(_) => div.in { div id="player" data-peaks=(format!("/peaks/{path}")) data-seconds=(seconds) {
                    canvas.wave aria-hidden="true" hidden {}
                    label.vh for="pos" { "Position" }
                    input id="pos" type="range" min="0" step="1" value="0" hidden;
                    audio controls preload="metadata" src=(media) {}
                    (controls())
                } },
                Shown::Video(_) => div.in { video controls preload="metadata" src=(media) {} },
                Shown::Text => @if let Some((text, more)) = detail.text { div.in {
                    pre tabindex="0" aria-label="The text of the file" { (printable(text)) }
                    @if *more { p.dim { "The text goes on; download it to read all." } }
                } },
                Shown::File => div.in { p { "A file of this kind is not shown here; download it." } },
            }
        }
    }
}

fn controls() -> Markup {
    let ways = [
        ("both", "Both"),
        ("left", "Left"),
        ("right", "Right"),
        ("mono", "Mono"),
    ];
    html! {
        div.ctl hidden {
            button.main data-p="play" { "Play" }
            button data-p="skip" value="-10" aria-label="Back 10 seconds" { "−10 s" }
            button data-p="skip" value="10" aria-label="On 10 seconds" { "+10 s" }
            span.now.mono { "0:00" }
            span.grow {}
            span.seg role="group" aria-label="Channels" hidden {
                @for (value, label) in ways {
                    button data-p="hear" value=(value) aria-pressed=(value == "both") { (label) }
                }
            }
            label.vh for="rate" { "Speed" }
            select id="rate" { @for rate in ["1", "1.25", "1.5", "2"] {
                option value=(rate) { (rate) "×" }
            } }
        }
    }
}

/// The other files of the conversation.
fn files(detail: &Detail<'_>) -> Markup {
    let id = escaped(&detail.row.conversation_id);
    html! {
        @if detail.rows.len() > 1 {
            nav.in aria-label="Files of this conversation" { ul.files {
                @for (n, row) in detail.rows.iter().enumerate().take(200) {
                    @let current = (n == detail.n).then_some("page");
                    @let key = row.archive_member.as_deref().or(row.object_key.as_deref());
                    li { a.open href=(format!("/r/{id}/{n}")) aria-current=[current] {
                        (cut(key.unwrap_or_default().rsplit('/').next().unwrap_or_default(), 60))
                    } }
                }
            } }
        }
    }
}

/// The parts that can be handed over.
fn evidence(detail: &Detail<'_>) -> Markup {
    let id = escaped(&detail.row.conversation_id);
    html! {
        section.in aria-labelledby="evidence" {
            h2 id="evidence" { "Hand it over" }
            p.dim { "A zip with recordings, rows, receipts and a report; anybody can check it with sha256sum." }
            div.ctl {
                form method="post" action=(format!("/evidence/{}", detail.path())) { button { "This recording" } }
                form method="post" action=(format!("/evidence/{id}")) { button { "The whole conversation" } }
            }
        }
    }
}

fn duration_ms(row: &Row) -> Option<u64> {
    let instant = |text: &str| text.parse::<jiff::Timestamp>().ok();
    let (start, end) = (instant(&row.start)?, instant(row.end.as_deref()?)?);
    u64::try_from(end.as_millisecond() - start.as_millisecond()).ok()
}

fn facts(row: &Row) -> Markup {
    let names = |list: &[Named]| {
        let each = list.iter().map(|one| match one.name.as_deref() {
            Some(name) if !name.is_empty() => name,
            _ => &one.id,
        });
        each.collect::<Vec<_>>().join(", ")
    };
    let known = |text: &Option<String>| text.clone().unwrap_or_default();
    let length = duration_ms(row).map(clock).unwrap_or_default();
    let facts = [
        ("From", known(&row.ani)),
        ("To", known(&row.dnis)),
        ("Agent", names(&row.agents)),
        ("Queue", names(&row.queues)),
        ("Wrap-up", names(&row.wrap_up_codes)),
        ("Length", length),
        ("Outcome", row.outcome.clone()),
        ("Reason", known(&row.reason)),
        ("Media", row.media_types.join(", ")),
        ("Tags", row.tags.join(", ")),
        (
            "Divisions",
            match row.division_names.is_empty() {
                true => row.divisions.join(", "),
                false => row.division_names.join(", "),
            },
        ),
        ("Conversation", row.conversation_id.clone()),
        ("Recording", known(&row.recording_id)),
    ];
    html! {
        dl.facts { @for (name, value) in facts { @if !value.is_empty() {
            dt { (name) } dd { (cut(&value, 1000)) }
        } } }
        @if !row.attributes.is_empty() {
            details { summary { "All attributes (" (row.attributes.len()) ")" }
                dl.facts { @for (name, value) in row.attributes.iter().take(500) {
                    dt { (cut(name, 100)) } dd { (cut(value, 1000)) }
                } }
            }
        }
    }
}

fn proof(detail: &Detail<'_>) -> Markup {
    if detail.row.object_key.is_none() && detail.verdict.is_none() {
        // There is nothing to hash.
        return html! {};
    }
    let action = format!("/verify/{}", detail.path());
    let class = match detail.verdict {
        None => "proof",
        Some(verdict) if verdict.good => "proof good",
        Some(_) => "proof badly",
    };
    html! {
        div.in { div id="proof" class=(class) {
            div { @match detail.verdict {
                None => {
                    b { "Not verified yet" }
                    span.dim { "The file is hashed again and compared with its receipt." }
                },
                Some(verdict) => {
                    b { (if verdict.good { "✓ " } else { "✗ " }) (cut(&verdict.title, 200)) }
                    span.mono { (cut(&verdict.detail, 1000)) }
                },
            } }
            @if detail.row.object_key.is_some() {
                form method="post" action=(action) { button data-verify=(action) { "Verify" } }
            }
        } }
    }
}

fn receipt(detail: &Detail<'_>) -> Markup {
    let line = match detail.line {
        Ok(line) => line,
        Err(error) => {
            return html! { p { "The receipt's line is not shown: " (cut(&error.to_string(), 500)) } };
        }
    };
    let key = detail.row.object_key.as_deref().unwrap_or_default();
    let text = serde_json::to_string_pretty(&line.entry).unwrap_or_default();
    html! {
        dl.facts {
            @if !key.is_empty() { dt { "Object" } dd.mono { (cut(key, 1000)) } }
            @if let Some(size) = detail.row.size_bytes { dt { "Size" } dd.mono { (number(size)) " bytes" } }
            @if let Some(sha256) = &detail.row.sha256 { dt { "SHA-256" } dd.mono { (cut(sha256, 64)) } }
            dt { "Receipt" } dd.mono {
                "receipts/date=" (cut(&line.header.day, 20)) "/"
                (cut(&line.header.export, 100)) "-" (format!("{:06}", line.header.segment))
                ".jsonl, line " (number(line.number))
            }
            @if let Some(written) = line.header.written_at { dt { "Written" } dd { (written) } }
            dt { "Attempt" } dd { (number(line.entry.attempt.into())) }
        }
        details { summary { "The receipt's line" } pre tabindex="0" { (cut(&text, 20_000)) } }
    }
}
