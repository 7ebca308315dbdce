use recording_host_model::{Container, Download, RecordingKey};

use super::*;

fn key(name: &str) -> ArtifactKey {
    ArtifactKey::Recording(RecordingKey {
        conversation: "c".to_owned(),
        recording: name.to_owned(),
        part: 0,
    })
}

fn text(name: &str) -> String {
    key(name).to_text()
}

fn link(name: &str) -> PendingArtifact {
    let artifact = Artifact {
        key: key(name),
        download: Download {
            url: "https://media.test".to_owned(),
            headers: Vec::new(),
            authenticated: false,
            expires: None,
        },
        content_type: None,
        container: Container::Single,
        size: None,
        sha256: None,
    };
    PendingArtifact::new(artifact, "fetch-1", vec![0])
}

#[test]
fn an_artifact_is_downloaded_once_at_a_time() {
    let mut links = PendingArtifacts::default();
    links.add(link("a"));
    links.add(link("a"));
    assert_eq!(links.waiting(), 1);
    let taken = links.take(|_| true).unwrap();
    links.add(link("a"));
    assert_eq!(links.waiting(), 0);
    links.put_back(taken);
    assert_eq!(links.waiting(), 1);
    links.take(|_| true);
    links.written(&[text("a")]);
    links.add(link("a"));
    assert_eq!(links.waiting(), 1);
}

#[test]
fn one_that_no_sink_wants_is_not_downloaded() {
    let mut links = PendingArtifacts::default();
    links.add(PendingArtifact {
        to: Vec::new(),
        ..link("a")
    });
    assert_eq!(links.waiting(), 0);
}

#[test]
fn a_fresh_link_is_asked_for_a_few_times_and_anew_once_one_has_served() {
    let mut links = PendingArtifacts::default();
    for _ in 0..REFRESHES {
        assert!(links.refresh("fetch-1", &text("a")));
    }
    assert!(!links.refresh("fetch-1", &text("a")));
    links.served(&text("a"));
    assert!(links.refresh("fetch-1", &text("a")));
}

#[test]
fn a_link_whose_origin_fails_is_tried_later_a_few_times_and_anew_once_one_has_served() {
    let mut links = PendingArtifacts::default();
    links.add(link("a"));
    let mut taken = links.take(|_| true).unwrap();
    let mut now = 1000;
    for wait in WAITS {
        assert!(links.put_off(taken, now).is_none());
        assert_eq!((links.next_due(), links.waiting()), (Some(now + wait), 1));
        links.resume(now + wait - 1);
        assert!(links.take(|_| true).is_none());
        links.shift(500);
        now += wait + 500;
        links.resume(now);
        taken = links.take(|_| true).unwrap();
    }
    taken = links.put_off(taken, now).unwrap();
    links.served(&text("a"));
    assert!(links.put_off(taken, now).is_none());
    links.keep(|_| false);
    links.resume(u64::MAX);
    assert_eq!(links.waiting(), 0);
    links.add(link("a"));
    assert_eq!(links.waiting(), 1);
}

#[test]
fn a_split_is_asked_when_it_may_be_and_until_its_state_has_it() {
    let mut links = PendingArtifacts::default();
    assert_eq!(
        links.want("fetch-1", vec![text("a"), text("a"), text("b")]),
        2
    );
    assert!(links.take_refreshes(8, |_| false).is_empty());
    assert!(links.take_refreshes(0, |_| true).is_empty());
    assert_eq!(links.take_refreshes(8, |_| true), ["fetch-1"]);
    assert!(!links.any_stale());
    assert_eq!(
        links.input("fetch-1"),
        SplitInput::Refresh(vec![key("a"), key("b")])
    );
    links.committed("fetch-1");
    assert_eq!(links.input("fetch-1"), SplitInput::Resume);
    links.obtained("fetch-1", &text("a"));
    assert_eq!(links.done("fetch-1"), [text("b")]);
    assert!(links.done("fetch-1").is_empty());
}

#[test]
fn what_is_on_its_way_is_neither_wanted_again_nor_lost_with_its_split() {
    let mut links = PendingArtifacts::new(BTreeMap::from([(
        "fetch-1".to_owned(),
        vec![text("a"), text("b")],
    )]));
    links.add(link("a"));
    assert_eq!(links.want("fetch-2", vec![text("a")]), 0);
    assert_eq!(links.abandon("fetch-1"), [text("b")]);
    assert!(!links.any_stale());
}

#[test]
fn what_may_not_begin_holds_nothing_else_up() {
    let mut links = PendingArtifacts::default();
    links.add(PendingArtifact {
        split: "other".to_owned(),
        ..link("a")
    });
    links.add(link("b"));
    let next = links.take(|split| split != "other").unwrap();
    assert_eq!(next.artifact.key, key("b"));
    assert!(links.take(|split| split != "other").is_none());
    assert_eq!(links.take(|_| true).unwrap().artifact.key, key("a"));
}

#[test]
fn an_object_gives_way_once_in_each_sink() {
    let mut links = PendingArtifacts::default();
    assert!(!links.gave_way(0, "key"));
    links.give_way(0, "key");
    assert!(links.gave_way(0, "key") && !links.gave_way(1, "key"));
}
