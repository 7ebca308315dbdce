use std::collections::BTreeMap;

use rusqlite::Connection;

use super::{Version, create, migrate, shrink, version};

/// The columns of each table, and each index, as SQLite knows them.
fn shape(connection: &Connection) -> BTreeMap<String, Vec<String>> {
    let mut names = connection
        .prepare("SELECT type, name, ifnull(sql, '') FROM sqlite_master ORDER BY name")
        .unwrap();
    let mut shape = BTreeMap::new();
    let items = names.query_map([], |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, String>(2)?,
        ))
    });
    for item in items.unwrap() {
        let (of, name, sql) = item.unwrap();
        let parts = if of == "table" {
            let mut columns: Vec<String> = connection
                .prepare(
                    "SELECT name || ' ' || type || ' ' || \"notnull\" FROM pragma_table_info(?1)",
                )
                .unwrap()
                .query_map([&name], |row| row.get(0))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            // A column that was added later stands last.
            columns.sort();
            columns
        } else {
            // Spelled as it was created, with other quotes where something was renamed.
            let sql = sql.replace('"', "");
            vec![sql.split_whitespace().collect::<Vec<_>>().join(" ")]
        };
        shape.insert(format!("{of} {name}"), parts);
    }
    shape
}

#[test]
fn a_queue_of_version_2_gets_the_tables_of_a_new_one_and_keeps_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("calls.sqlite");
    let mut earlier = Connection::open(&path).unwrap();
    earlier
        .execute_batch(include_str!("version-2.sql"))
        .unwrap();
    earlier
        .execute_batch(
            r#"INSERT INTO conversation (id, day, start, recorded, status, due, attempt, passing, extent, grown)
               VALUES ('c', '2026-01-05', 1, 1, 'found', 0, 1, 1, 2, 3);
             INSERT INTO conversation (id, day, start, recorded, record, outcome, status, segment, due, attempt, passing)
               VALUES ('d', '2026-01-05', 1, 1, '{"n":1}', '{}', 'settled', NULL, 0, 1, 0),
                      ('e', '2026-01-05', 1, 1, '{"n":2}', '{}', 'closing', 1, 0, 1, 0),
                      ('f', '2026-01-05', 1, 1, '{"n":3}', '{}', 'kept', 2, 0, 1, 0),
                      ('g', '2026-01-05', 1, 1, NULL, '{}', 'filed', 3, 0, 1, 0);
             INSERT INTO object (sink, key, member, conversation, recording, content_type, size, sha256, told)
               VALUES ('s', 'k', '', 'c', 'r', 'audio/ogg', 1, '', '{}');
             INSERT INTO owed (sink, artifact, split) VALUES ('s', 'a', 'x');
             INSERT INTO outdated VALUES (7, '2026-01-05');
             INSERT INTO alike VALUES ('d', '2026-01-05', 'stored', 1, 1, 1, 9);"#,
        )
        .unwrap();
    assert_eq!(version(&earlier).unwrap(), Version::Earlier(2));
    migrate(&mut earlier, &path, 2).unwrap();
    assert_eq!(version(&earlier).unwrap(), Version::Current);
    let mut new = Connection::open_in_memory().unwrap();
    create(&mut new).unwrap();
    assert_eq!(shape(&earlier), shape(&new));
    let kept: String = earlier
        .query_row(
            "SELECT concat_ws(' ', retryable, revision, newer_revision,
               (SELECT index_metadata FROM object), (SELECT artifact FROM backlog),
               (SELECT segment FROM stale_segment), (SELECT revision FROM alike),
               (SELECT group_concat(text, ' ' ORDER BY id) FROM conversation JOIN record ON number = record),
               (SELECT group_concat(status, ' ' ORDER BY id) FROM conversation)) FROM conversation WHERE id = 'c'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(
        kept,
        "1 2 3 {} a 7 9 {\"n\":1} {\"n\":2} {\"n\":3} found completed sealed compactable filed"
    );
    let path = folder.path().join("calls.sqlite.v2");
    let copy = Connection::open(&path).unwrap();
    assert_eq!(version(&copy).unwrap(), Version::Earlier(2));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "it has personal data");
    }
}

#[test]
fn a_queue_that_was_not_shortened_when_it_was_brought_up_to_date_is_the_next_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("calls.sqlite");
    let mut connection = Connection::open(&path).unwrap();
    create(&mut connection).unwrap();
    let mode = |connection: &Connection| -> i64 {
        connection
            .pragma_query_value(None, "auto_vacuum", |row| row.get(0))
            .unwrap()
    };
    assert_eq!(mode(&connection), 0);
    shrink(&connection).unwrap();
    assert_eq!(mode(&connection), 2);
    // Nothing is rewritten once it is so.
    let before = std::fs::metadata(&path).unwrap().modified().unwrap();
    shrink(&connection).unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().modified().unwrap(),
        before
    );
}

#[test]
fn an_upgrade_without_room_to_shorten_the_queue_is_one_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("calls.sqlite");
    let mut connection = Connection::open(&path).unwrap();
    create(&mut connection).unwrap();
    let pages: i64 = connection
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .unwrap();
    connection
        .pragma_update(None, "max_page_count", pages)
        .unwrap();
    // A page more is needed for the list of what each page is for.
    shrink(&connection).unwrap();
    let mode: i64 = connection
        .pragma_query_value(None, "auto_vacuum", |row| row.get(0))
        .unwrap();
    assert_eq!((mode, version(&connection).unwrap()), (0, Version::Current));
}
