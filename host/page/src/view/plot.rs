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
    let mut told = match plot.ended {
        None => format!("now {}, at most {}", word(plot.now), word(most)),
        Some(_) => format!("at most {}", word(most)),
    };
    let until = plot
        .ended
        .map(|ended| format!("ended {} ago", time(plot.age.saturating_sub(ended))));
    if let Some(limit) = plot.limit {
        told.push_str(&format!(", of {}", word(limit)));
    }
    let y = |value: f64| HEIGHT - value / top * (HEIGHT - 4.0);
    html! {
        figure.plot {
            figcaption { b { (plot.title) } " " span.dim { (told) } }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" role="img"
                aria-label=(format!("{}: {told}", plot.title)) {
                @if let Some(points) = line(plot, y) {
                    polygon points=(format!("{points} {WIDTH},{HEIGHT} 0,{HEIGHT}")) {}
                    polyline points=(points) vector-effect="non-scaling-stroke" {}
                }
                @if let Some(limit) = plot.limit {
                    line.limit x1="0" x2=(WIDTH) y1=(y(limit)) y2=(y(limit)) vector-effect="non-scaling-stroke" {}
                }
            }
            div.axis aria-hidden="true" { span { (time(plot.age)) " ago" } span { (until.as_deref().unwrap_or("now")) } }
        }
    }
}

/// The corners of a line from the beginning of the run to its end, or to now: each value holds from the one before it on.
fn line(plot: &Plot<'_>, y: impl Fn(f64) -> f64) -> Option<String> {
    let whole = plot.ended.unwrap_or(plot.age).as_secs_f64();
    if plot.values.is_empty() || whole <= 0.0 {
        return None;
    }
    let mut points = String::new();
    let mut from = 0.0;
    for (at, value) in plot.values {
        let (x, y) = ((at.as_secs_f64() / whole * WIDTH).min(WIDTH), y(*value));
        points.push_str(&format!("{from:.1},{y:.1} {x:.1},{y:.1} "));
        from = x;
    }
    if plot.ended.is_none() {
        points.push_str(&format!("{from:.1},{0:.1} {WIDTH:.1},{0:.1}", y(plot.now)));
    } else {
        points.push_str(&format!("{from:.1},{:.1}", y(0.0)));
    }
    Some(points)
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
            text.contains("Requests: now 20, at most 50, of 100"),
            "{text}"
        );
        // A quarter of the time at half of the height, a quarter at a tenth, and then what is now.
        let line = "0.0,52.0 150.0,52.0 150.0,90.4 300.0,90.4 300.0,80.8 600.0,80.8";
        assert!(text.contains(line), "{text}");
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
