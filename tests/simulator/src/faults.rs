//! The faults, each at a rate of its own.
//!
//! A fault is drawn anew at each occasion, from a stream of its own: for a seed and an
//! order of requests the same ones strike, whatever else is switched on.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod chance;

use std::fmt;

pub(crate) use chance::Chance;

/// Lists the faults once: a rate, a kind, a name and a description of each.
macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $name:ident: $kind:ident,)+) => {
        /// How often each fault strikes, between 0 (never) and 1 (whenever it can).
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Faults {
            $($(#[doc = $doc])+ pub $name: f64,)+
        }

        /// A fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Fault {
            $($kind,)+
        }

        impl Fault {
            pub(crate) const ALL: &[Fault] = &[$(Fault::$kind,)+];

            /// The name of its rate.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Fault::$kind => stringify!($name),)+
                }
            }
        }

        impl Faults {
            /// Every fault at the same rate.
            #[must_use]
            pub fn all(rate: f64) -> Self {
                Faults { $($name: rate,)+ }
            }

            /// The name of each fault, and what it does.
            #[must_use]
            pub fn known() -> &'static [(&'static str, &'static str)] {
                &[$((stringify!($name), concat!($($doc,)+)),)+]
            }

            pub(crate) fn rate(&self, fault: Fault) -> f64 {
                match fault {
                    $(Fault::$kind => self.$name,)+
                }
            }

            fn rate_mut(&mut self, name: &str) -> Option<&mut f64> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)+
                    _ => None,
                }
            }
        }
    };
}

faults! {
    /// Any origin: the connection is reset (RST) instead of an answer.
    reset: Reset,
    /// Any origin: its port is closed for 0.2 to 3 s, and connections are refused.
    refuse: Refuse,
    /// Any origin: 500, 502, 503 or 504 with HTML, or with the store's XML.
    server_error: ServerError,
    /// API and log-in: 408.
    timeout: Timeout,
    /// API: 429 below the documented limit; the body names another one.
    throttle: Throttle,
    /// API: 401, and all tokens are worthless from then on.
    unauthorized: Unauthorized,
    /// Log-in: for 2 to 20 s it answers 503, or its port is closed.
    login_down: LoginDown,
    /// API and log-in: the answer is cut in its middle.
    cut_answer: CutAnswer,
    /// Any origin: the body trickles for 1 to 10 s, then continues.
    slow_body: Drip,
    /// Media: the link answers as if it had expired.
    expired: Expired,
    /// Media: the download is cut in its middle.
    cut: Cut,
    /// Media: more bytes are announced than sent, or fewer than asked for.
    wrong_length: WrongLength,
    /// Media: a complete answer with a truncated file.
    truncated: Truncated,
    /// Media: one byte is wrong.
    corrupted: Corrupted,
    /// Batch API: a job is not found any more.
    lost_job: LostJob,
    /// Batch API: a job never completes.
    stuck_job: StuckJob,
    /// Batch API: the count stalls for half of a job that takes twice its time.
    stalled_job: StalledJob,
    /// Batch API: the expected count grows again after all of it had been there.
    late_growth: LateGrowth,
    /// Batch API: some results are there twice, in another order at each poll.
    repeated_results: RepeatedResults,
    /// Batch API: a status that no SDK knows.
    unknown_status: UnknownStatus,
    /// Batch API: a content type that nobody knows, for good.
    unknown_content_type: UnknownContentType,
    /// Analytics jobs: one that fails.
    failed_search: FailedSearch,
    /// Analytics jobs: one whose results expire at once.
    expired_search: ExpiredSearch,
    /// Analytics jobs: one that is not found any more.
    lost_search: LostSearch,
    /// Any call: purposes, types, states and reasons that nobody knows.
    unknown_values: UnknownValues,
    /// Query: rows came or went between two pages; totalHits shows it.
    unstable_pages: UnstablePages,
    /// API: objects of an answer have fields that nobody knows, whatever the call.
    unknown_fields: UnknownFields,
}

impl Faults {
    /// Reads rates such as `all=0.05,cut=0.2,reset=0`; what comes later counts.
    ///
    /// # Errors
    /// An unknown fault, or a rate that is not between 0 and 1.
    pub fn parse(text: &str) -> Result<Self, FaultsError> {
        let mut faults = Faults::default();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let (name, rate) = part.split_once('=').ok_or_else(|| FaultsError::Rate {
                part: part.to_owned(),
            })?;
            let rate: f64 = rate
                .trim()
                .parse()
                .ok()
                .filter(|rate| (0.0..=1.0).contains(rate))
                .ok_or_else(|| FaultsError::Rate {
                    part: part.to_owned(),
                })?;
            match name.trim() {
                "all" => faults = Faults::all(rate),
                name => {
                    *faults.rate_mut(name).ok_or_else(|| FaultsError::Unknown {
                        name: name.to_owned(),
                    })? = rate;
                }
            }
        }
        Ok(faults)
    }
}

impl std::str::FromStr for Faults {
    type Err = FaultsError;

    fn from_str(text: &str) -> Result<Self, FaultsError> {
        Faults::parse(text)
    }
}

/// As [`Faults::parse`] reads it: the faults that are switched on, or `none`.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for fault in Fault::ALL {
            let rate = self.rate(*fault);
            if rate > 0.0 {
                write!(f, "{separator}{}={rate}", fault.name())?;
                separator = ",";
            }
        }
        if separator.is_empty() {
            f.write_str("none")?;
        }
        Ok(())
    }
}

/// Why rates of faults could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultsError {
    /// There is no such fault.
    #[error("there is no fault `{name}`; known are all, {}", names())]
    Unknown {
        /// The name that was given.
        name: String,
    },
    /// It is not a name with a rate.
    #[error("`{part}` is not of the form NAME=RATE with a rate between 0 and 1, such as cut=0.2")]
    Rate {
        /// The part that was given.
        part: String,
    },
}

fn names() -> String {
    let names: Vec<&str> = Faults::known().iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_in_order_and_written_as_they_are_read() {
        let faults = Faults::parse("all=0.05, cut=0.2,reset=0").unwrap();
        assert_eq!(
            (faults.cut, faults.reset, faults.slow_body),
            (0.2, 0.0, 0.05)
        );
        assert_eq!(Faults::parse(&faults.to_string()), Ok(faults));
        assert_eq!(Faults::parse(""), Ok(Faults::default()));
        assert_eq!(Faults::parse("cut=1,all=0"), Ok(Faults::default()));
        assert_eq!(Faults::default().to_string(), "none");
    }

    #[test]
    fn an_unknown_fault_is_an_error_that_lists_the_known_ones() {
        let error = Faults::parse("earthquake=0.1").unwrap_err().to_string();
        assert!(error.contains("earthquake"), "{error}");
        for (name, what) in Faults::known() {
            assert!(error.contains(name), "{error}");
            assert!(what.len() > 10);
        }
        for wrong in ["cut", "cut=", "cut=2", "cut=-0.1", "cut=NaN", "cut=x"] {
            let error = Faults::parse(wrong).unwrap_err();
            assert!(matches!(error, FaultsError::Rate { .. }), "{wrong}");
        }
    }
}
