use recording_host_metadata::restore::{Named, Row};
use recording_host_sink::ObjectMeta;

use super::*;

fn meta(key: &str) -> ObjectMeta {
    ObjectMeta {
        key: key.to_owned(),
        size: 1,
        etag: None,
    }
}

fn row(id: &str, start: &str, ani: &str, agent: &str) -> Row {
    Row {
        conversation_id: id.to_owned(),
        start: start.to_owned(),
        ani: Some(ani.to_owned()),
        agents: vec![Named {
            id: "7".to_owned(),
            name: Some(agent.to_owned()),
        }],
        outcome: "stored".to_owned(),
        size_bytes: Some(10),
        attributes: [("note".to_owned(), "Kündigung of a contract".to_owned())].into(),
        attempt: 1,
        ..Row::default()
    }
}

fn segment(number: u32, replaces: Vec<i64>, rows: Vec<Row>) -> NewSegment {
    NewSegment {
        receipt: meta(&format!("receipts/date=2026-01-05/calls-{number:06}.jsonl")),
        header: Some(recording_host_engine::receipt::ReceiptHeader {
            day: "2026-01-05".to_owned(),
            replaces,
            ..Default::default()
        }),
        rows_key: String::new(),
        rows: Box::new(|take| {
            rows.into_iter().for_each(take);
            Ok(())
        }),
        problem: None,
    }
}

fn filled(segments: Vec<NewSegment>) -> Index {
    let index = Index::in_memory().unwrap();
    for segment in segments {
        index.add(segment).unwrap();
    }
    index.settle().unwrap();
    index
}

fn ids(index: &Index, query: Query) -> Vec<String> {
    let found = index.search(&query).unwrap();
    assert_eq!(found.count, found.hits.len());
    found.hits.into_iter().map(|hit| hit.conversation).collect()
}

fn three() -> Index {
    filled(vec![segment(
        1,
        vec![],
        vec![
            row(
                "a",
                "2026-01-05T08:00:00Z",
                "tel:+15550100199",
                "Ada Moreau",
            ),
            row("b", "2026-01-05T09:00:00Z", "+15550100200", "Björn O'Neil"),
            row("c", "2026-01-05T10:00:00Z", "+4930123", "ada <script>"),
        ],
    )])
}

#[test]
fn a_segment_that_replaces_others_is_never_shown_beside_them() {
    let index = three();
    let again = segment(
        2,
        vec![1],
        vec![row("a", "2026-01-05T08:00:00Z", "1", "Ada")],
    );
    index.add(again).unwrap();
    assert_eq!(ids(&index, Query::default()), ["a"]);
    let at = index.locate("a").unwrap().unwrap();
    assert_eq!(at.receipt, "receipts/date=2026-01-05/calls-000002.jsonl");
    // One that is taken in after what replaces it.
    let before = segment(
        1,
        vec![],
        vec![row("b", "2026-01-05T09:00:00Z", "2", "Ada")],
    );
    index.add(before).unwrap();
    assert_eq!(ids(&index, Query::default()), ["a"]);
}

#[test]
fn a_number_is_found_by_its_first_digits_and_by_all() {
    let index = three();
    let number = |number: &str, exact| Query {
        number: number.to_owned(),
        exact,
        ..Query::default()
    };
    assert_eq!(ids(&index, number("+1 555 0100", false)), ["b", "a"]);
    assert_eq!(ids(&index, number("15550100199", true)), ["a"]);
    assert!(ids(&index, number("1555010019", true)).is_empty());
    let text = |text: &str| Query {
        text: text.to_owned(),
        ..Query::default()
    };
    assert_eq!(ids(&index, text("+49 30")), ["c"]);
}

