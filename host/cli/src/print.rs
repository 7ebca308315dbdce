//! The output of the commands on standard output: results.

use std::collections::{BTreeMap, BTreeSet};

use recording_host_engine::{
    RepairReport, RunSummary,
    dry_run::DryRun,
    reconcile::ReconcileReport,
    run::{CheckFinding, CheckState, Loss, MonthlyRequests},
    verify::{Coverage, Difference, VerifyReport},
};
use recording_host_model::one_line;
use recording_host_state::{CountMismatch, Status};

/// Prints a line: ids, codes and words of others stand in it, and nothing in it steers a terminal.
macro_rules! print_line {
    ($($text:tt)*) => {
        println!("{}", one_line(&format!($($text)*)))
    };
}

mod plan;

pub(super) use plan::{beyond_month, plan};

/// Losses that are printed; the summary and the receipts have more.
const LOSSES: usize = 20;

/// An error with its causes; a cause that an error already includes is not repeated.
pub(super) fn chain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Prints a summary for people: what is lacking first, the totals last. With `has_queue`, the losses can be
/// listed.
pub(super) fn summary(name: &str, summary: &RunSummary, has_queue: bool) {
    print_line!("{name}");
    for (code, count) in &summary.losses_by_code {
        let first = summary.losses.iter().find(|loss| loss.code == *code);
        let message = first.map_or("", |loss| &loss.message);
        print_line!("  unavailable    {count} {code}: {message}");
    }
    if has_queue && !summary.losses.is_empty() {
        print_line!("  losses         `status --losses` lists the conversations");
    }
    if summary.known_losses > 0 {
        print_line!(
            "  known losses   {}, named by earlier runs; `status --losses` lists them, `run --retry-failed` takes them up again",
            number(summary.known_losses, "conversation")
        );
    }
    if let Some(repair) = &summary.repaired {
        repaired(repair);
    }
    counts(&summary.miscounted);
    for (sink, lacking) in &summary.lacking {
        print_line!(
            "  {sink}: {lacking} conversations are missing and exist neither in another sink nor at the source"
        );
    }
    if let Some(reason) = &summary.ended_early {
        print_line!("  ended early    {reason}");
    } else if summary.conversations == 0 && summary.watermark.is_some() {
        print_line!("  {NOTHING}");
    }
    print_line!(
        "  API calls      {}; {} refused with 429",
        match summary.api_calls.is_empty() {
            true => "none".to_owned(),
            false => listed(&summary.api_calls),
        },
        summary.refused
    );
    print_line!("  time           {:.1} s", summary.seconds);
    let settled: u64 = summary.outcomes.values().sum();
    print_line!(
        "  conversations  {}{}{}",
        summary.conversations,
        of_which(&summary.outcomes),
        match summary.conversations.saturating_sub(settled) {
            0 => String::new(),
            open => format!(", {open} not filed yet"),
        }
    );
    print_line!(
        "  recordings     {}, {}",
        number(summary.recordings, "file"),
        bytes(summary.bytes)
    );
}

/// Prints what a run would do.
pub(super) fn dry_run(name: &str, dry: &DryRun) {
    print_line!("{name}");
    print_line!(
        "  would fetch    {} of {} conversations that are new; from earlier runs, {} are to be fetched and {} to be stored and filed",
        dry.fetched,
        dry.found,
        dry.waiting,
        dry.unfiled
    );
    for (sink, would) in &dry.sinks {
        print_line!("  {sink} would get  {} conversations", would.conversations);
        for key in &would.keys {
            print_line!("    {key}");
        }
    }
    print_line!(
        "  nothing was fetched or written; recording-id and ext are known once a recording is fetched"
    );
}

/// Prints what a repair has come to.
fn repaired(repaired: &RepairReport) {
    let left: usize = repaired.left.values().map(Vec::len).sum();
    print_line!(
        "  repaired       {} differences found: {} objects copied from another sink, {} conversations filed again, {} fetched again, {} files removed; {left} differences left",
        repaired.found,
        repaired.restored,
        repaired.filed_again,
        repaired.fetched_again,
        repaired.removed
    );
    for (sink, findings) in &repaired.left {
        for finding in findings.iter().take(LOSSES) {
            print_line!(
                "    {sink}: {} {}: {}",
                finding.difference.word(),
                finding.key,
                finding.detail
            );
        }
        let more = findings.len().saturating_sub(LOSSES);
        if more > 0 {
            print_line!("    {sink}: {more} more, which `verify --full` names");
        }
    }
}

