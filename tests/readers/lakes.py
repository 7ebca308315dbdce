"""Reads a month of rows as Parquet with what reads lakes: DataFusion, Delta Lake (its own conversion of a folder
of Parquet) and Iceberg (`add_files`), and prints what each found.

Usage: lakes.py FOLDER. The conversion writes a log into the folder with the rows, so it is of a copy; Iceberg's
catalog is in a temporary folder. Files are read where they are, none is written anew.
"""

import json
import pathlib
import shutil
import sys
import tempfile

import datafusion
import deltalake
import pyarrow
import pyarrow.parquet
from pyiceberg.catalog.sql import SqlCatalog


def summed(table):
    """What rows come to."""
    rows = table.to_pylist()

    def present(name):
        return sum(row[name] is not None for row in rows)

    return {
        "rows": len(rows),
        "recordings": present("recording_id"),
        "reasons": present("reason"),
        "ended": present("ended_at"),
        "bytes": sum(row["size_bytes"] or 0 for row in rows),
        "agents": sum(len(row["agents"]) for row in rows),
        "tags": sum(len(row["tags"]) for row in rows),
        "attributes": sum(len(row["attributes"]) for row in rows),
        "started_ms": sum(round(row["start"].timestamp() * 1000) for row in rows),
    }


def by_datafusion(folder):
    context = datafusion.SessionContext()
    days = [("date", pyarrow.string())]
    context.register_parquet("recordings", str(folder), table_partition_cols=days)
    return summed(context.sql("SELECT * FROM recordings").to_arrow_table())


def by_delta(folder, work):
    copy = work / "delta"
    shutil.copytree(folder, copy)
    days = deltalake.Schema([deltalake.Field("date", "string")])
    deltalake.convert_to_deltalake(str(copy), partition_by=days, partition_strategy="hive")
    return summed(deltalake.DeltaTable(str(copy)).to_pyarrow_table())


def by_iceberg(files, work):
    places = {"uri": f"sqlite:///{work}/catalog.db", "warehouse": f"file://{work}/warehouse"}
    catalog = SqlCatalog("lake", **places)
    catalog.create_namespace("calls")
    schema = pyarrow.parquet.read_schema(files[0])
    table = catalog.create_table("calls.recordings", schema=schema)
    table.add_files([str(file) for file in files])
    return summed(table.scan().to_arrow())


def main():
    folder = pathlib.Path(sys.argv[1]) / "metadata"
    files = sorted(folder.glob("*/*.parquet"))
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        found = {
            "datafusion": by_datafusion(folder),
            "deltalake": by_delta(folder, work),
            "pyiceberg": by_iceberg(files, work),
        }
    print(json.dumps(found))


main()
