//! The output of `plan`.

use recording_host_engine::{
    plan::{DayEstimate, Plan},
    run::MonthlyRequests,
};
use recording_host_model::one_line;

use super::{NOTHING, bytes, listed, time};

/// Prints the size, requests and duration of an export.
pub(crate) fn plan(name: &str, plan: &Plan) {
    /// The longest bar.
    const BAR: f64 = 24.0;
    print_line!("{name}");
    print_line!(
        "  {:<10} {:>13} {:>10} {:>10} {:>10} {:>9} {:>9}",
        "day",
        "conversations",
        "recorded",
        "recordings",
        "bytes",
        "requests",
        "time"
    );
    let most = plan.days.iter().map(|day| day.bytes).max().unwrap_or(0);
    let line = |name: &str, day: &DayEstimate, bar: &str| {
        let text = format!(
            "  {name:<10} {:>13} {:>10} {:>10} {:>10} {:>9} {:>9} {bar}",
            day.conversations,
            day.recorded,
            day.recordings,
            bytes(day.bytes),
            day.requests,
            time(day.seconds)
        );
        print_line!("{}", text.trim_end());
    };
    for day in &plan.days {
        let length = day.bytes as f64 / most.max(1) as f64 * BAR;
        line(&day.day, day, &"#".repeat(length.round() as usize));
    }
    match plan.total.conversations {
        0 if plan.unknown_days > 0 => print_line!("  {:<10} {:>13}", "total", "unknown"),
        _ => line("total", &plan.total, ""),
    }
    match plan.unknown_days {
        0 if plan.total.conversations == 0 => print_line!("  {NOTHING}"),
        0 => {}
        days => print_line!("  the source has no count for {days} days; they are not in the total"),
    }
    let sample = &plan.sample;
    let error = plan.bytes_error.map_or_else(
        || "the sample is too small to estimate the error".to_owned(),
        |error| format!("bytes within {} (95 % confidence interval)", bytes(error)),
    );
    print_line!(
        "  conversations are counted; recordings and bytes follow from {} conversations with {} files of {}: {error}",
        sample.conversations,
        sample.recordings,
        bytes(sample.bytes)
    );
    let limit = plan.requests_per_minute.map_or_else(String::new, |limit| {
        format!(", {limit} a minute; the time is that of the requests")
    });
    print_line!("  requests: {}{limit}", listed(&plan.requests));
}

/// Warns of a plan that needs more requests than are left of the month.
pub(crate) fn beyond_month(plan: &Plan, month: &MonthlyRequests) {
    let left = month.ceiling.saturating_sub(month.requests);
    if plan.total.requests > left {
        print_line!(
            "  `requests_per_month` allows {left} more this month (UTC), and exporting all of the interval takes more: a run ends early and is continued by later ones, or needs a higher limit"
        );
    }
}
