//! Figures over time, as a picture that says in words what it shows.

use std::time::Duration;

use maud::{Markup, html};

use super::words::time;

/// The size of a picture in its own units.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 100.0;

/// A figure over the time of a run.
pub(super) struct Plot<'a> {
    pub(super) title: &'a str,
    /// By the time since the run began.
    pub(super) values: &'a [(Duration, f64)],
    pub(super) now: f64,
    /// The most that it may be.
    pub(super) limit: Option<f64>,
    /// How long ago the run began.
    pub(super) age: Duration,
    /// When it ended, since it began.
    pub(super) ended: Option<Duration>,
    /// A value as people read it.
    pub(super) word: &'a dyn Fn(f64) -> String,
}

pub(super) fn plot(plot: &Plot<'_>) -> Markup {
    let values = plot.values.iter().map(|(_, value)| *value);
    let most = values.fold(0.0, f64::max);
    let most = if plot.ended.is_none() {
        most.max(plot.now)
    } else {
        most
    };
    let top = most.max(plot.limit.unwrap_or_default());
    let top = if top > 0.0 { top } else { 1.0 };
    let word = plot.word;
    let steps = steps(plot);
    let mean = mean(&steps);
    let mut reported = match plot.ended {
        None => format!(
            "now {}, on average {}, at most {}",
            word(plot.now),
            word(mean),
            word(most)
        ),
        Some(_) => format!("on average {}, at most {}", word(mean), word(most)),
    };
    let until = plot
        .ended
        .map(|ended| format!("ended {} ago", time(plot.age.saturating_sub(ended))));
    if let Some(limit) = plot.limit {
        reported.push_str(&format!(", of {}", word(limit)));
    }
    let y = |value: f64| HEIGHT - value / top * (HEIGHT - 4.0);
    html! {
        figure.plot {
            figcaption { b { (plot.title) } " " span.dim { (reported) } }
            div.area {
                svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" role="img"
                    aria-label=(format!("{}: {reported}", plot.title)) {
                    line.half x1="0" x2=(WIDTH) y1=(y(top / 2.0)) y2=(y(top / 2.0)) vector-effect="non-scaling-stroke" {}
                    @if let Some(points) = line(&steps, y) {
                        polygon points=(format!("{points} {WIDTH},{HEIGHT} 0,{HEIGHT}")) {}
                        polyline points=(points) vector-effect="non-scaling-stroke" {}
                    }
                    @if let Some(limit) = plot.limit {
                        line.limit x1="0" x2=(WIDTH) y1=(y(limit)) y2=(y(limit)) vector-effect="non-scaling-stroke" {}
                    }
                    // What the pointer is over, in words, without a script.
                    @for step in &steps {
                        rect.step x=(format!("{:.1}", step.x)) y="0" width=(format!("{:.1}", step.width)) height=(HEIGHT) {
                            title { (time(plot.age.saturating_sub(step.until))) " ago: " (word(step.value)) }
                        }
                    }
                }
                // Where nothing has been yet there is no scale.
                @if most > 0.0 || plot.limit.is_some() {
                    span.scale aria-hidden="true" { (word(top)) }
                    span.scale.middle aria-hidden="true" { (word(top / 2.0)) }
                }
            }
            div.axis aria-hidden="true" { span { (time(plot.age)) " ago" } span { (until.as_deref().unwrap_or("now")) } }
        }
    }
}

/// A value and the time for which it holds.
struct Step {
    /// Where it begins, and how long it is, in units of the picture.
    x: f64,
    width: f64,
    /// Until when it holds, since the run began.
    until: Duration,
    value: f64,
}

/// The values from the beginning of the run to its end, or to now: each holds from the one before it on.
fn steps(plot: &Plot<'_>) -> Vec<Step> {
    let whole = plot.ended.unwrap_or(plot.age);
    if plot.values.is_empty() || whole.is_zero() {
        return Vec::new();
    }
    let last = match plot.ended {
        None => plot.now,
        Some(_) => 0.0,
    };
    let mut from = 0.0;
    let values = plot.values.iter().copied().chain([(whole, last)]);
    let steps = values.map(|(at, value)| {
        let until = at.min(whole);
        let end = until.as_secs_f64() / whole.as_secs_f64() * WIDTH;
        let x = std::mem::replace(&mut from, end);
        let width = end - x;
        Step {
            x,
            width,
            until,
            value,
        }
    });
    steps.filter(|step| step.width > 0.0).collect()
}

/// The mean over the time.
fn mean(steps: &[Step]) -> f64 {
    let sum: f64 = steps.iter().map(|step| step.value * step.width).sum();
    sum / WIDTH
}

/// The corners of a line along the steps.
fn line(steps: &[Step], y: impl Fn(f64) -> f64) -> Option<String> {
    if steps.is_empty() {
        return None;
    }
    let corners = steps.iter().map(|step| {
        let y = y(step.value);
        format!("{:.1},{y:.1} {:.1},{y:.1}", step.x, step.x + step.width)
    });
    Some(corners.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_says_in_words_what_it_shows() {
        let values = [
            (Duration::from_secs(5), 50.0),
            (Duration::from_secs(10), 10.0),
        ];
        let shown = plot(&Plot {
            title: "Requests",
            values: &values,
            now: 20.0,
            limit: Some(100.0),
            age: Duration::from_secs(20),
            ended: None,
            word: &|value| format!("{value:.0}"),
        });
        let text = shown.into_string();
        assert!(
            text.contains("Requests: now 20, on average 25, at most 50, of 100"),
            "{text}"
        );
        // A quarter of the time at half of the height, a quarter at a tenth, and then what is now.
        let line = "0.0,52.0 150.0,52.0 150.0,90.4 300.0,90.4 300.0,80.8 600.0,80.8";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("<title>10 s ago: 10</title>"), "{text}");
        assert!(text.contains("<title>0 s ago: 20</title>"), "{text}");
        // The scale: the limit, and half of it.
        assert!(
            text.contains(">100</span>") && text.contains(">50</span>"),
            "{text}"
        );
    }

    #[test]
    fn nothing_yet_is_no_line() {
        let shown = plot(&Plot {
            title: "Throughput",
            values: &[],
            now: 0.0,
            limit: None,
            age: Duration::ZERO,
            ended: None,
            word: &|value| value.to_string(),
        });
        assert!(!shown.into_string().contains("<polyline"));
    }
}
