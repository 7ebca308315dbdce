//! The days of a plan as a picture (SVG): a bar for the bytes of each, and a line for its conversations.

use std::fmt::Write;

use super::Plan;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 20.0;
const BOTTOM: f64 = 40.0;
const TOP: f64 = 50.0;

/// Draws the days of a plan.
#[must_use]
pub fn picture(plan: &Plan, title: &str) -> String {
    let days = &plan.days;
    let most =
        |of: fn(&super::DayEstimate) -> u64| days.iter().map(of).max().unwrap_or(0).max(1) as f64;
    let (bytes, calls) = (most(|day| day.bytes), most(|day| day.conversations));
    let step = (WIDTH - 2.0 * LEFT) / days.len().max(1) as f64;
    let height = HEIGHT - TOP - BOTTOM;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"15\">{}</text>\n\
         <text x=\"{LEFT}\" y=\"38\" fill=\"#456\">bars: bytes, at most {:.1} GB a day; line: conversations, at most {calls} a day</text>\n",
        escaped(title),
        bytes / 1e9,
    );
    let mut line = String::new();
    // Writing to a string cannot fail.
    for (number, day) in days.iter().enumerate() {
        let x = LEFT + step * number as f64;
        let bar = height * day.bytes as f64 / bytes;
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{bar:.1}\" fill=\"#7aa6d8\"><title>{}: {} conversations, {} bytes</title></rect>",
            HEIGHT - BOTTOM - bar,
            (step * 0.8).max(0.5),
            day.day,
            day.conversations,
            day.bytes,
        );
        let y = HEIGHT - BOTTOM - height * day.conversations as f64 / calls;
        let _ = write!(line, "{:.1},{y:.1} ", x + step * 0.4);
        // As many dates as there is room for.
        let every = days.len().div_ceil(10).max(1);
        if number.is_multiple_of(every) {
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{}\">{}</text>",
                HEIGHT - BOTTOM + 18.0,
                day.day
            );
        }
    }
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"#c0504d\" stroke-width=\"1.5\"/>\n</svg>",
        line.trim_end()
    );
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
