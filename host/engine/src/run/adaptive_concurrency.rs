//! How many downloads are under way at once: as many as help, and fewer when a sink or an origin of
//! media asks for less.
//!
//! It grows by steps and looks at what each brings. More at once that brings no more through is
//! latency that inflates, so it goes back, and tries again after a while. When it is told that less
//! is wanted it falls by a factor, and grows again to just below where that was; further only now and
//! then, and the more seldom the oftener it was in vain. A window in which there was less to do than
//! it allows says nothing.

use std::time::Duration;

use tokio::time::Instant;

/// With how many a run begins.
const START: usize = 16;
/// How long a window lasts at least, and how many downloads end in it for each that may be under way.
const WINDOW: Duration = Duration::from_secs(2);
const ENDS: f64 = 4.0;
/// The share that is left when less is wanted.
const FALL: f64 = 0.7;
/// How much it grows at once, and what part of that must get through more for it to stay.
const STEP: f64 = 0.25;
const WORTH: f64 = 0.25;
/// How long it stays where more has brought nothing.
const REST: Duration = Duration::from_secs(60);
/// How long it stays below where less was wanted, before and after many attempts in vain.
const QUIET: (Duration, Duration) = (Duration::from_secs(4), Duration::from_secs(32));
/// How long what was under way at once counts as one sign that less is wanted: as long as a download
/// takes, within these.
const SHORTEST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(10);
/// The cost of a download beyond its bytes, in bytes.
const EACH: u64 = 256 << 10;

/// How many downloads are under way at once.
#[derive(Debug)]
pub(super) struct AdaptiveConcurrency {
    most: f64,
    limit: f64,
    /// At so many less was wanted.
    ceiling: Option<f64>,
    /// How long it stays below that, and until when.
    quiet: Duration,
    until: Instant,
    window: Window,
    /// How many there were and how much got through when it was last found to be worth it.
    base: Option<(f64, f64)>,
    /// More has brought nothing, and is not tried before.
    rest: Option<Instant>,
    /// How long a download takes, smoothed.
    takes: Duration,
    /// How often less was wanted, and until when that counts as known.
    signs: u64,
    heard: Option<Instant>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    ends: f64,
    through: f64,
    /// True if there was less to do than is allowed.
    idle: bool,
}

impl Window {
    fn new(began: Instant) -> Self {
        Window {
            began,
            ends: 0.0,
            through: 0.0,
            idle: false,
        }
    }
}

impl AdaptiveConcurrency {
    /// A pace of at most `most`; `signs` is what [`on_backpressure`](Self::on_backpressure) is told later.
    pub(super) fn new(most: usize, signs: u64, now: Instant) -> Self {
        let most = most.max(1) as f64;
        AdaptiveConcurrency {
            most,
            limit: most.min(START as f64),
            ceiling: None,
            quiet: QUIET.0,
            until: now,
            window: Window::new(now),
            base: None,
            rest: None,
            takes: Duration::ZERO,
            signs,
            heard: None,
        }
    }

    /// How many may be under way.
    pub(super) fn limit(&self) -> usize {
        self.limit as usize
    }

    /// Notes that fewer are under way than may be, for lack of work.
    pub(super) fn on_idle(&mut self) {
        self.window.idle = true;
    }

    /// Notes how often less was wanted since the beginning of time, by all sinks and origins.
    pub(super) fn on_backpressure(&mut self, signs: u64, now: Instant) {
        let more = signs > self.signs;
        self.signs = signs;
        if !more || self.heard.is_some_and(|until| now < until) {
            return;
        }
        self.heard = Some(now + self.takes.clamp(SHORTEST, LONGEST));
        let at = self.limit.floor();
        match self.ceiling {
            None => self.quiet = QUIET.0,
            Some(ceiling) if at >= ceiling => self.quiet = (self.quiet * 2).min(QUIET.1),
            Some(_) => {}
        }
        self.ceiling = Some(self.ceiling.map_or(at, |ceiling| ceiling.min(at)));
        self.until = now + self.quiet;
        self.limit = (self.limit * FALL).max(1.0);
        self.base = None;
        self.window = Window::new(now);
    }

    /// Notes that a download has ended and brought so many bytes to sinks.
    pub(super) fn on_complete(&mut self, began: Instant, bytes: Option<u64>, now: Instant) {
        let took = now.saturating_duration_since(began);
        self.takes = match self.takes {
            Duration::ZERO => took,
            takes => (takes * 7 + took) / 8,
        };
        self.window.ends += 1.0;
        self.window.through += bytes.map_or(0.0, |bytes| (bytes + EACH) as f64);
        let lasted = now.saturating_duration_since(self.window.began);
        if lasted < WINDOW || self.window.ends < ENDS * self.limit {
            return;
        }
        let window = std::mem::replace(&mut self.window, Window::new(now));
        if !window.idle {
            self.adjust(window.through / lasted.as_secs_f64(), now);
        }
    }

