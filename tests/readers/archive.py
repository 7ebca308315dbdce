"""Reads an archive's rows and catalog with DuckDB, PyArrow and Polars, and prints what each found.

Usage: archive.py FOLDER. Fails where a column has not the type that docs/metadata.md promises, or
where a key is there twice. The days come from the folders' names, by each reader's own reading of
Hive partitions.
"""

import collections
import json
import pathlib
import sys

import duckdb
import polars
import pyarrow
import pyarrow.dataset

KEY = ["conversation_id", "recording_id", "object_key", "archive_member", "attempt"]
SUMS = ["size_bytes", "duration_ms", "attempt"]
LISTS = ["agents", "queues", "wrap_up_codes", "tags"]


def expect(what, found, expected):
    if found != expected:
        raise SystemExit(f"{what}: {found}, not {expected}")


def by_duckdb(root):
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'")

    def table(name):
        files = f"{root}/{name}/*/*.parquet"
        return f"read_parquet('{files}', hive_partitioning = true)"

    rows = table("metadata")
    types = {name: kind for name, kind, *_ in database.sql(f"DESCRIBE FROM {rows}").fetchall()}
    party = "STRUCT(id VARCHAR, \"name\" VARCHAR)[]"
    for name, kind in {
        "conversation_id": "VARCHAR",
        "size_bytes": "BIGINT",
        "start": "TIMESTAMP WITH TIME ZONE",
        "end": "TIMESTAMP WITH TIME ZONE",
        "duration_ms": "BIGINT",
        "tags": "VARCHAR[]",
        "attributes": "MAP(VARCHAR, VARCHAR)",
        "attempt": "INTEGER",
        "date": "DATE",
    }.items():
        expect(f"duckdb {name}", types[name], kind)
    for name in ["agents", "queues", "wrap_up_codes"]:
        expect(f"duckdb {name}", types[name].replace('"', ""), party.replace('"', ""))

    def one(sql):
        return database.sql(f"SELECT {sql} FROM {rows}").fetchall()[0][0]

    def counts(column):
        sql = f"SELECT {column}::VARCHAR, count(*) FROM {rows} GROUP BY ALL"
        return dict(database.sql(sql).fetchall())

    metadata = {
        "rows": one("count(*)"),
        "keys": one(f"count(DISTINCT ({', '.join(KEY)}))"),
        "start_ms": int(one('sum(epoch_ms("start"))')),
        "end_ms": int(one('sum(epoch_ms("end"))')),
        "agent_names": one("list_sort(list_distinct(flatten(list(list_transform(agents, lambda a: a.name)))))"),
        "attributes": int(one("sum(cardinality(attributes))")),
        "outcomes": counts("outcome"),
        "days": counts("date"),
    }
    metadata |= {name: int(one(f"sum({name})")) for name in SUMS}
    metadata |= {name: int(one(f"sum(len({name}))")) for name in LISTS}
    catalog = database.sql(
        f"""SELECT count(DISTINCT conversation_id), sum(object_count), sum(bytes),
            sum(list_sum(list_transform(objects, lambda o: o.size_bytes))) FROM {table("catalog")}"""
    ).fetchall()[0]
    return metadata, [int(number) for number in catalog]


def summed(rows):
    """What rows as dictionaries come to."""
    names = {agent["name"] for row in rows for agent in row["agents"]} - {None}
    metadata = {
        "rows": len(rows),
        "keys": len({tuple(row[name] for name in KEY) for row in rows}),
        "agent_names": sorted(names),
        "attributes": sum(len(row["attributes"]) for row in rows),
        "outcomes": dict(collections.Counter(row["outcome"] for row in rows)),
        "days": dict(collections.Counter(str(row["date"]) for row in rows)),
    }
    metadata |= {name: sum(row[name] or 0 for row in rows) for name in SUMS}
    metadata |= {name: sum(len(row[name]) for row in rows) for name in LISTS}
    for name in ["start", "end"]:
        instants = [row[name] for row in rows if row[name] is not None]
        metadata[f"{name}_ms"] = sum(round(at.timestamp() * 1000) for at in instants)
    return metadata


def entries(rows):
    """What the catalog's rows come to."""
    sizes = [known["size_bytes"] for row in rows for known in row["objects"]]
    return [
        len({row["conversation_id"] for row in rows}),
        sum(row["object_count"] for row in rows),
        sum(row["bytes"] for row in rows),
        sum(sizes),
    ]


def by_pyarrow(root):
    def table(name):
        return pyarrow.dataset.dataset(root / name, format="parquet", partitioning="hive")

    rows = table("metadata")
    text, number = pyarrow.string(), pyarrow.int64()
    element = pyarrow.field("element", text, nullable=False)
    party = pyarrow.struct([pyarrow.field("id", text, nullable=False), ("name", text)])
    parties = pyarrow.list_(pyarrow.field("element", party, nullable=False))
    for name, kind in {
        "conversation_id": text,
        "size_bytes": number,
        "start": pyarrow.timestamp("ms", "UTC"),
        "end": pyarrow.timestamp("ms", "UTC"),
        "duration_ms": number,
        "agents": parties,
        "queues": parties,
        "wrap_up_codes": parties,
        "tags": pyarrow.list_(element),
        "attributes": pyarrow.map_(text, text),
        "attempt": pyarrow.int32(),
    }.items():
        expect(f"pyarrow {name}", rows.schema.field(name).type, kind)
    for name in ["conversation_id", "outcome", "start", "agents", "attempt"]:
        expect(f"pyarrow {name} nullable", rows.schema.field(name).nullable, False)
    # Statistics leave out row groups: a day that is not there costs no reading of rows.
    none = pyarrow.dataset.field("conversation_id") == "no such conversation"
    expect("pyarrow filter", rows.to_table(filter=none).num_rows, 0)
    return summed(rows.to_table().to_pylist()), entries(table("catalog").to_table().to_pylist())


def by_polars(root):
    def table(name):
        return polars.scan_parquet(root / name / "*/*.parquet", hive_partitioning=True)

    rows = table("metadata")
    party = polars.List(polars.Struct({"id": polars.String, "name": polars.String}))
    schema = rows.collect_schema()
    for name, kind in {
        "conversation_id": polars.String,
        "size_bytes": polars.Int64,
        "start": polars.Datetime("ms", "UTC"),
        "end": polars.Datetime("ms", "UTC"),
        "duration_ms": polars.Int64,
        "agents": party,
        "queues": party,
        "wrap_up_codes": party,
        "tags": polars.List(polars.String),
        "attempt": polars.Int32,
        "date": polars.Date,
    }.items():
        expect(f"polars {name}", schema[name], kind)
    return summed(rows.collect().to_dicts()), entries(table("catalog").collect().to_dicts())


def main():
    root = pathlib.Path(sys.argv[1])
    found = {}
    for reader in [by_duckdb, by_pyarrow, by_polars]:
        metadata, catalog = reader(root)
        expect(f"{reader.__name__} keys", metadata["keys"], metadata["rows"])
        names = ["conversations", "objects", "bytes", "object_bytes"]
        found[reader.__name__.removeprefix("by_")] = {
            "metadata": metadata,
            "catalog": dict(zip(names, catalog)),
        }
    print(json.dumps(found))


main()
