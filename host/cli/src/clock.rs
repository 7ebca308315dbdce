//! The clock of a command: the machine's, or that of a simulator which a configuration is tried on.

use std::time::{Duration, Instant};

use anyhow::Context;
use recording_host_model::clock::Clock;
use serde::Deserialize;
use url::{Host, Url};

/// Names the address at which a simulator gives its time.
pub(super) const VARIABLE: &str = "RECORDING_HOST_SIMULATED_CLOCK";
/// How often it is asked: the quickest answer is the most exact one.
const QUESTIONS: u32 = 5;
/// How long questions may fail: faults of the simulator may close its port for a while.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);
const TIMEOUT: Duration = Duration::from_secs(5);

/// The clock of a command that speaks with a source.
///
/// # Errors
/// A simulator that is named and cannot be asked.
pub(super) async fn clock() -> anyhow::Result<Clock> {
    match std::env::var(VARIABLE) {
        Ok(address) => simulated_clock(&address).await,
        Err(_) => Ok(Clock::default()),
    }
}

/// A simulator's report of its clock.
#[derive(Clone, Copy, Debug, Deserialize)]
struct ClockReport {
    /// Milliseconds since the epoch.
    now_ms: u64,
    /// How many times as fast as the real time it goes by.
    speed: f64,
}

/// A simulator's time, as of an instant of the real time.
#[derive(Clone, Copy, Debug)]
struct Reading {
    report: ClockReport,
    asked: Instant,
    trip: Duration,
}

impl Reading {
    /// The simulator's time at `instant`; it looked at its clock in the middle of the trip, or
    /// not further from it than half of the trip.
    fn at(&self, instant: Instant) -> u64 {
        let looked = self.asked + self.trip / 2;
        let since = instant.saturating_duration_since(looked).as_secs_f64() * 1000.0;
        self.report.now_ms + (since * self.report.speed) as u64
    }
}

/// A clock that goes with the simulator's.
async fn simulated_clock(address: &str) -> anyhow::Result<Clock> {
    let Some(url) = loopback(address) else {
        crate::usage(&format!(
            "{VARIABLE}={address}: not the address of a simulator on this machine, such as http://127.0.0.1:8080/simulator/clock"
        ));
    };
    let reading = ask(&url)
        .await
        .with_context(|| format!("{VARIABLE}={url}: a simulator that tells its clock"))?;
    let now = reading.at(Instant::now());
    let clock = Clock::starting_at(now, reading.report.speed);
    let shown = i64::try_from(now).ok();
    let shown = shown.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    crate::terminal::say(
        "info",
        &format!(
            "clock: simulated, {:.0} and {} times as fast as the real one, as {url} reports ({VARIABLE})",
            shown.unwrap_or_default(),
            reading.report.speed
        ),
    );
    Ok(clock)
}

/// An address over HTTP on this machine: nobody else is to set the clock.
fn loopback(address: &str) -> Option<Url> {
    let url = Url::parse(address).ok()?;
    let here = match url.host()? {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
        Host::Domain(_) => false,
    };
    (here && url.scheme() == "http").then_some(url)
}

/// The reading with the shortest trip of a few.
async fn ask(url: &Url) -> anyhow::Result<Reading> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(TIMEOUT)
        .build()?;
    let mut best: Option<Reading> = None;
    let began = Instant::now();
    let mut questions = 0;
    while questions < QUESTIONS {
        match read(&client, url).await {
            Ok(reading) => {
                questions += 1;
                if best.is_none_or(|best| reading.trip < best.trip) {
                    best = Some(reading);
                }
            }
            Err(error) if began.elapsed() >= PATIENCE => return Err(error),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
    best.context("no answer")
}

async fn read(client: &reqwest::Client, url: &Url) -> anyhow::Result<Reading> {
    let asked = Instant::now();
    let answer = client.get(url.clone()).send().await?.error_for_status()?;
    let body = answer.bytes().await?;
    let trip = asked.elapsed();
    let report: ClockReport = serde_json::from_slice(&body)?;
    anyhow::ensure!(
        report.speed > 0.0,
        "the simulator's clock is stopped (speed 0)"
    );
    Ok(Reading {
        report,
        asked,
        trip,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_asked_for_on_this_machine_alone() {
        for here in [
            "http://127.0.0.1:8080/simulator/clock",
            "http://127.9.9.9/",
            "http://[::1]:1/simulator/clock",
        ] {
            assert!(loopback(here).is_some(), "{here}");
        }
        for elsewhere in [
            "http://10.0.0.1/simulator/clock",
            "http://localhost/simulator/clock",
            "http://127.0.0.1.example/simulator/clock",
            "http://0.0.0.0/simulator/clock",
            "https://127.0.0.1/simulator/clock",
            "127.0.0.1:8080",
            "",
        ] {
            assert!(loopback(elsewhere).is_none(), "{elsewhere}");
        }
    }

    #[test]
    fn half_of_the_trip_is_made_up_for_at_the_clocks_own_speed() {
        let asked = Instant::now();
        let report = ClockReport {
            now_ms: 1_000_000,
            speed: 1000.0,
        };
        let trip = Duration::from_millis(4);
        let reading = Reading {
            report,
            asked,
            trip,
        };
        assert_eq!(reading.at(asked + trip / 2), 1_000_000);
        assert_eq!(reading.at(asked + trip), 1_002_000);
        assert_eq!(reading.at(asked + Duration::from_millis(12)), 1_010_000);
    }
}
