"""Reads a month of rows as JSON Lines with DuckDB, Polars, PyArrow and pandas, and prints what each found.

Usage: lines.py FOLDER SCHEMAS. SCHEMAS has what `schema --rows` prints: duckdb.sql, parquet.sql, polars.py,
pyarrow.py, schema.json, athena-*.sql, trino-*.sql. DuckDB, Polars and PyArrow read all days at once by these and without
any, and day by day; pandas knows no schema. The types of texts must be the same on each day and in all of these ways,
and no field of `attributes` may contain an id. The DDL must be SQL of its dialect.
"""

import json
import pathlib
import re
import sys

import duckdb
import jsonschema
import pandas
import polars
import pyarrow
import pyarrow.dataset
import pyarrow.json
import sqlglot

TEXTS = ["conversation_id", "recording_id", "object_key", "archive_member", "content_type", "sha256", "outcome"]
TEXTS += ["reason", "direction", "ani", "dnis"]
LISTS = ["agents", "queues", "wrap_up_codes", "tags", "divisions", "media_types", "division_names"]
ID = re.compile(r"[0-9a-f]{8}-")


def expect(what, found, expected):
    if found != expected:
        raise SystemExit(f"{what}: {found}, not {expected}")


def present(value):
    """A value that is there; pandas writes NaN for none, and a text that is absent is empty."""
    return value not in (None, "") and value == value


def summed(rows):
    """What rows as dictionaries come to."""
    for row in rows:
        attributes = row["attributes"]
        names = attributes if isinstance(attributes, (dict, list)) else {}
        names = [name[0] if isinstance(name, tuple) else name for name in names]
        expect("ids in names of attributes", [name for name in names if ID.search(name)], [])
    return {
        "rows": len(rows),
        "recordings": sum(present(row["recording_id"]) for row in rows),
        "reasons": sum(present(row["reason"]) for row in rows),
        "ended": sum(present(row["ended_at"]) for row in rows),
        "bytes": int(sum(row["size_bytes"] for row in rows if present(row["size_bytes"]))),
        "agents": sum(len(row["agents"]) for row in rows),
        "tags": sum(len(row["tags"]) for row in rows),
    }


def by_duckdb(view, types):
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'")
    database.execute(view)
    table = database.sql("SELECT * FROM recordings")
    found = dict(zip(table.columns, map(str, table.types)))
    for name, kind in types.items():
        expect(f"duckdb {name}", found[name], kind)
    rows = [dict(zip(table.columns, row)) for row in table.fetchall()]
    return summed(rows)


def named(script, name):
    scope = {}
    exec(script, scope)
    return scope[name]


def main():
    root, schemas = map(pathlib.Path, sys.argv[1:3])
    files = sorted((root / "metadata").glob("*/*.jsonl"))
    text = {path.name: path.read_text() for path in schemas.iterdir()}
    validator = jsonschema.Draft202012Validator(json.loads(text["schema.json"]))
    for path in files:
        for line in path.read_text().splitlines():
            for error in validator.iter_errors(json.loads(line)):
                raise SystemExit(f"{path}: {error.message}")
    for name, sql in text.items():
        if name.startswith(("athena", "trino")):
            sqlglot.parse_one(sql, dialect=name.split("-")[0])
    found = {}
    rows = {path: [json.loads(line) for line in path.read_text().splitlines()] for path in files}
    for path, day in rows.items():
        expect(f"nulls in {path}", [name for row in day for name in TEXTS if row[name] is None], [])
    # The month has days on which nothing is lost, and days on which something is. One of the first sort comes
    # first here, since readers take the types from there; one with an element in each list, which shows its type.
    lossy = {path for path in files if any(row["reason"] for row in rows[path])}
    shows = {path for path in files if all(any(row[name] for row in rows[path]) for name in LISTS)}
    files.sort(key=lambda path: (path in lossy or path not in shows, path in lossy))
    expect("a day without losses is first, and others follow", (files[0] in shows - lossy, bool(lossy)), (True, True))

    types = {name: "VARCHAR" for name in TEXTS} | {
        "size_bytes": "BIGINT",
        "ended_at": "TIMESTAMP WITH TIME ZONE",
        "tags": "VARCHAR[]",
        "attributes": "MAP(VARCHAR, VARCHAR)",
        "date": "DATE",
    }
    found["duckdb"] = by_duckdb(text["duckdb.sql"], types)
    guessed = {name: "VARCHAR" for name in TEXTS} | {"size_bytes": "BIGINT", "tags": "VARCHAR[]"}
    # It takes texts of that form for ids of its own type, on every day.
    guessed |= {"conversation_id": "UUID"}
    bare = f"""CREATE VIEW recordings AS SELECT * FROM
        read_json('{root}/metadata/*/*.jsonl', union_by_name = true, sample_size = -1)"""
    found["duckdb without a schema"] = by_duckdb(bare, guessed)

    schema = named(text["polars.py"], "rows")
    frame = polars.scan_ndjson(files, schema=schema).collect()
    expect("polars", frame.schema["reason"], polars.String)
    found["polars"] = summed(frame.to_dicts())
    days = [polars.read_ndjson(path, infer_schema_length=None) for path in files]
    for name in TEXTS:
        expect(f"polars {name}", {day.schema[name] for day in days}, {polars.String})
    joined = polars.concat(days, how="diagonal_relaxed")
    found["polars by day"] = summed(joined.to_dicts())
    found["polars without a schema"] = summed(polars.scan_ndjson(files).collect().to_dicts())

    schema = named(text["pyarrow.py"], "rows")
    dataset = pyarrow.dataset.dataset(files, format="json", schema=schema)
    found["pyarrow"] = summed(dataset.to_table().to_pylist())
    days = [pyarrow.json.read_json(path) for path in files]
    for name in TEXTS:
        expect(f"pyarrow {name}", {day.schema.field(name).type for day in days}, {pyarrow.string()})
    joined = pyarrow.concat_tables(days, promote_options="permissive")
    found["pyarrow by day"] = summed(joined.to_pylist())
    found["pyarrow without a schema"] = summed(pyarrow.dataset.dataset(files, format="json").to_table().to_pylist())

    days = [pandas.read_json(path, lines=True, dtype=False) for path in files]
    found["pandas"] = summed(pandas.concat(days).to_dict("records"))
    print(json.dumps(found))


main()