    /// Goes on from what got through in a second.
    fn adjust(&mut self, through: f64, now: Instant) {
        if self.rest.is_some_and(|until| now < until) {
            return;
        }
        match self.base {
            Some((limit, _)) if self.limit < limit * (1.0 + STEP) && self.limit < self.most => {}
            Some((limit, before)) if self.limit > limit => {
                let grown = self.limit / limit - 1.0;
                if through < before * (1.0 + grown * WORTH) {
                    self.limit = limit;
                    self.base = None;
                    self.rest = Some(now + REST);
                    return;
                }
                self.base = Some((self.limit, through));
            }
            _ => self.base = Some((self.limit, through)),
        }
        if self.ceiling.is_some_and(|ceiling| self.limit >= ceiling) {
            // What was too much is so no longer.
            self.ceiling = None;
        }
        let grown = (self.limit + (self.limit * STEP).max(1.0)).min(self.most);
        self.limit = match self.ceiling {
            Some(ceiling) if now >= self.until => grown.min(ceiling),
            Some(ceiling) => grown.min(ceiling - 1.0).max(self.limit),
            None => grown,
        };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A server: how many requests at once it takes, from how many on more get through no faster,
    /// and the shortest and longest time that it takes for one (ms).
    struct Server {
        takes: usize,
        knee: usize,
        times: (u64, u64),
    }

    const FREE: Server = Server {
        takes: usize::MAX,
        knee: usize::MAX,
        times: (100, 100),
    };

    /// A run against servers, in simulated time.
    struct Course {
        pace: AdaptiveConcurrency,
        now: Instant,
        /// When each download continues, its number, when it began, and how long it is served.
        events: BTreeSet<(Instant, u64, Instant, Option<u64>)>,
        served: usize,
        begun: u64,
        done: u64,
        refused: u64,
        highest: usize,
    }

    impl Course {
        fn new(most: usize) -> Self {
            let now = Instant::now();
            Course {
                pace: AdaptiveConcurrency::new(most, 0, now),
                now,
                events: BTreeSet::new(),
                served: 0,
                begun: 0,
                done: 0,
                refused: 0,
                highest: 0,
            }
        }

        /// Serves a download, or sends it away to come back in a second or less.
        fn serve(&mut self, server: &Server, number: u64, began: Instant) {
            let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            if self.served >= server.takes {
                self.refused += 1;
                let pause = Duration::from_millis(spread % 1000);
                self.events.insert((self.now + pause, number, began, None));
                return;
            }
            self.served += 1;
            let (shortest, longest) = server.times;
            let work = shortest + spread % (longest - shortest + 1);
            let crowd = (self.served as f64 / server.knee as f64).max(1.0);
            let takes = Duration::from_millis(work).mul_f64(crowd);
            let event = (self.now + takes, number, began, Some(work));
            self.events.insert(event);
        }

        fn run(&mut self, server: &Server, time: Duration) {
            let end = self.now + time;
            (self.done, self.refused, self.highest) = (0, 0, 0);
            let mut signs = self.pace.signs;
            while self.now < end {
                let before = self.refused;
                while self.events.len() < self.pace.limit() {
                    self.begun += 1;
                    self.serve(server, self.begun, self.now);
                }
                let (at, number, began, served) = self.events.pop_first().unwrap();
                self.now = at;
                match served {
                    Some(work) => {
                        self.served -= 1;
                        self.done += 1;
                        // What takes longer is larger.
                        self.pace.on_complete(began, Some(work << 12), at);
                    }
                    None => self.serve(server, number, began),
                }
                signs += self.refused - before;
                self.pace.on_backpressure(signs, at);
                self.highest = self.highest.max(self.pace.limit());
            }
        }
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn it_grows_as_long_as_more_gets_through_whatever_the_sizes() {
        for times in [(100, 100), (20, 2000)] {
            let mut course = Course::new(64);
            assert_eq!(course.pace.limit(), START);
            course.run(&Server { times, ..FREE }, 2 * MINUTE);
            assert_eq!(course.pace.limit(), 64, "{times:?}");
        }
        let mut course = Course::new(5);
        course.run(&FREE, MINUTE);
        assert_eq!(course.highest, 5);
    }

    #[test]
    fn it_goes_back_when_more_brings_nothing() {
        for times in [(100, 100), (20, 400)] {
            let mut course = Course::new(64);
            course.run(
                &Server {
                    knee: 16,
                    times,
                    ..FREE
                },
                10 * MINUTE,
            );
            assert!(course.highest <= 25, "{times:?} {}", course.highest);
            assert!(course.pace.limit() >= START, "{times:?}");
        }
    }

    #[test]
    fn what_a_server_refuses_stays_little_and_what_it_takes_is_used() {
        for takes in [1, 4, 12, 40] {
            let mut course = Course::new(64);
            let server = Server { takes, ..FREE };
            course.run(&server, MINUTE);
            course.run(&server, 5 * MINUTE);
            let (tried, most) = (course.done + course.refused, takes as u64 * 10 * 300);
            assert!(course.refused * 100 < tried, "{takes}: {}", course.refused);
            assert!(course.done * 10 > most * 9, "{takes}: {}", course.done);
        }
    }

    #[test]
    fn it_recovers_when_nobody_asks_for_less_any_more() {
        let mut course = Course::new(64);
        course.run(&Server { takes: 1, ..FREE }, MINUTE);
        assert!(course.pace.limit() <= 2);
        course.run(&FREE, MINUTE);
        assert!(course.pace.limit() >= START, "{}", course.pace.limit());
        course.run(&FREE, 2 * MINUTE);
        assert_eq!(course.pace.limit(), 64);
    }

    #[test]
    fn what_comes_back_at_once_is_one_sign() {
        let now = Instant::now();
        let mut pace = AdaptiveConcurrency::new(64, 7, now);
        pace.on_backpressure(7, now);
        assert_eq!(pace.limit(), 16);
        pace.on_backpressure(8, now);
        pace.on_backpressure(20, now);
        assert_eq!(pace.limit(), 11);
        pace.on_backpressure(21, now + LONGEST);
        assert_eq!(pace.limit(), 7);
    }

    #[test]
    fn too_little_to_do_tells_nothing() {
        let now = Instant::now();
        let mut pace = AdaptiveConcurrency::new(64, 0, now);
        for second in 0..60_u64 {
            let at = now + Duration::from_secs(second);
            pace.on_idle();
            for _ in 0..100 {
                pace.on_complete(at, Some(1), at);
            }
        }
        assert_eq!(pace.limit(), START);
    }
}