/// Prints where a source counts more than was found.
fn counts(miscounted: &[CountMismatch]) {
    for range in miscounted.iter().take(LOSSES) {
        print_line!(
            "  not found      the source counts {} conversations{}{}, and {} were found; `run --search-again` looks for them",
            range.source,
            at(" from", Some(range.from)),
            at(" to", Some(range.until)),
            range.known
        );
    }
    let more = miscounted.len().saturating_sub(LOSSES);
    if more > 0 {
        print_line!("  not found      {more} more ranges, all in --json");
    }
}

/// Prints what is unavailable.
pub(super) fn losses(losses: &[Loss]) {
    let mut codes = BTreeMap::<&str, u64>::new();
    for loss in losses {
        *codes.entry(&loss.code).or_default() += 1;
    }
    for (code, count) in codes {
        print_line!("  unavailable    {count} {code}");
    }
    for loss in losses {
        print_line!("    {}  {}: {}", loss.conversation, loss.code, loss.message);
    }
}

/// Prints what a verification has found; `full`: contents were compared, and not sizes alone.
pub(super) fn report(name: &str, report: &VerifyReport, full: bool) {
    print_line!(
        "{name}: {} in {}, {}, {}: {}",
        number(report.conversations, "conversation"),
        number(report.receipts, "receipt"),
        number(report.objects, "media object"),
        bytes(report.bytes),
        match report.findings.len() {
            0 if report.is_empty() => "there is no receipt, so nothing is proven".to_owned(),
            0 if full => "all as it should be".to_owned(),
            0 => "all as it should be, by names and sizes; `--full` compares contents".to_owned(),
            count => format!("{count} not as they should be"),
        }
    );
    for coverage in &report.coverage {
        print_line!("  {}: {}", coverage.export, claims(coverage));
    }
    if report.without_claims > 0 {
        print_line!(
            "  without an interval, since of version 1: {}",
            number(report.without_claims, "receipt")
        );
    }
    for day in &report.counted {
        print_line!(
            "  {} {}: {} conversations in the receipts; the source counted {} at {:.0}",
            day.export,
            day.day,
            day.receipts,
            day.source,
            day.at
        );
    }
    if report.not_filed > 0 {
        print_line!(
            "  stored and not filed yet, as the queue says: {}, which no receipt proves so far",
            number(report.not_filed, "object")
        );
    }
    if report.unread > 0 {
        print_line!(
            "  the rows of {} receipts are encrypted and were not read; `--identity FILE` reads them",
            report.unread
        );
    }
    for finding in &report.findings {
        print_line!(
            "  {:<12} {}: {}",
            finding.difference.word(),
            finding.key,
            finding.detail
        );
    }
    let differences: BTreeSet<Difference> =
        report.findings.iter().map(|it| it.difference).collect();
    for difference in differences {
        print_line!("  {}: {}", difference.word(), difference.advice());
    }
}

/// The coverage that an export's receipts claim, in words.
fn claims(coverage: &Coverage) -> String {
    let day = |at: jiff::Timestamp| {
        let text = format!("{at:.0}");
        text.trim_end_matches("T00:00:00Z").to_owned()
    };
    let until = coverage.until.map_or_else(|| "..".to_owned(), day);
    let searched = match (coverage.searched_at, coverage.searched_until) {
        (Some(at), Some(until)) => format!("searched up to {}, last at {at:.0}", day(until)),
        _ => "search time unknown".to_owned(),
    };
    format!("claims {} to {until} ({searched})", day(coverage.from))
}

/// A number of things, in words.
fn number(count: u64, thing: &str) -> String {
    match count {
        1 => format!("1 {thing}"),
        _ => format!("{count} {thing}s"),
    }
}

/// Counts after a sum; nothing if there are none.
fn of_which(counts: &BTreeMap<String, u64>) -> String {
    match counts.is_empty() {
        true => String::new(),
        false => format!(": {}", listed(counts)),
    }
}

