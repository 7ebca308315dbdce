//! The vendor's request limit is used, and not run into.

use std::time::Duration;

use genesys_simulator::Settings;

use crate::support::{Harness, export};

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_conversations_take_few_calls_and_no_storm_of_429s() {
    let harness = Harness::start(Settings {
        conversations: 10_000,
        mean_call: Duration::from_secs(4),
        ..Settings::default()
    })
    .await;
    let summary = export(harness.config()).await;
    assert_eq!(summary.conversations, 10_000);
    let organization = harness.organization();
    let stats = harness.simulator.stats();
    let total: u64 = stats.requests.values().sum::<u64>() - stats.requests["GET media"];
    assert!(
        stats.refused * 100 <= total,
        "{} of {total} requests refused",
        stats.refused
    );
    // A page holds 100 conversations of one day, a batch 100 of those that can have a recording.
    let (from, _) = organization.interval();
    let day = |index| {
        (organization.conversation(index).start - from.as_millisecond() as u64) / 86_400_000
    };
    let mut per_day = [0_u64; 7];
    let mut asked = 0_u64;
    for index in 0..10_000 {
        per_day[day(index) as usize] += 1;
        let conversation = organization.conversation(index);
        let digital = conversation.media != genesys_simulator::MediaType::Voice;
        asked += u64::from(conversation.flagged || digital);
    }
    let pages: u64 = per_day.iter().map(|count| count.div_ceil(100)).sum();
    let fewest = pages + asked.div_ceil(100);
    let made = stats.requests["POST /api/v2/analytics/conversations/details/query"]
        + stats.requests["POST /api/v2/recording/batchrequests"];
    println!(
        "{made} calls besides polls, {fewest} at least; {total} in all, {} refused",
        stats.refused
    );
    assert!(made * 10 <= fewest * 11, "{made} calls, {fewest} at least");
}
