//! Each way to change an archive is found, and named for what it is, also by a forger who makes the
//! header of a receipt count what he has changed.

use std::collections::BTreeMap;

use recording_host_engine::verify::{Difference, VerifyOptions, verify_with};
use recording_host_sink::filesystem::Filesystem;

use super::archive::{Archive, FIRST, Form, SECOND};

pub(super) type Change = fn(&Archive);

/// Fails unless a change is found as such by quick and by full verification.
async fn is_found(name: &str, archive: Archive, change: Change, expected: &[Difference]) {
    assert_eq!(archive.findings(true).await, [], "{name}: before");
    change(&archive);
    for full in [false, true] {
        let found = archive.findings(full).await;
        for difference in expected {
            let of_it = found.iter().any(|one| one.difference == *difference);
            assert!(of_it, "{name}: no {difference:?} in {found:#?}");
        }
    }
}

/// Fails unless a change is found in archives of all forms.
pub(super) async fn in_all(name: &str, change: Change, expected: &[Difference]) {
    for form in [Form::Lines, Form::Columns, Form::Encrypted] {
        let named = format!("{name} ({form:?})");
        is_found(&named, Archive::new(form).await, change, expected).await;
    }
}

/// Removes, repeats, swaps or alters text without regard to the header.
fn lines(archive: &Archive, key: &str, change: impl FnOnce(&mut Vec<String>)) {
    let text = archive.text(key);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    archive.write(key, text);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_a_receipt_that_were_removed_or_added_are_found() {
    use Difference::{Entries, Receipt, Repeated, Rows};
    let changes: [(&str, Change, &[Difference]); 7] = [
        (
            "removed",
            |it| lines(it, FIRST, |all| drop(all.remove(3))),
            &[Entries, Rows],
        ),
        (
            "the last one removed",
            |it| lines(it, FIRST, |all| drop(all.pop())),
            &[Entries, Rows],
        ),
        (
            "twice",
            |it| lines(it, FIRST, |all| all.push(all[2].clone())),
            &[Entries, Repeated],
        ),
        (
            "in another order",
            |it| lines(it, FIRST, |all| all.swap(2, 3)),
            &[Entries],
        ),
        (
            "torn",
            |it| lines(it, FIRST, |all| all[4].truncate(40)),
            &[Entries, Receipt],
        ),
        (
            "removed and counted",
            |it| it.forge(FIRST, |all| drop(all.remove(1))),
            &[Rows],
        ),
        (
            "twice and counted",
            |it| it.forge(FIRST, |all| all.push(all[1].clone())),
            &[Repeated],
        ),
    ];
    for (name, change, expected) in changes {
        in_all(name, change, expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_secret_the_header_tells_that_lines_were_changed() {
    let archive = Archive::new(Form::Encrypted).await;
    lines(&archive, FIRST, |all| drop(all.remove(3)));
    archive.replace(
        SECOND,
        "\"outcome\":\"failed\",\"code\":\"left-out\"",
        "\"outcome\":\"no-recording\"",
    );
    let sink = Filesystem::new(archive.path(""));
    let report = verify_with(&sink, VerifyOptions::default()).await.unwrap();
    let findings = report.findings.iter();
    let found: Vec<_> = findings
        .map(|one| (one.difference, one.key.as_str()))
        .collect();
    assert!(found.contains(&(Difference::Entries, FIRST)), "{found:?}");
    assert!(found.contains(&(Difference::Entries, SECOND)), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_outcome_than_in_the_rows_is_found() {
    let changes: [(&str, Change); 10] = [
        ("failed to no-recording", |it| {
            it.forge_one(FIRST, "0-failed", |one| {
                (one.outcome, one.code, one.message) = ("no-recording".into(), None, None);
            });
        }),
        ("only the word", |it| {
            it.forge_one(FIRST, "0-failed", |one| one.outcome = "no-recording".into());
        }),
        ("partial to stored", |it| {
            it.forge_one(FIRST, "0-partial", |one| {
                (one.outcome, one.missing) = ("stored".into(), None);
            });
        }),
        ("stored to partial", |it| {
            it.forge_one(FIRST, "0-other", |one| one.outcome = "partial".into());
        }),
        ("no-recording to skipped", |it| {
            it.forge_one(FIRST, "0-none", |one| one.outcome = "skipped".into());
        }),
        ("a loss less", |it| {
            it.forge_one(FIRST, "0-partial", |one| {
                one.missing.as_mut().unwrap()[1].0 = "x".into()
            });
        }),
        ("another code", |it| {
            it.forge_one(FIRST, "0-failed", |one| one.code = Some("deleted".into()));
        }),
        ("another reason", |it| {
            it.forge_one(FIRST, "0-skipped", |one| {
                one.reason = Some("no audio".into())
            });
        }),
        ("another attempt", |it| {
            it.forge_one(FIRST, "0-both", |one| one.attempt = 2)
        }),
        ("a word of nobody", |it| {
            it.forge_one(FIRST, "0-none", |one| one.outcome = "fine".into())
        }),
    ];
    for (name, change) in changes {
        in_all(name, change, &[Difference::Outcome]).await;
    }
    // Receipts of version 1 do not say what their lines add up to: the rows do.
    let archive = Archive::new(Form::Lines).await;
    archive.age(FIRST);
    let change: Change = |it| {
        it.replace(FIRST, "\"outcome\":\"partial\"", "\"outcome\":\"stored\"");
    };
    is_found("version 1", archive, change, &[Difference::Outcome]).await;
    let archive = Archive::new(Form::Columns).await;
    archive.age(FIRST);
    let removed: Change = |it| lines(it, FIRST, |all| drop(all.remove(1)));
    is_found(
        "version 1, removed",
        archive,
        removed,
        &[Difference::Entries],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_not_those_of_the_receipt_are_found() {
    use Difference::{Content, Outcome, Receipt, Rows};
    let changes: [(&str, Change, &[Difference]); 9] = [
        (
            "removed",
            |it| lines(it, ROWS, |all| drop(all.remove(2))),
            &[Content, Rows],
        ),
        (
            "added",
            |it| lines(it, ROWS, |all| all.push(all[2].clone())),
            &[Content, Rows],
        ),
        (
            "one letter",
            |it| it.replace(ROWS, "left-out: it is", "left-out: it IS"),
            &[Content, Outcome],
        ),
        (
            "removed and named",
            |it| it.forge_rows(FIRST, |all| drop(all.remove(0))),
            &[Rows],
        ),
        (
            "twice and named",
            |it| it.forge_rows(FIRST, |all| all.push(all[0].clone())),
            &[Rows, Receipt],
        ),
        (
            "of a stranger",
            |it| {
                it.forge_rows(FIRST, |all| all.push(all[0].replace("0-both", "stranger")));
            },
            &[Rows],
        ),
        (
            "another outcome",
            |it| {
                it.forge_rows(FIRST, |all| {
                    for row in all.iter_mut() {
                        *row = row.replace("\"failed\"", "\"no-recording\"");
                    }
                });
            },
            &[Outcome],
        ),
        (
            "another digest",
            |it| {
                it.forge_rows(FIRST, |all| {
                    all[0] = all[0].replace("\"sha256\":\"", "\"sha256\":\"0")
                });
            },
            &[Receipt],
        ),
        (
            "another recording",
            |it| {
                it.forge_rows(FIRST, |all| all[0] = all[0].replace("\"r0\"", "\"r7\""));
            },
            &[Receipt],
        ),
    ];
    for (name, change, expected) in changes {
        is_found(name, Archive::new(Form::Lines).await, change, expected).await;
    }
}

const ROWS: &str = "metadata/date=2026-01-05/calls-000001.jsonl";

#[tokio::test(flavor = "multi_thread")]
async fn one_object_of_two_conversations_is_found() {
    let changes: [(&str, Change); 3] = [
        ("in one receipt", |it| {
            let (_, told) = it.receipt(FIRST);
            let both = told
                .iter()
                .find(|one| one.conversation_id == "0-both")
                .unwrap();
            let object = both.objects[0].clone();
            it.forge_one(FIRST, "0-other", |one| one.objects[0] = object);
        }),
        ("in two receipts", |it| {
            let (_, told) = it.receipt(FIRST);
            let both = told
                .iter()
                .find(|one| one.conversation_id == "0-both")
                .unwrap();
            let object = both.objects[0].clone();
            it.forge_one(SECOND, "1-none", |one| one.objects.push(object));
        }),
        ("aside", |it| {
            let (_, told) = it.receipt(FIRST);
            let page = told
                .iter()
                .find(|one| one.conversation_id == "0-page")
                .unwrap();
            let object = page.aside[0].clone();
            it.forge_one(SECOND, "1-failed", |one| one.aside.push(object));
        }),
    ];
    for (name, change) in changes {
        in_all(name, change, &[Difference::SharedKey]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_that_are_not_where_they_belong_are_found() {
    use Difference::{Entries, Misplaced, Receipt, Repeated, SameSegment};
    let changes: [(&str, Change, &[Difference]); 9] = [
        (
            "another number",
            |it| it.replace(FIRST, "\"segment\":1", "\"segment\":8"),
            &[Misplaced],
        ),
        (
            "another day",
            |it| it.replace(FIRST, "\"day\":\"2026-01-05\"", "\"day\":\"2026-01-06\""),
            &[Misplaced],
        ),
        (
            "another export",
            |it| it.replace(FIRST, "\"export\":\"calls\"", "\"export\":\"mails\""),
            &[Misplaced],
        ),
        (
            "the number of another one",
            |it| it.replace(FIRST, "\"segment\":1", "\"segment\":2"),
            &[Misplaced, SameSegment],
        ),
        (
            "copied to another day",
            |it| {
                it.write(
                    "receipts/date=2026-01-07/calls-000001.jsonl",
                    it.read(FIRST),
                );
            },
            &[Misplaced, SameSegment, Repeated],
        ),
        (
            "copied to another number",
            |it| {
                it.write(
                    "receipts/date=2026-01-05/calls-000003.jsonl",
                    it.read(FIRST),
                );
            },
            &[Misplaced, SameSegment, Repeated],
        ),
        (
            "other counts",
            |it| it.replace(FIRST, "\"skipped\":1", "\"skipped\":2"),
            &[Entries],
        ),
        (
            "another count",
            |it| it.replace(FIRST, "\"conversations\":7", "\"conversations\":8"),
            &[Entries],
        ),
        (
            "no header",
            |it| lines(it, FIRST, |all| drop(all.remove(0))),
            &[Receipt],
        ),
    ];
    for (name, change, expected) in changes {
        in_all(name, change, expected).await;
    }
    let moved: Change = |it| {
        let (_, told) = it.receipt(FIRST);
        it.forge(SECOND, |all| all.push(told[1].clone()));
    };
    in_all("a line in two receipts", moved, &[Repeated]).await;
}

#[test]
fn each_difference_has_a_word_of_its_own_and_says_what_to_do() {
    let all = [
        Difference::Missing,
        Difference::Size,
        Difference::Content,
        Difference::Unexpected,
        Difference::Receipt,
        Difference::Entries,
        Difference::Repeated,
        Difference::Outcome,
        Difference::Rows,
        Difference::SharedKey,
        Difference::Misplaced,
        Difference::SameSegment,
        Difference::Doubled,
        Difference::Gap,
    ];
    let words: BTreeMap<&str, Difference> = all.iter().map(|one| (one.word(), *one)).collect();
    assert_eq!(words.len(), all.len());
    for (word, difference) in words {
        assert_eq!(serde_json::to_value(difference).unwrap(), word);
        let advice = difference.advice();
        assert!(
            advice.contains("`run --") || advice.contains("remove"),
            "{word}"
        );
    }
}
