#!/usr/bin/env python3
"""Measures `browse` with a large archive: makes one of rows and receipts alone, and prints how long its index and each
question took, and how much memory the program had.

Usage: page.py PROGRAM [CONVERSATIONS] [FOLDER]. Without a number it is 1,000,000. In a folder that is named, archive and
index stay and are used again the next time; without, they are in a temporary one.
"""

import contextlib
import datetime
import hashlib
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
import uuid

SEGMENT = 10_000
WORDS = "invoice contract refund delivery address complaint renewal claim payment meter tariff router".split()


def conversation(numbers, at):
    """A row of a conversation that began then."""
    number = f"+1555{numbers.randrange(10**7):07}"
    agent = numbers.randrange(2000)
    stamp = at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    end = (at + datetime.timedelta(seconds=numbers.randrange(30, 1200))).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    ids = [str(uuid.UUID(int=numbers.getrandbits(128))) for _ in range(2)]
    return {
        "conversation_id": ids[0], "recording_id": ids[1], "object_key": f"recordings/{ids[0]}/{ids[1]}.ogg",
        "archive_member": None, "content_type": "audio/ogg", "size_bytes": 1_000_000, "sha256": f"{numbers.getrandbits(256):064x}",
        "outcome": "stored", "reason": None, "start": stamp, "end": end, "duration_ms": 60_000,
        "direction": numbers.choice(["inbound", "outbound"]), "ani": f"tel:{number}", "dnis": "tel:+18005550132",
        "agents": [{"id": str(agent), "name": f"Agent {agent:04}"}],
        "queues": [{"id": str(agent % 40), "name": f"Queue {agent % 40}"}],
        "wrap_up_codes": [{"id": str(agent % 25), "name": f"Code {agent % 25}"}],
        "tags": [], "divisions": ["Home"], "media_types": ["audio"],
        "attributes": {"note": " ".join(numbers.choices(WORDS, k=6)), "case": str(numbers.randrange(10**6))},
        "attempt": 1, "ended_at": end,
    }