/// Prints what a queue holds.
pub(super) fn status(name: &str, status: Option<&Status>) {
    let Some(status) = status else {
        print_line!("{name}: nothing has been exported yet");
        return;
    };
    let progress = &status.progress;
    let filed: u64 = progress.filed.values().sum();
    print_line!("{name}");
    print_line!(
        "  conversations  {} found, {filed} filed{}",
        progress.conversations,
        of_which(&progress.filed)
    );
    print_line!(
        "  recordings     {} filed, {}; {} delivered, {} on their way",
        number(progress.objects, "file"),
        bytes(progress.bytes),
        number(progress.artifacts, "artifact"),
        status.pending
    );
    print_line!(
        "  waiting        {} to be fetched{}, {} being fetched, {} to be filed",
        number(status.wanted, "conversation"),
        at(" from", status.next_wanted),
        status.fetching,
        status.unfiled
    );
    let splits: u64 = status.splits.values().sum();
    match splits {
        0 => print_line!("  splits         none open"),
        splits => print_line!(
            "  splits         {splits} open{}: {}",
            at(", the next due at", status.next_split),
            listed(&status.splits)
        ),
    }
    if status.paused_until.is_some() {
        print_line!(
            "  requests       pause{}, as the source's API asked",
            at(" until", status.paused_until)
        );
    }
    match status.lost {
        0 => print_line!("  losses         none filed"),
        lost => print_line!(
            "  losses         {}; `status --losses` lists them, `run --retry-failed` takes them up again",
            number(lost, "conversation")
        ),
    }
    for (sink, behind) in &status.behind {
        print_line!(
            "  {sink}: {} conversations are not filed, {} artifacts not delivered",
            behind.conversations,
            behind.artifacts
        );
    }
    for (sink, lacking) in &status.lacking {
        print_line!("  {sink}: {lacking} conversations are missing that other sinks have");
    }
    if status.live > 0 {
        print_line!(
            "  live           {} conversations are in progress and are fetched when they have ended",
            status.live
        );
    }
    if progress.watermark.is_some() {
        print_line!("  searched      {}", at(" up to", progress.watermark));
    }
}

/// An instant behind a word, or nothing.
fn at(word: &str, ms: Option<u64>) -> String {
    ms.and_then(|ms| jiff::Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok())
        .map_or_else(String::new, |at| format!("{word} {at:.0}"))
}

fn listed(counts: &BTreeMap<String, u64>) -> String {
    let parts: Vec<String> = counts
        .iter()
        .map(|(word, n)| format!("{n} {word}"))
        .collect();
    parts.join(", ")
}

/// The line for an export that has found nothing at all.
pub(super) const NOTHING: &str = "no conversation was found in what was searched: if there should be some, check `interval`, which is in UTC, the filters, and the divisions of the client";

/// Prints how many requests a month holds.
pub(super) fn month(month: &MonthlyRequests) {
    print_line!(
        "  this month     {} of {} requests were made (UTC)",
        month.requests,
        month.ceiling
    );
}

/// Prints what a check has found.
pub(super) fn findings(name: &str, findings: &[CheckFinding]) {
    print_line!("{name}");
    for found in findings {
        let mark = match found.state {
            CheckState::Good => "good",
            CheckState::Doubtful => "doubtful",
            CheckState::Bad => "BAD",
        };
        print_line!("  {mark:<8} {}: {}", found.subject, found.text);
    }
}

fn time(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{:.1} h", seconds as f64 / 3600.0),
    }
}

/// Prints how receipts differ from their source.
pub(super) fn reconciled(name: &str, reconciled: &ReconcileReport) {
    print_line!(
        "{name}: {} conversations at the source: {}",
        reconciled.source,
        if reconciled.complete() {
            "the receipts have them all"
        } else {
            "the receipts lack some"
        }
    );
    if reconciled.live > 0 {
        print_line!(
            "  {} conversations are in progress and not due yet",
            reconciled.live
        );
    }
    counts(&reconciled.miscounted);
    for day in &reconciled.days {
        print_line!(
            "  {} {}: {} at the source, {} in the receipts",
            day.sink,
            day.day,
            day.source,
            day.receipts
        );
        for (word, ids) in [
            ("missing", &day.missing),
            ("recorded, but without a recording", &day.unrecorded),
            ("more at the source by now", &day.grown),
            ("lost", &day.lost),
            ("unknown to the source", &day.unknown),
        ] {
            for id in ids.iter().take(LOSSES) {
                print_line!("    {word}: {id}");
            }
            if ids.len() > LOSSES {
                print_line!("    {word}: {} more, all in --json", ids.len() - LOSSES);
            }
        }
    }
}

/// A number of bytes in a unit that makes it short.
pub(crate) fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["bytes", "kB", "MB", "GB"] {
        if value < 1000.0 {
            return if unit == "bytes" {
                format!("{bytes} bytes")
            } else {
                format!("{value:.1} {unit}")
            };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}
