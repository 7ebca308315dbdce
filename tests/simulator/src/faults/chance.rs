//! Draws whether a fault strikes, and counts how often it did.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use super::{Fault, Faults};
use crate::rng::Rng;

const SORT_FAULT: u64 = 0x100;

/// Decides whether faults strike.
pub(crate) struct Chance {
    rates: Faults,
    seed: u64,
    /// How often each fault was drawn, and how often it struck.
    counts: Vec<(AtomicU64, AtomicU64)>,
}

impl Chance {
    pub(crate) fn new(rates: Faults, seed: u64) -> Self {
        Chance {
            rates,
            seed,
            counts: Fault::ALL.iter().map(|_| Default::default()).collect(),
        }
    }

    /// The details of the fault if it strikes now; each call is an occasion.
    pub(crate) fn strikes(&self, fault: Fault) -> Option<Rng> {
        if self.rates.rate(fault) <= 0.0 {
            return None;
        }
        let occasion = self.counts[fault as usize]
            .0
            .fetch_add(1, Ordering::Relaxed);
        self.draw(fault, occasion)
    }

    /// The details of the fault if it is on this thing, now and whenever it is asked again.
    pub(crate) fn marks(&self, fault: Fault, thing: u64) -> Option<Rng> {
        self.draw(fault, thing)
    }

    fn draw(&self, fault: Fault, occasion: u64) -> Option<Rng> {
        let mut rng = Rng::new(self.seed, SORT_FAULT + fault as u64, occasion);
        if rng.fraction() >= self.rates.rate(fault) {
            return None;
        }
        self.counts[fault as usize]
            .1
            .fetch_add(1, Ordering::Relaxed);
        Some(rng)
    }

    /// How often each fault struck, by name; those that never did are left out.
    pub(crate) fn struck(&self) -> BTreeMap<String, u64> {
        Fault::ALL
            .iter()
            .map(|fault| {
                let count = self.counts[*fault as usize].1.load(Ordering::Relaxed);
                (fault.name().to_owned(), count)
            })
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(rates: Faults, seed: u64) -> Vec<bool> {
        let chance = Chance::new(rates, seed);
        (0..2000)
            .map(|_| {
                // Another fault's draws do not disturb this one's.
                let _ = chance.strikes(Fault::Reset);
                chance.strikes(Fault::Cut).is_some()
            })
            .collect()
    }

    #[test]
    fn a_fault_strikes_at_its_rate_and_a_seed_repeats_it() {
        let one = pattern(Faults::parse("cut=0.1").unwrap(), 7);
        let struck = one.iter().filter(|struck| **struck).count();
        assert!((150..250).contains(&struck), "{struck} of 2000");
        assert_eq!(one, pattern(Faults::parse("cut=0.1,reset=0.5").unwrap(), 7));
        assert_ne!(one, pattern(Faults::parse("cut=0.1").unwrap(), 8));
        assert!(!pattern(Faults::default(), 7).contains(&true));
        assert!(!pattern(Faults::all(1.0), 7).contains(&false));
    }
}