def make(folder, conversations):
    """An archive of as many conversations, a day for each segment."""
    numbers = random.Random(7)
    first = datetime.datetime(2020, 1, 1)
    row = None
    for segment in range(-(-conversations // SEGMENT)):
        day = first + datetime.timedelta(days=segment)
        count = min(SEGMENT, conversations - segment * SEGMENT)
        seconds = sorted(numbers.randrange(86_400) for _ in range(count))
        rows = [conversation(numbers, day + datetime.timedelta(seconds=second)) for second in seconds]
        name = f"date={day:%Y-%m-%d}/calls-{segment + 1:06}"
        metadata = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows).encode()
        entries = "".join(
            json.dumps({
                "conversation_id": row["conversation_id"], "outcome": "stored", "attempt": 1,
                "objects": [{"recording": row["recording_id"], "key": row["object_key"], "content_type": "audio/ogg",
                             "size": row["size_bytes"], "sha256": row["sha256"]}],
            }, separators=(",", ":")) + "\n" for row in rows).encode()
        header = {
            "receipt": 2, "export": "calls", "segment": segment + 1, "day": f"{day:%Y-%m-%d}", "conversations": count,
            "outcomes": {"stored": count}, "entries_sha256": hashlib.sha256(entries).hexdigest(),
            "metadata": {"key": f"metadata/{name}.jsonl", "size": len(metadata), "sha256": hashlib.sha256(metadata).hexdigest()},
        }
        for key, data in ((f"metadata/{name}.jsonl", metadata), (f"receipts/{name}.jsonl", json.dumps(header).encode() + b"\n" + entries)):
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        row = rows[len(rows) // 2]
    return row


def memory(process, field):
    """Kilobytes of a process, of a field of its status."""
    return int(re.search(rf"{field}:\s+(\d+) kB", pathlib.Path(f"/proc/{process.pid}/status").read_text())[1])


def main():
    program = sys.argv[1]
    conversations = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    with contextlib.nullcontext(sys.argv[3]) if len(sys.argv) > 3 else tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        archive, sought = folder / "archive", folder / "sought.json"
        if not sought.exists():
            sought.write_text(json.dumps(make(archive, conversations)))
        row = json.loads(sought.read_text())
        cache = ["--cache", str(folder / "cache")]
        page = subprocess.Popen([program, "browse", str(archive), "--listen", "127.0.0.1:0", *cache], stdout=subprocess.PIPE, text=True)
        try:
            for line in page.stdout:
                if line.startswith("index:"):
                    print(line.strip())
                    print(f"memory, at most while indexing: {memory(page, 'VmHWM') // 1000} MB")
                if line.startswith("open "):
                    url = line.split()[1].rstrip("/")
                    break
            number = re.sub(r"\D", "", row["ani"])
            day = row["start"][:10]
            questions = [
                ("overview", "/", None), ("recordings, newest", "/recordings", None), ("a day", f"/day/{day}", None),
                ("number, all digits", "/recordings", {"number": number, "exact": "1"}),
                ("number, 9 digits", "/recordings", {"number": number[:9]}), ("number, 5 digits", "/recordings", {"number": number[:5]}),
                ("part of an agent's name", "/recordings", {"agent": "gent 00"}), ("an agent", "/recordings", {"agent": row["agents"][0]["name"]}),
                ("queue and a week", "/recordings", {"queue": "Queue 7", "from": day, "to": day}),
                ("a frequent word", "/recordings", {"q": "invoice"}), ("two words", "/recordings", {"q": "invoice meter"}),
                ("a rare word", "/recordings", {"q": row["attributes"]["case"]}), ("longest first", "/recordings", {"order": "longest"}),
                # What SQLite could answer slowly: a filter that leaves little of much, and orders that are not that of time.
                ("longest of a queue", "/recordings", {"queue": "Queue 7", "order": "longest"}),
                ("largest, outbound, a frequent word", "/recordings", {"q": "invoice", "direction": "outbound", "order": "largest"}),
                ("a frequent word and an agent", "/recordings", {"q": "invoice", "agent": row["agents"][0]["name"]}),
                ("a frequent word on the first day", "/recordings", {"q": "invoice", "from": "2020-01-01", "to": "2020-01-01"}),
                ("a frequent word, oldest first", "/recordings", {"q": "invoice", "order": "oldest"}),
                ("a frequent word and a number", "/recordings", {"q": "invoice", "number": number, "exact": "1"}),
                ("an agent and a queue that never meet", "/recordings", {"agent": "Agent 0001", "queue": "Queue 2"}),
                ("a queue, a wrap-up code, outbound", "/recordings", {"queue": "Queue 7", "wrap_up": "Code 7", "direction": "outbound"}),
                ("three digits that all numbers have", "/recordings", {"q": "155", "order": "longest"}),
                ("three digits that no number has", "/recordings", {"q": "999"}),
                ("a word that nobody says", "/recordings", {"q": "zebra"}), ("no such outcome", "/recordings", {"outcome": "failed"}),
                ("page 200", "/recordings", {"skip": "9950"}), ("page 200 of a frequent word", "/recordings", {"q": "invoice", "skip": "9950"}),
                ("all, narrowed down", "/recordings", {"facets": "1"}), ("a frequent word, narrowed down", "/recordings", {"q": "invoice", "facets": "1"}),
                ("a queue, narrowed down", "/recordings", {"queue": "Queue 7", "facets": "1"}),
                ("one recording", f"/r/{row['conversation_id']}/0", None),
            ]
            slowest = (0, "")
            for name, path, form in questions:
                data = None if form is None else urllib.parse.urlencode(form).encode()
                times = []
                for _ in range(3):
                    begun = time.monotonic()
                    text = urllib.request.urlopen(url + path, data).read().decode()
                    times.append((time.monotonic() - begun) * 1000)
                slowest = max(slowest, (max(times), name))
                count = re.search(r'id="count">\s*([^<]*)<', text)
                print(f"{name}: {times[0]:.0f} ms first, {min(times):.0f} ms at best{', ' + count[1].strip() if count else ''}")
            print(f"the slowest: {slowest[1]}, {slowest[0]:.0f} ms")
            begun = time.monotonic()
            form = urllib.parse.urlencode({"queue": '"Queue 7"', "format": "csv"}).encode()
            rows = urllib.request.urlopen(url + "/rows", form).read().count(b"\r\n") - 1
            print(f"rows of a queue as CSV: {rows} rows, {time.monotonic() - begun:.1f} s")
            print(f"memory, at most: {memory(page, 'VmHWM') // 1000} MB")
            print(f"memory, now: {memory(page, 'VmRSS') // 1000} MB")
        finally:
            page.kill()
            page.wait()
        begun = time.monotonic()
        subprocess.run([program, "evidence", str(archive), "--conversation", row["conversation_id"], *cache,
                        "--output", str(folder / "case.zip")], stderr=subprocess.DEVNULL)
        print(f"evidence of one conversation: {time.monotonic() - begun:.1f} s")


if __name__ == "__main__":
    main()