#[test]
fn names_and_texts_are_found_whatever_their_case() {
    let index = three();
    let agent = |agent: &str| Query {
        agent: agent.to_owned(),
        ..Query::default()
    };
    assert_eq!(ids(&index, agent("ADA")), ["c", "a"]);
    assert_eq!(ids(&index, agent("BJÖRN")), ["b"]);
    assert_eq!(ids(&index, agent("<script>")), ["c"]);
    assert!(ids(&index, agent("%")).is_empty());
    let text = |text: &str| Query {
        text: text.to_owned(),
        ..Query::default()
    };
    assert_eq!(ids(&index, text("kündig contr")), ["c", "b", "a"]);
    assert_eq!(ids(&index, text("moreau")), ["a"]);
    assert!(ids(&index, text("!!")).is_empty());
}

#[test]
fn words_of_every_script_are_found_by_their_beginning() {
    let mut hindi = row("a", "2026-01-05T08:00:00Z", "1", "आदित्य शर्मा");
    hindi.tags = vec!["สวัสดีครับ".to_owned(), "nai\u{308}ve \u{301}".to_owned()];
    let index = filled(vec![segment(1, vec![], vec![hindi])]);
    let text = |text: &str| Query {
        text: text.to_owned(),
        ..Query::default()
    };
    for found in ["आदि", "शर्मा", "आदित्य शर्मा", "สวัสดี", "NAÏVE", "naive"]
    {
        assert_eq!(ids(&index, text(found)), ["a"], "{found}");
    }
    for none in ["शि", "हिन्दी", "aⒶb", "שָׁלוֹם", "\u{301}", "a\0b"] {
        assert!(ids(&index, text(none)).is_empty(), "{none}");
    }
}

#[test]
fn a_name_in_quotes_is_all_of_it_and_a_value_has_as_many_hits_as_it_says() {
    let mut rows = vec![
        row("a", "2026-01-05T08:00:00Z", "1", "Ann"),
        row("b", "2026-01-05T09:00:00Z", "2", "ANN"),
        row("c", "2026-01-05T10:00:00Z", "3", "Anna"),
        row("d", "2026-01-05T11:00:00Z", "4", "\"Q\""),
    ];
    rows[2].content_type = Some("text/plain; charset=utf-8".to_owned());
    rows[3].content_type = Some("text/plain".to_owned());
    let index = filled(vec![segment(1, vec![], rows)]);
    let agent = |agent: &str| Query {
        agent: agent.to_owned(),
        ..Query::default()
    };
    assert_eq!(ids(&index, agent("ann")), ["c", "b", "a"]);
    assert_eq!(ids(&index, agent("\"ann\"")), ["b", "a"]);
    let kind = Query {
        kind: "text/plain".to_owned(),
        ..Query::default()
    };
    assert_eq!(ids(&index, kind), ["d", "c"]);

    let facets = index.facets(&Query::default(), 4).unwrap();
    let of = |field: &str| {
        let facet = facets.iter().find(|facet| facet.field == field).unwrap();
        let values = facet.values.iter();
        let each = values.map(|value| (value.label.as_str(), value.count));
        each.collect::<Vec<_>>()
    };
    assert_eq!(of("agent"), [("Ann", 2), ("\"Q\"", 1), ("Anna", 1)]);
    assert_eq!(of("kind"), [("text/plain", 2)]);
    for value in facets
        .iter()
        .find(|facet| facet.field == "agent")
        .unwrap()
        .values
        .iter()
    {
        let found = ids(&index, agent(&value.value)).len() as u64;
        assert_eq!(found, value.count, "{}", value.value);
    }
}

#[test]
fn orders_and_days_are_obeyed() {
    let index = three();
    let query = |order| Query {
        order,
        ..Query::default()
    };
    assert_eq!(ids(&index, query(Order::Oldest)), ["a", "b", "c"]);
    assert_eq!(ids(&index, query(Order::Newest)), ["c", "b", "a"]);
    let day = |from: &str, to: &str| Query {
        from: from.to_owned(),
        to: to.to_owned(),
        ..Query::default()
    };
    assert_eq!(ids(&index, day("2026-01-05", "2026-01-05")).len(), 3);
    assert!(ids(&index, day("2026-01-06", "")).is_empty());
    assert!(ids(&index, day("", "2026-01-04")).is_empty());
    // Later than any key.
    assert_eq!(ids(&index, day("2026-01-05", "2300-01-01")).len(), 3);
    assert!(ids(&index, day("2300-01-01", "")).is_empty());
}

