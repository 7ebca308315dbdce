#!/usr/bin/env python3
"""Exports as many simulated conversations as it is told, in fast time, and prints what each costs: processor time, memory,
the queue's bytes; then how long `status`, `verify` and `reconcile` take, and a resumption after a kill.

tests/benchmarks/README.md says how to read it."""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

# How fast time runs: the request limit is not what is measured here.
SPEED = 20
# The first of the days is the 2026-01-05: no conversation may begin in the future.
MOST_DAYS = 300
# Tables of the queue are listed that have at least as many bytes for each conversation.
LISTED = 1


@contextlib.contextmanager
def simulator(program, conversations, days, recorded, folder):
    """A simulated contact center: its configuration, and the variable that names its clock."""
    command = [program, "simulate", "--listen", "127.0.0.1:0", "--conversations", str(conversations), "--seed", "90",
               "--days", str(days), "--recorded", str(recorded), "--speed", str(SPEED)]
    with open(folder / "simulator.log", "wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        lines = []
        for line in process.stdout:
            if line.startswith("# serving"):
                break
            lines.append(line)
        variable = next(line.split()[-1] for line in lines if "SIMULATED_CLOCK=" in line)
        yield "".join(lines), dict([variable.split("=", 1)])
    finally:
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        process.wait()


class Export:
    """An export of all of that to a folder."""

    def __init__(self, program, folder, configuration, clock, media):
        self.program, self.folder = program, folder
        self.environment = {**os.environ, **clock, "XDG_CACHE_HOME": str(folder.parent / "cache")}
        # In so fast a time a busy machine is too slow for the usual ones.
        own = "media: [voice]\n      job_timeout_seconds: 86400" if media else "mode: metadata_only\n      search: job"
        path = folder / "config.yaml"
        path.write_text(configuration.replace("      dialect:", f"      {own}\n      dialect:"))
        self.config = str(path)

    def start(self, name, *arguments):
        with open(self.folder / f"{name}.out", "wb") as out, open(self.folder / f"{name}.err", "wb") as err:
            return subprocess.Popen([self.program, name, "--config", self.config, *arguments], cwd=self.folder,
                                    env=self.environment, stdout=out, stderr=err)

    def command(self, name, *arguments):
        """Wall time, processor time, peak in MiB of a command from its start to its end."""
        began = time.monotonic()
        process = self.start(name, *arguments)
        _, status, usage = os.wait4(process.pid, 0)
        code = process.returncode = os.waitstatus_to_exitcode(status)
        if code not in (0, 3):
            raise SystemExit(f"{name} ended with {code}:\n{(self.folder / f'{name}.err').read_text()[-2000:]}")
        return time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024

    def summary(self):
        return json.loads((self.folder / "run.out").read_text())["sources"]["simulated"]

    def queue(self):
        return next((self.folder / "simulated-data").glob("*.sqlite"), None)

    def found(self):
        """How many conversations the queue has."""
        path = self.queue()
        if path is None:
            return 0
        try:
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
                row = connection.execute("SELECT value FROM counted WHERE name = 'conversations'").fetchone()
                return row[0] if row else 0
        except sqlite3.OperationalError:
            return 0


def tables(path, conversations):
    """The bytes of each table and index for each conversation, largest first."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = path.stat().st_size
        unused = connection.execute("SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size").fetchone()[0]
        try:
            rows = connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC").fetchall()
        except sqlite3.OperationalError:
            rows = []
    rows = [(name, bytes_ / conversations) for name, bytes_ in [*rows, ("(free pages)", unused)]]
    return size / conversations, [(name, each) for name, each in rows if each >= LISTED]


def resumption(export, conversations):
    """Kills a run when half of it is found: how long the next one takes until it has found more."""
    process = export.start("run", "--json")
    while export.found() < conversations // 2:
        if process.poll() is not None:
            return None
        time.sleep(0.02)
    process.kill()
    process.wait()
    before, began = export.found(), time.monotonic()
    process = export.start("run", "--json")
    while export.found() <= before:
        time.sleep(0.02)
    took = time.monotonic() - began
    process.kill()
    process.wait()
    return took


def warm(program, base):
    """Has the component compiled, which counts for nothing."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="scale-warm-", dir=base))
    with simulator(program, 100, 1, 0.01, folder) as (configuration, clock):
        Export(program, folder, configuration, clock, False).command("run")
    shutil.rmtree(folder)


def measured(arguments, conversations, media, base):
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"scale-{conversations}-", dir=base))
    days = min(MOST_DAYS, max(1, conversations * 90 // 1_000_000)) if arguments.days is None else arguments.days
    with simulator(arguments.program, conversations, days, 0.01, folder) as (configuration, clock):
        export = Export(arguments.program, folder, configuration, clock, media)
        resumed = resumption(export, conversations) if arguments.kill else None
        if resumed is not None:
            shutil.rmtree(folder / "simulated-data")
            shutil.rmtree(folder / "simulated-recordings")
        wall, cpu, peak = export.command("run", "--json")
        count = export.summary()["conversations"]
        each, largest = tables(export.queue(), count)
        files = [path.stat().st_size for path in (folder / "simulated-recordings").rglob("*") if path.is_file()]
        print(f"| {count:,}{', media of 1 %' if media else ''} | {wall:.0f} | {cpu / count * 1e6:.0f} | {peak:.0f} | {each:.0f} "
              f"| {len(files):,}, {sum(files) / count:.0f} |", end="", flush=True)
        for name in ["status", "verify", "reconcile"]:
            wall, cpu, peak = export.command(name)
            print(f" {wall:.2f}, {cpu:.2f}, {peak:.0f} |", end="", flush=True)
        print(f" {resumed:.1f} |" if resumed is not None else " |", flush=True)
    if arguments.tables:
        print("\n| In the queue | Bytes a conversation |\n|---|---|")
        for name, bytes_ in largest:
            print(f"| {name} | {bytes_:.0f} |")
        print()
    if not arguments.keep:
        shutil.rmtree(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("conversations", type=int, nargs="+", help="how many; a row for each number")
    parser.add_argument("--media", action="store_true", help="with the recordings of one in a hundred, not metadata alone")
    parser.add_argument("--days", type=int, help="over how many days; default: 90 for a million, and as many of a day else, up to 300")
    parser.add_argument("--kill", action="store_true", help="first kill a run halfway, and time the next one")
    parser.add_argument("--tables", action="store_true", help="print the tables of the queue")
    parser.add_argument("--keep", action="store_true", help="leave what was written")
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where to write; 1.6 GB for a million")
    arguments = parser.parse_args()
    arguments.program = str(pathlib.Path(arguments.program).resolve())
    base = pathlib.Path(arguments.folder).resolve()
    base.mkdir(parents=True, exist_ok=True)
    warm(arguments.program, base)
    print("| Conversations | Run: s | CPU µs each | Peak MiB | Queue bytes each | Files, bytes each "
          "| `status`: s, CPU s, MiB | `verify`: the same | `reconcile`: the same | Resumed after s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for conversations in arguments.conversations:
        measured(arguments, conversations, arguments.media, base)


if __name__ == "__main__":
    sys.exit(main())
