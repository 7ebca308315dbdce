use recording_host_model::StoredArtifact;

use super::*;

fn progress(stored: u64) -> Event {
    Event::Progress(Progress {
        conversations: 1000,
        counted: Some(2000),
        fetched: stored + 50,
        stored,
        filed: BTreeMap::from([("stored".to_owned(), 100)]),
        ..Progress::default()
    })
}

fn text(line: &DisplayLine) -> String {
    match line {
        DisplayLine::Text(text) => text.clone(),
        DisplayLine::Bar { before, after, .. } => format!("{before}|{}", after.trim_end()),
    }
}

fn shown(board: &mut Board, now: Instant, columns: u16) -> Vec<String> {
    board.lines(now, columns).iter().map(text).collect()
}

#[test]
fn each_stage_is_measured_by_what_the_source_counts() {
    let began = Instant::now();
    let mut board = Board::new(began);
    board.add("calls");
    board.take("calls", &progress(400), began);
    board.lines(began, 80);
    let now = began + Duration::from_secs(10);
    board.take("calls", &progress(600), now);
    assert_eq!(
        shown(&mut board, now, 80),
        [
            "calls  discovered|1,000 of 2,000",
            "       fetched   |  650 of 2,000  32%",
            "       stored    |  600 of 2,000  20/s ETA 70 s",
            "       committed |  100 of 2,000  5%",
            "waits: 350 conversations to be fetched, 550 to be filed",
            "0 bytes at 0 bytes/s  API 0  lost 0  10 s",
        ]
    );
    assert_eq!(
        shown(&mut board, now, 50)[2],
        "       stored    |  600 of 2,000"
    );
}

#[test]
fn what_is_waited_for_is_named_and_counted_down() {
    let began = Instant::now();
    let mut board = Board::new(began);
    board.add("calls");
    let activity = Activity {
        jobs: 3,
        oldest_job_millis: Some(41_000),
        paused_millis: Some(15_000),
        ..Activity::default()
    };
    board.take("calls", &Event::Activity(activity), began);
    let sink = || "nas".to_owned();
    board.take("calls", &Event::SinkUnavailable { sink: sink() }, began);
    let waits = |board: &mut Board, now| {
        let lines = shown(board, now, 80);
        lines[lines.len() - 2].clone()
    };
    assert_eq!(
        waits(&mut board, began + Duration::from_secs(3)),
        "waits: calls for its rate limit, 12 s more; calls for sink nas; 3 vendor jobs, the oldest 44 s"
    );
    let back = Event::SinkAvailable {
        sink: sink(),
        backlog: 212,
    };
    board.take("calls", &back, began);
    let later = began + Duration::from_secs(15);
    assert_eq!(
        waits(&mut board, later),
        "waits: 3 vendor jobs, the oldest 56 s"
    );
    let totals = shown(&mut board, later, 80).pop().unwrap();
    assert!(totals.contains("backlog nas 212"), "{totals}");
    let request = |status| Event::Request {
        kind: "window".to_owned(),
        method: "GET",
        status,
        millis: 5,
    };
    board.take("calls", &Event::Activity(Activity::default()), later);
    board.take("calls", &request(None), later);
    assert_eq!(
        waits(&mut board, later),
        "waits: calls for an answer of its source"
    );
    board.take("calls", &request(Some(503)), later);
    assert_eq!(waits(&mut board, later), "waits: for nothing");
    let activity = Activity {
        splits: 2,
        ..Activity::default()
    };
    board.take("calls", &Event::Activity(activity), later);
    assert_eq!(waits(&mut board, later), "waits: for a search");
}

#[test]
fn losses_are_told_by_reason_and_warnings_hold_no_control_characters() {
    let began = Instant::now();
    let mut board = Board::new(began);
    board.add("calls");
    for code in ["archived", "deleted", "archived"] {
        let code = code.to_owned();
        board.take("calls", &Event::RecordingsLost { code, count: 1 }, began);
    }
    let text = "look\x1b[31m".to_owned();
    board.take("calls", &Event::Warning { text }, began);
    let above = board.above(began);
    assert_eq!(
        above,
        [
            "calls: warning: look\\u{1b}[31m",
            "calls: unavailable: 2 archived, 1 deleted"
        ]
    );
    let code = "archived".to_owned();
    board.take("calls", &Event::RecordingsLost { code, count: 1 }, began);
    assert!(board.above(began).is_empty(), "told once a second at most");
    assert_eq!(
        board.end("calls"),
        ["calls: unavailable: 1 archived"],
        "nothing is left untold"
    );
}

#[test]
fn many_sources_have_a_line_each_and_what_has_ended_still_counts() {
    let now = Instant::now();
    let mut board = Board::new(now);
    for name in ["a", "b", "c", "d"] {
        board.add(name);
        board.take(name, &progress(10), now);
        let stored = StoredArtifact {
            objects: 1,
            bytes: 1000,
        };
        let stored = BTreeMap::from([("lake".to_owned(), stored)]);
        board.take(name, &Event::ArtifactStored { stored }, now);
    }
    assert_eq!(shown(&mut board, now, 80).len(), 4 + 2);
    board.end("a");
    // It begins once more, after a reload.
    board.add("a");
    let lines = shown(&mut board, now, 80);
    assert!(lines[5].starts_with("4.0 kB at"), "{lines:?}");
}

#[test]
fn what_is_examined_stands_alone_until_the_export_goes_on() {
    let now = Instant::now();
    let mut board = Board::new(now);
    board.add("lake");
    let examined = |total| Event::Examined {
        subject: "objects listed",
        done: 1500,
        total,
    };
    board.take("lake", &examined(Some(3000)), now);
    assert_eq!(
        shown(&mut board, now, 80)[0],
        "lake  objects listed|1,500 of 3,000"
    );
    board.take("lake", &examined(None), now);
    assert_eq!(shown(&mut board, now, 80)[0], "lake  objects listed: 1,500");
    board.take("lake", &progress(1), now);
    assert_eq!(shown(&mut board, now, 80).len(), 4 + 2);
}