#[test]
fn the_highest_attempt_counts_and_replaced_segments_do_not() {
    let first = row("a", "2026-01-05T08:00:00Z", "+1", "Ada");
    let mut failed = first.clone();
    failed.outcome = "failed".to_owned();
    failed.reason = Some("archived: it is in cold storage".to_owned());
    failed.size_bytes = None;
    let mut later = first.clone();
    later.attempt = 2;
    for segments in [
        vec![
            segment(1, vec![], vec![failed.clone()]),
            segment(2, vec![], vec![later.clone()]),
        ],
        vec![
            segment(2, vec![], vec![later.clone()]),
            segment(1, vec![], vec![failed.clone()]),
        ],
        vec![
            segment(1, vec![], vec![failed.clone()]),
            segment(2, vec![1], vec![later.clone()]),
        ],
        vec![
            segment(2, vec![1], vec![first.clone()]),
            segment(1, vec![], vec![failed]),
        ],
    ] {
        let index = filled(segments);
        assert_eq!(ids(&index, Query::default()), ["a"]);
        let overview = index.overview().unwrap();
        assert_eq!(overview.totals(), (1, 1, 10, 0));
        assert!(overview.losses.is_empty());
    }
}

#[test]
fn what_is_taken_out_leaves_nothing_behind() {
    let index = three();
    index
        .remove(&["receipts/date=2026-01-05/calls-000001.jsonl".to_owned()])
        .unwrap();
    assert!(ids(&index, Query::default()).is_empty());
    assert_eq!(index.overview().unwrap().totals(), (0, 0, 0, 0));
    let connection = index.connection();
    for table in ["name", "has", "rec", "file"] {
        let count = format!("SELECT count(*) FROM {table}");
        let count: i64 = connection.query_row(&count, [], |row| row.get(0)).unwrap();
        assert_eq!(count, 0, "{table}");
    }
}

#[test]
fn many_rows_are_written_in_batches_and_numbered_in_the_order_of_their_file() {
    let rows = (0..4500).rev().map(|at| {
        let start = format!("2026-01-05T{:02}:{:02}:00Z", at % 24, at % 60);
        row(&format!("c{}", at / 2), &start, "+15550100199", "Ada")
    });
    let index = filled(vec![segment(1, vec![], rows.collect())]);
    let asked = |text: &str| Query {
        text: text.to_owned(),
        ..Query::default()
    };
    for text in ["", "kündig", "1555"] {
        let found = index.search(&asked(text)).unwrap();
        assert_eq!(found.count, 4500, "{text}");
        let starts: Vec<i64> = found.hits.iter().map(|hit| hit.start_ms).collect();
        assert!(starts.is_sorted_by(|one, next| one >= next), "{text}");
    }
    let mut numbers = std::collections::BTreeMap::<String, Vec<u32>>::new();
    for skip in (0..4500).step_by(50) {
        let page = Query {
            skip,
            ..asked("kündig contract")
        };
        for hit in index.search(&page).unwrap().hits {
            numbers.entry(hit.conversation).or_default().push(hit.n);
        }
    }
    assert_eq!(numbers.len(), 2250);
    assert!(numbers.values_mut().all(|each| {
        each.sort_unstable();
        *each == [0, 1]
    }));
}

#[test]
fn a_file_of_rows_that_breaks_off_is_named_and_what_came_before_is_there() {
    let one = segment(1, vec![], Vec::new());
    let broken = NewSegment {
        rows: Box::new(|take| {
            take(row("a", "2026-01-05T08:00:00Z", "+15550100199", "Ada"));
            Err(crate::PageError::Missing("the rest".to_owned()))
        }),
        ..one
    };
    let index = filled(vec![broken]);
    assert_eq!(ids(&index, Query::default()), ["a"]);
    let problems = index.overview().unwrap().problems;
    assert!(problems[0].1.contains("the rest"), "{problems:?}");
}
