//! The cost of an export as arithmetic that can be followed.

use recording_host_engine::plan::{Cost, Plan, Prices};

/// Prints what an export costs, and how that was computed.
pub(super) fn print(cost: &Cost, plan: &Plan, prices: &Prices) {
    let currency = &cost.currency;
    let requests = match prices.included_requests {
        0 => plan.total.requests.to_string(),
        included => format!(
            "({} - {included} included, at least 0)",
            plan.total.requests
        ),
    };
    println!(
        "  cost: requests {requests} / 1000 x {} {currency} = {:.2} {currency}",
        cost.requests.price, cost.requests.amount
    );
    println!(
        "        traffic  {:.3} GB x {} {currency} = {:.2} {currency}; both {:.2} {currency}",
        cost.traffic.quantity, cost.traffic.price, cost.traffic.amount, cost.once
    );
    println!(
        "        storage  {:.3} GB x {} {currency} = {:.2} {currency} a month",
        cost.storage.quantity, cost.storage.price, cost.storage.amount
    );
}
