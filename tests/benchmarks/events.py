#!/usr/bin/env python3
"""Measures which share of the processor time of the row `2,000 x 100 KB -> S3` events and those who hear of them take:
the log, metrics that are scraped each second, and health. It needs `perf` and a program with symbols:

CARGO_PROFILE_DIST_STRIP=false CARGO_PROFILE_DIST_DEBUG=1 cargo build --profile dist
"""

import argparse
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request

from contestants import Ours, Task, environment, need
from servers import Servers, nginx

LISTEN = "127.0.0.1:19464"
# Making and handing on an event, all subscribers, and the server of metrics and health.
OURS = re.compile(r"recording_host_observe::|recording_host_model::event|recording_host_engine::run::event_of"
                  r"|recording_host::(terminal|control|notify)|prometheus_client")


def scrape(ended):
    while not ended.wait(1):
        for path in ["metrics", "healthz", "readyz"]:
            try:
                urllib.request.urlopen(f"http://{LISTEN}/{path}", timeout=5).read()
            except (urllib.error.URLError, ConnectionError):
                pass


def share(recorded):
    """The samples, and the share of those that are of events."""
    command = ["perf", "script", "--no-inline", "-i", recorded, "-F", "comm,tid,ip,sym"]
    samples = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n\n")
    samples = [sample for sample in samples if "\n" in sample.strip()]
    if not any("recording_host_engine" in sample for sample in samples):
        raise SystemExit("the program has no symbols: build it as the first lines of this file say")
    return len(samples), sum(1 for sample in samples if OURS.search(sample)) / len(samples)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--component", required=True, help="the component of component/examples/csv")
    parser.add_argument("--folder", required=True, help="where recordings and caches lie")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    perf = need("perf", "PERF")
    base = pathlib.Path(arguments.folder).resolve()
    base.mkdir(parents=True, exist_ok=True)
    servers, ended = Servers(base, nginx()), threading.Event()
    threading.Thread(target=scrape, args=[ended], daemon=True).start()
    shares = []
    try:
        ours = Ours(arguments.program, pathlib.Path(arguments.component).resolve(), base / "cache")
        # The first one compiles the component, and counts for nothing.
        for number in range(arguments.rounds + 1):
            folder = pathlib.Path(tempfile.mkdtemp(dir=base))
            command, own = ours.command(Task(servers, "plain", "100 KB", "s3", folder))
            command += ["--metrics-listen", LISTEN, "--log-format", "json"]
            recorded = str(folder / "perf.data")
            record = [perf, "record", "-F", "1999", "--call-graph", "dwarf,16384", "-o", recorded, "--"]
            subprocess.run([*record, *command], env=environment(own), capture_output=True, check=True)
            count, part = share(recorded)
            shutil.rmtree(folder)
            if number:
                shares.append(part)
                print(f"round {number}: {count} samples, events {part:.2%}", file=sys.stderr)
    finally:
        ended.set()
        servers.stop()
    print(f"events, log, metrics and health: {statistics.median(shares):.2%} of the processor time (median of {len(shares)})")


if __name__ == "__main__":
    main()
