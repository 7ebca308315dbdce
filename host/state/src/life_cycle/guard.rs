//! Triggers that hold a database to the life cycle, made of its stages and transitions.

use rusqlite::Connection;

use super::{Stage, Transition};

/// The columns that determine a stage and its invariant.
const COLUMNS: [&str; 8] = [
    "status", "outcome", "fetch", "segment", "record", "bundle", "lost", "objects",
];

/// The columns in a receipt of a conversation, which stay as long as its stage with a final outcome does.
const FINAL: [&str; 7] = [
    "day", "segment", "record", "outcome", "attempt", "revision", "lost",
];

/// Has the database refuse what the life cycle does not know, with debug assertions: a change from a
/// stage to another that no transition leads to, columns that are of no stage, a change to what is
/// final, and the loss of a conversation.
///
/// The triggers are of this connection alone and leave nothing in the file. A row of an earlier version
/// that was of no stage before the change is not judged.
pub(crate) fn guard(connection: &Connection) -> rusqlite::Result<()> {
    if cfg!(debug_assertions) {
        connection.execute_batch(&triggers())?;
    }
    Ok(())
}

/// The statements that make the triggers.
fn triggers() -> String {
    let (old, new) = (stage_of("OLD"), stage_of("NEW"));
    let (begins, moves) = pairs();
    let finals: Vec<String> = Stage::ALL
        .into_iter()
        .filter(|stage| stage.is_final())
        .map(quoted)
        .collect();
    let finals = finals.join(", ");
    let of = |row: &str| FINAL.map(|column| format!("{row}.{column}")).join(", ");
    let (was, is) = (of("OLD"), of("NEW"));
    format!(
        "CREATE TEMP TRIGGER life_cycle_begins AFTER INSERT ON main.conversation BEGIN
           SELECT RAISE(ABORT, 'life cycle: a conversation cannot begin as ' || ifnull(at, 'no stage: ' || NEW.status))
             FROM (SELECT {new} AS at) WHERE at IS NULL OR at NOT IN ({begins});
         END;
         CREATE TEMP TRIGGER life_cycle_moves AFTER UPDATE ON main.conversation BEGIN
           SELECT RAISE(ABORT, 'life cycle: ' || problem) FROM (SELECT CASE
             WHEN past IS NULL THEN NULL
             WHEN at IS NULL THEN 'a conversation that is ' || past || ' comes to no stage: ' || NEW.status
             WHEN past <> at AND (past, at) NOT IN (VALUES {moves})
               THEN 'a conversation cannot go from ' || past || ' to ' || at
             WHEN past = at AND at IN ({finals}) AND ({was}) IS NOT ({is})
               THEN 'what is final of a conversation changes while it is ' || at
             END AS problem FROM (SELECT {old} AS past, {new} AS at)) WHERE problem IS NOT NULL;
         END;
         CREATE TEMP TRIGGER life_cycle_ends BEFORE DELETE ON main.conversation BEGIN
           SELECT RAISE(ABORT, 'life cycle: a conversation is never forgotten');
         END;"
    )
}

/// The stages in which conversations begin, and the pairs of stages between which they move, as SQL.
fn pairs() -> (String, String) {
    let (mut begins, mut moves) = (Vec::new(), Vec::new());
    for transition in Transition::ALL {
        match transition.ends() {
            (None, to) => begins.push(quoted(to)),
            (Some(from), to) => moves.push(format!("({}, {})", quoted(from), quoted(to))),
        }
    }
    (begins.join(", "), moves.join(", "))
}

/// An expression for the stage of a row of a trigger; null if it is in none.
pub(super) fn stage_of(row: &str) -> String {
    let stages = Stage::ALL.map(|stage| {
        let (condition, invariant) = (stage.condition(), stage.invariant());
        format!("WHEN {condition} AND {invariant} THEN {}", quoted(stage))
    });
    let columns = COLUMNS.map(|column| format!("{row}.{column} AS {column}"));
    let (stages, columns) = (stages.join(" "), columns.join(", "));
    format!("(SELECT CASE {stages} END FROM (SELECT {columns}))")
}

/// The name of a stage as an SQL literal.
fn quoted(stage: Stage) -> String {
    format!("'{stage:?}'")
}
