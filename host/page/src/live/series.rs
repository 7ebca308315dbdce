//! Figures over the time of a run, in few points however long it is.

use std::{collections::VecDeque, time::Duration};

/// Points that are kept. Of a full series every second one goes, and from then on they come half as often.
const KEPT: usize = 240;
/// The time over which the rates of now are taken.
pub(crate) const WINDOW: Duration = Duration::from_secs(20);
/// The time between two points of the last while, at least.
const FINE: Duration = Duration::from_millis(500);

/// The figures of a source at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Point {
    /// Since the beginning of the run.
    pub(crate) at: Duration,
    /// Bytes stored since then.
    pub(crate) bytes: u64,
    /// Conversations whose outcome is final.
    pub(crate) stored: u64,
    /// Requests in the current minute of the vendor's limit: the most since the point before.
    pub(crate) requests: u64,
}

/// Points in the order of time, from the beginning of the run to now.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    points: Vec<Point>,
    /// The time between two points, at least.
    every: Duration,
    /// Points of the last while, and one from before it.
    recent: VecDeque<Point>,
}

impl Default for Series {
    fn default() -> Self {
        Series {
            points: Vec::new(),
            every: Duration::from_secs(1),
            recent: VecDeque::new(),
        }
    }
}

impl Series {
    /// Takes the figures of now: as a point of its own, or in place of the last one.
    pub(crate) fn push(&mut self, mut point: Point) {
        // Events of two threads may meet in another order than that in which they looked at the clock.
        let latest = self.points.last().map_or(Duration::ZERO, |last| last.at);
        point.at = point.at.max(latest);
        let before = self.points.iter().rev().nth(1).map(|before| before.at);
        let is_near = before.is_some_and(|before| latest - before < self.every);
        match self.points.last_mut() {
            Some(last) if is_near => {
                let requests = last.requests.max(point.requests);
                *last = Point { requests, ..point };
            }
            _ => self.points.push(point),
        }
        if self.points.len() > KEPT {
            self.thin();
        }
        self.note(point);
    }

    fn note(&mut self, point: Point) {
        let before = self.recent.iter().rev().nth(1).map(|before| before.at);
        match self.recent.back_mut() {
            Some(last) if before.is_some_and(|before| last.at - before < FINE) => *last = point,
            _ => self.recent.push_back(point),
        }
        let since = point.at.saturating_sub(WINDOW);
        while self.recent.get(1).is_some_and(|second| second.at <= since) {
            self.recent.pop_front();
        }
    }

    fn thin(&mut self) {
        let mut thin: Vec<Point> = Vec::with_capacity(KEPT);
        for (at, point) in self.points.iter().enumerate() {
            // The last one of each pair stays, with the most requests of both; and the first of all.
            match thin.last_mut() {
                Some(last) if at % 2 == 0 && at > 0 => {
                    let requests = last.requests.max(point.requests);
                    *last = Point { requests, ..*point };
                }
                _ => thin.push(*point),
            }
        }
        self.points = thin;
        self.every *= 2;
    }

    /// How much a figure that grows has grown in a second up to `now`, over [`WINDOW`] or since the beginning.
    pub(crate) fn rate(&self, now: Duration, of: impl Fn(&Point) -> u64) -> f64 {
        let since = now.saturating_sub(WINDOW);
        // A figure holds until the next point.
        let then = self.recent.iter().rev().find(|point| point.at <= since);
        let then = then.or(self.recent.front());
        let (Some(then), Some(last)) = (then, self.recent.back()) else {
            return 0.0;
        };
        let seconds = now.saturating_sub(then.at.max(since)).as_secs_f64();
        match seconds > 0.0 {
            true => of(last).saturating_sub(of(then)) as f64 / seconds,
            false => 0.0,
        }
    }

    /// A figure that grows, as how much it grew in a second: for each point, over the time before it.
    pub(crate) fn rates(&self, of: impl Fn(&Point) -> u64) -> Vec<(Duration, f64)> {
        let pairs = self.points.windows(2);
        pairs
            .map(|pair| (pair[1].at, grown(&pair[0], &pair[1], &of)))
            .collect()
    }

    /// Requests in a minute, at each point.
    pub(crate) fn requests(&self) -> Vec<(Duration, f64)> {
        let each = self.points.iter();
        each.map(|point| (point.at, point.requests as f64))
            .collect()
    }
}

fn grown(first: &Point, last: &Point, of: impl Fn(&Point) -> u64) -> f64 {
    let seconds = (last.at - first.at).as_secs_f64();
    match seconds > 0.0 {
        true => of(last).saturating_sub(of(first)) as f64 / seconds,
        false => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second for each step, in which 5 bytes and one conversation are stored.
    fn series(steps: u64) -> Series {
        let mut series = Series::default();
        for step in 0..steps {
            series.push(Point {
                at: Duration::from_secs(step),
                bytes: 5 * step,
                stored: step,
                requests: step % 60,
            });
        }
        series
    }

    #[test]
    fn a_long_run_has_few_points_and_the_same_rates() {
        for steps in [3, 240, 241, 1000, 100_000] {
            let series = series(steps);
            assert!(series.points.len() <= KEPT, "{steps}");
            assert_eq!(series.points[0].at, Duration::ZERO);
            assert_eq!(
                series.points.last().unwrap().at,
                Duration::from_secs(steps - 1)
            );
            let rates = series.rates(|point| point.bytes);
            assert!(
                rates.iter().all(|(_, rate)| *rate == 5.0),
                "{steps}: {rates:?}"
            );
            assert_eq!(
                series.rate(Duration::from_secs(steps - 1), |point| point.stored),
                1.0
            );
        }
        let most = |series: &Series| {
            let requests = series.requests().into_iter().map(|(_, value)| value);
            requests.fold(0.0, f64::max)
        };
        assert_eq!(
            most(&series(5000)),
            59.0,
            "what is left out does not hide a peak"
        );
    }

    #[test]
    fn where_nothing_happens_any_more_the_rate_of_now_sinks_to_nothing() {
        let series = series(100);
        let rate = |now| series.rate(Duration::from_secs(now), |point| point.bytes);
        assert_eq!(
            (rate(99), rate(109), rate(119), rate(1000)),
            (5.0, 2.5, 0.0, 0.0)
        );
        assert_eq!(
            Series::default().rate(Duration::from_secs(9), |point| point.bytes),
            0.0
        );
    }

    #[test]
    fn many_events_in_a_second_are_one_point() {
        let mut series = series(10);
        let points = series.points.len();
        for milli in 0..500 {
            series.push(Point {
                at: Duration::from_millis(9000 + milli),
                requests: 500 - milli,
                ..Point::default()
            });
        }
        assert!(series.points.len() <= points + 1);
        assert_eq!(series.points.last().unwrap().requests, 500);
    }
}
