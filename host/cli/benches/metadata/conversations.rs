//! Conversations for the programs that write rows: the same ones each time.

use std::collections::BTreeMap;

use recording_host_model::{CompletedConversation, ConversationRecord, Object, Outcome};

/// The sink that has their objects.
pub(super) const SINK: &str = "lake";
/// 2026-01-05T00:00:00Z.
const DAY: u64 = 1_767_571_200_000;

/// Spreads numbers evenly (SplitMix64).
fn spread(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn id(number: u64) -> String {
    let (high, low) = (spread(number), spread(!number));
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

/// The conversations of a segment that has `count`, each with so many objects.
pub(super) fn conversations(segment: u64, count: u64, objects: u64) -> Vec<CompletedConversation> {
    let first = segment * count;
    let mut numbers: Vec<u64> = (first..first + count).collect();
    // They are made in the order of their ids, as the queue reads them: how they lie in memory counts.
    numbers.sort_by_cached_key(|number| id(*number));
    let numbers = numbers.into_iter();
    numbers
        .map(|number| conversation(number, objects))
        .collect()
}

fn conversation(number: u64, objects: u64) -> CompletedConversation {
    let random = spread(number);
    let conversation = id(number);
    let named = |what: &str, index: u64| (id(index << 32), Some(format!("{what} {index}")));
    let start = DAY + random % 86_400_000;
    let object = |part: u64| {
        let recording = id(number << 8 | part);
        Object {
            conversation: conversation.clone(),
            key: format!("recordings/2026/01/05/{conversation}/{recording}.ogg"),
            recording,
            member: None,
            content_type: "audio/ogg".to_owned(),
            size: 20_000 + random % 4_000_000,
            sha256: (0..4)
                .map(|n| format!("{:016x}", spread(number << 8 | part << 4 | n)))
                .collect(),
            etag: None,
            stored: None,
            note: None,
            aside: false,
            file: String::new(),
            index_metadata: None,
        }
    };
    let objects = (0..objects).map(object).collect();
    CompletedConversation {
        lost_in: BTreeMap::new(),
        outcome: Outcome::Stored,
        objects: BTreeMap::from([(SINK.to_owned(), objects)]),
        attempt: 1,
        revision: None,
        record: ConversationRecord {
            start,
            end: Some(start + 5_000 + random % 1_800_000),
            direction: Some(["inbound", "outbound"][(random % 2) as usize].to_owned()),
            ani: Some(format!("tel:+4930{:08}", random % 100_000_000)),
            dnis: Some(format!("tel:+4989{:04}", random % 40)),
            agents: (0..1 + random % 2)
                .map(|n| named("Agent", (random >> n) % 3000))
                .collect(),
            queues: vec![named("Queue", random % 60)],
            wrap_up_codes: vec![named("Wrap-up", random % 25)],
            tags: (0..random % 3)
                .map(|n| format!("tag-{}", (random >> n) % 50))
                .collect(),
            divisions: vec![id((random % 5) << 40)],
            division_names: vec![format!("Division {}", random % 5)],
            recorded: true,
            media_types: vec!["voice".to_owned()],
            attributes: BTreeMap::from([
                ("campaign".to_owned(), format!("c-{}", random % 12)),
                (
                    "language".to_owned(),
                    ["de", "en", "fr"][(random % 3) as usize].to_owned(),
                ),
            ]),
            recordings: BTreeMap::new(),
        },
        id: conversation,
    }
}
