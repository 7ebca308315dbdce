"""Reads the media of a sink with the layout `hive`, and the metadata beside them, with DuckDB and
PyArrow, and prints what each found.

Usage: hive.py FOLDER, the organization's. Year, month, day, hour and conversation come from the
folders' names, by each reader's own reading of Hive partitions; they must agree with the metadata.
"""

import collections
import json
import pathlib
import sys

import duckdb
import pyarrow
import pyarrow.dataset

BESIDE = "_metadata.json"


def expect(what, found, expected):
    if found != expected:
        raise SystemExit(f"{what}: {found}, not {expected}")


def summed(metadata, media):
    """What the metadata, and partitions and sizes of the media, come to."""
    for row in metadata:
        expect("conversation", row["conversation_id"], row["conversationId"])
        began = f"{row['year']}-{row['month']:02}-{row['day']:02}T{row['hour']:02}:"
        expect("partition", began, row["startTime"][: len(began)])
    hours = collections.Counter(f"{m['year']}-{m['month']}-{m['day']}-{m['hour']}" for m in media)
    expect("files with metadata", len(metadata), len(media))
    return {
        "files": len(media),
        "bytes": sum(one["size"] for one in media),
        "duration_ms": sum(row["durationMs"] or 0 for row in metadata),
        "conversations": sorted({one["conversation_id"] for one in media}),
        "hours": dict(sorted(hours.items())),
    }


def by_duckdb(root):
    database = duckdb.connect()

    def rows(sql):
        found = database.sql(sql)
        return [dict(zip(found.columns, row)) for row in found.fetchall()]

    metadata = rows(
        f"""SELECT year, month, day, hour, conversation_id::VARCHAR AS conversation_id,
            conversationId::VARCHAR AS conversationId, startTime, durationMs
            FROM read_json('{root}/**/*{BESIDE}', hive_partitioning = true,
            columns = {{conversationId: 'VARCHAR', startTime: 'VARCHAR', durationMs: 'BIGINT'}})"""
    )
    # This one finds partitions by itself.
    media = rows(
        f"""SELECT year, month, day, hour, conversation_id::VARCHAR AS conversation_id, size
            FROM read_blob('{root}/**')
            WHERE NOT ends_with(filename, '{BESIDE}')"""
    )
    return summed(metadata, media)


def by_pyarrow(root):
    names = ["year", "month", "day", "hour"]
    keys = pyarrow.schema([(name, pyarrow.int32()) for name in names])
    keys = keys.append(pyarrow.field("conversation_id", pyarrow.string()))
    partitioning = pyarrow.dataset.partitioning(keys, flavor="hive")
    paths = [path for path in sorted(root.rglob("*")) if path.is_file()]
    beside = [str(path) for path in paths if path.name.endswith(BESIDE)]
    text = {name: pyarrow.string() for name in ["conversationId", "startTime"]}
    columns = pyarrow.schema(text | {"durationMs": pyarrow.int64()})
    columns = pyarrow.unify_schemas([columns, keys])
    metadata = pyarrow.dataset.dataset(
        beside, format="json", schema=columns, partitioning=partitioning
    )
    media = []
    for path in paths:
        if path.name.endswith(BESIDE):
            continue
        folder = path.parent.relative_to(root)
        found = pyarrow.dataset.get_partition_keys(partitioning.parse(f"{folder}/"))
        media.append(found | {"size": path.stat().st_size})
    return summed(metadata.to_table().to_pylist(), media)


def main():
    root = pathlib.Path(sys.argv[1])
    print(json.dumps({"duckdb": by_duckdb(root), "pyarrow": by_pyarrow(root)}))


main()
