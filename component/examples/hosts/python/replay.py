"""Repeats the steps that `recording-host run --record FILE` wrote down, in another host.

    replay.py COMPONENT FILE

Prints how many steps there are, and the lines whose result has another digest.
"""

import json
import sys

from wasmtime import WasmtimeError
from wasmtime.component import Variant

from source import Source, canonical, digest, record


def event_of(recorded):
    """An `event` as wasmtime takes it; see `is_case` in source.py."""
    if recorded == "resume":
        return None
    ((name, value),) = recorded.items()
    match name:
        case "response":
            headers = [tuple(header) for header in value["headers"]]
            return record(status=value["status"], headers=headers, body=value["body"].encode())
        case "refresh":
            return [key_of(key) for key in value]
        case _:
            # `refused`, `unreachable` and `too-large` are the cases of a `request-error`.
            return Variant(name, value)


def key_of(recorded):
    if "bundle" in recorded:
        return recorded["bundle"]
    return record(**recorded["recording"])


def main():
    path, steps = sys.argv[1:]
    source = Source(path)
    repeated, differing = 0, []
    with open(steps, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            step = json.loads(line)
            state = record(version=step["state"]["version"], data=bytes.fromhex(step["state"]["data"]))
            try:
                kind, value = source.call("step", step["options"], state, event_of(step["event"]), step["now"])
                result = canonical(kind, value)
            except WasmtimeError:
                result = "trap"
            repeated += 1
            if digest(result) != step["result_sha256"]:
                differing.append(number)
    print(json.dumps({"steps": repeated, "differing": differing}))


if __name__ == "__main__":
    main()
