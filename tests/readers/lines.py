"""Reads a month of rows as JSON Lines with DuckDB, Polars, PyArrow and pandas, and prints what each found.

Usage: lines.py FOLDER SCHEMAS. SCHEMAS has what `schema --rows` prints: duckdb.sql, parquet.sql, polars.py,
pyarrow.py, schema.json, athena-*.sql, trino-*.sql. DuckDB, Polars and PyArrow read all days at once by these, and day by day
without any; pandas knows no schema. Types must be the same in all of these ways, and no field of `attributes` may
contain an id. The DDL must be SQL of its dialect.
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

TEXTS = ["conversation_id", "recording_id", "outcome", "reason", "direction", "ani"]
ID = re.compile(r"[0-9a-f]{8}-")


def expect(what, found, expected):
    if found != expected:
        raise SystemExit(f"{what}: {found}, not {expected}")


def present(value):
    """A value that is there; pandas writes NaN for none."""
    return value is not None and value == value


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
    # The month has days on which nothing is lost, and days on which something is.
    lost = {any(present(json.loads(line)["reason"]) for line in path.read_text().splitlines()) for path in files}
    expect("days without losses and with", lost, {True, False})

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
    guessed |= {"conversation_id": "UUID", "recording_id": "UUID"}
    bare = f"""CREATE VIEW recordings AS SELECT * FROM
        read_json('{root}/metadata/*/*.jsonl', union_by_name = true, sample_size = -1)"""
    found["duckdb without a schema"] = by_duckdb(bare, guessed)

    schema = named(text["polars.py"], "rows")
    frame = polars.scan_ndjson(files, schema=schema).collect()
    expect("polars", frame.schema["reason"], polars.String)
    found["polars"] = summed(frame.to_dicts())
    days = [polars.read_ndjson(path, infer_schema_length=None) for path in files]
    joined = polars.concat(days, how="diagonal_relaxed")
    for name in TEXTS:
        expect(f"polars {name}", joined.schema[name], polars.String)
    found["polars without a schema"] = summed(joined.to_dicts())

    schema = named(text["pyarrow.py"], "rows")
    dataset = pyarrow.dataset.dataset(files, format="json", schema=schema)
    found["pyarrow"] = summed(dataset.to_table().to_pylist())
    days = [pyarrow.json.read_json(path) for path in files]
    joined = pyarrow.concat_tables(days, promote_options="permissive")
    for name in TEXTS:
        expect(f"pyarrow {name}", joined.schema.field(name).type, pyarrow.string())
    found["pyarrow without a schema"] = summed(joined.to_pylist())

    days = [pandas.read_json(path, lines=True, dtype=False) for path in files]
    found["pandas"] = summed(pandas.concat(days).to_dict("records"))
    print(json.dumps(found))


main()
