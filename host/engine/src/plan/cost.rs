//! The cost of an export in money, by prices that an operator states.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Plan;

/// Bytes of a GB.
const GB: f64 = 1e9;

/// The prices of what an export takes, in one currency; what has none costs nothing.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// The currency, any text.
    #[schemars(example = &"EUR")]
    pub currency: String,
    /// The price of a thousand requests to the vendor's API.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub thousand_requests: f64,
    /// Requests that cost nothing, as far as the vendor includes some in a month.
    #[serde(default)]
    pub included_requests: u64,
    /// The price of a GB (1,000,000,000 bytes) that is moved.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub traffic_gb: f64,
    /// The price of a GB that is kept for a month, in all sinks together.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub storage_gb_month: f64,
}

/// The cost of an export.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// The currency.
    pub currency: String,
    /// The requests beyond those that are included.
    pub requests: CostItem,
    /// The bytes that are moved, in GB.
    pub traffic: CostItem,
    /// Requests and traffic, once.
    pub once: f64,
    /// The bytes that are kept, in GB, each month.
    pub storage: CostItem,
}

/// A quantity and its price.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CostItem {
    /// How much.
    pub quantity: f64,
    /// The price of `per` of it.
    pub price: f64,
    /// See `price`.
    pub per: u32,
    /// `quantity / per * price`.
    pub amount: f64,
}

impl CostItem {
    fn new(quantity: f64, price: f64, per: u32) -> Self {
        CostItem {
            quantity,
            price,
            per,
            amount: quantity / f64::from(per) * price,
        }
    }
}

impl Prices {
    /// The cost of an export; all of its requests count for one month.
    #[must_use]
    pub fn cost(&self, plan: &Plan) -> Cost {
        let total = &plan.total;
        let billed = total.requests.saturating_sub(self.included_requests);
        let gb = total.bytes as f64 / GB;
        let requests = CostItem::new(billed as f64, self.thousand_requests, 1000);
        let traffic = CostItem::new(gb, self.traffic_gb, 1);
        Cost {
            currency: self.currency.clone(),
            once: requests.amount + traffic.amount,
            requests,
            traffic,
            storage: CostItem::new(gb, self.storage_gb_month, 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::DayEstimate;

    #[test]
    fn requests_are_paid_beyond_those_included_and_bytes_by_the_gb() {
        let plan = Plan {
            total: DayEstimate {
                requests: 12_500,
                bytes: 40_000_000_000,
                ..DayEstimate::default()
            },
            ..Plan::default()
        };
        let prices = Prices {
            currency: "EUR".into(),
            thousand_requests: 0.5,
            included_requests: 10_000,
            traffic_gb: 0.1,
            storage_gb_month: 0.02,
        };
        let cost = prices.cost(&plan);
        assert!((cost.requests.amount - 1.25).abs() < 1e-9);
        assert!((cost.once - 5.25).abs() < 1e-9);
        assert!((cost.storage.amount - 0.8).abs() < 1e-9);
        let within = Prices {
            included_requests: 20_000,
            ..prices
        };
        assert!(within.cost(&plan).requests.amount.abs() < 1e-9);
    }
}
