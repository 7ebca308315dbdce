#!/usr/bin/env python3
"""Samples a row of the benchmarks, or an export of metadata alone, with `perf`: prints the share of the processor time that
each part takes, and writes its stacks for `inferno-flamegraph`. It needs a program with symbols:

CARGO_PROFILE_DIST_STRIP=none CARGO_PROFILE_DIST_DEBUG=line-tables-only cargo build --profile dist
"""

import argparse
import collections
import contextlib
import pathlib
import re
import shutil
import subprocess
import tempfile

from contestants import Ours, Task, environment, need
from scale import Export, simulator
from servers import Servers, nginx

# What a sample counts as: the first of these that a function of its stack matches, from the innermost one outwards.
PARTS = {part: re.compile(pattern) for part, pattern in {
    "sha256": r"\bsha2::|sha256_compress|digest_blocks",
    "CRC-64/NVME": r"\bcrc_fast::",
    "memory allocation": r"^(_int_|__libc_|__GI___libc_)?(malloc|free|cfree|realloc|calloc|memalign|_int_free.*|_int_malloc"
                         r"|malloc_consolidate|unlink_chunk.*|sysmalloc|_int_realloc|tcache.*)(@.*)?$|\b__rust_(alloc|dealloc|realloc)",
    "system: sending": r"^(tcp_sendmsg.*|sock_write_iter|__sys_sendto|do_iter_readv_writev|inet_sendmsg|__x64_sys_(sendto|writev|sendmsg))$",
    "system: receiving": r"^(tcp_recvmsg.*|sock_read_iter|__sys_recvfrom|inet_recvmsg|__x64_sys_(recvfrom|readv|recvmsg))$",
    "system: files and syncs": r"^(ext4_.*|vfs_(read|write|fsync.*|open)|do_sys_openat2|__x64_sys_(fsync|fdatasync|pread64|pwrite64|read|write|openat|rename.*|unlink.*))$",
    "system: waiting and waking": r"^(__x64_sys_(futex|epoll_wait|epoll_ctl)|do_epoll_.*|do_futex|schedule|__schedule|sched_yield)$",
    "system: memory and start": r"^(.*page_fault.*|do_mmap|__x64_sys_(mmap|munmap|madvise|mprotect|brk|execve|exit_group)|do_exit|mmput.*)$",
    "TLS": r"\brustls::|aws_lc_|tokio_rustls",
    "the queue (SQLite)": r"sqlite3|\brusqlite::|\brecording_host_state::|^(vdbe|pager|wal|btree|pcache)[A-Za-z0-9]+$",
    "signing": r"aws_sigv4|\bhmac::",
    "rows and receipts": r"recording_host_engine::receipt|recording_host_metadata|\bzstd",
    "the component": r"wasmtime|recording_host_sandbox|recording_host_source|cranelift|^\[the component\]",
    "the AWS SDK": r"\baws_(sdk|smithy|runtime|config|types|credential)",
    "HTTP client": r"\b(hyper|hyper_util|reqwest|http|httparse|h2|tower|url)::|recording_host_http",
    "JSON": r"\bserde_json::",
    "the run": r"recording_host_engine",
    "the async runtime": r"\btokio::",
}.items()}


def stacks(perf, recorded):
    """Each sample's functions, innermost first."""
    command = [perf, "script", "--no-inline", "-i", recorded, "-F", "comm,tid,ip,sym,dso"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for sample in text.split("\n\n"):
        lines = [line.split(None, 1)[1] for line in sample.splitlines()[1:] if len(line.split(None, 1)) == 2]
        # Code that is in no file is the component's, compiled and without names.
        lines = [re.sub(r"^\[unknown\] \((.*/perf-\d+\.map|//anon|\[JIT\].*)\)$", "[the component]", line) for line in lines]
        functions = [re.sub(r" \([^()]*\)$|::h[0-9a-f]{16}|\+0x[0-9a-f]+", "", line) for line in lines]
        if functions:
            yield functions


def part_of(functions):
    for function in functions:
        for part, pattern in PARTS.items():
            if pattern.search(function):
                return part
    return "other"


def folded(samples):
    """Stacks as flame graphs read them, outermost first; frames that every stack of async code has are left out."""
    counts = collections.Counter()
    for functions in samples:
        named = [function.replace(";", ",") for function in reversed(functions) if function != "[unknown]"]
        named = [re.sub(r"<(.{0,60}).*", r"<\1", function)[:80] for function in named if not re.match(r"^(core|std|alloc)::", function)]
        counts[";".join(named)] += 1
    return counts


@contextlib.contextmanager
def of_row(arguments, base):
    """The command of a row, such as `S3, 1 MB`."""
    sink, name = arguments.work.split(", ")
    servers = Servers(base, nginx())
    try:
        ours = Ours(arguments.program, pathlib.Path(arguments.component).resolve(), base / "cache")

        def command():
            folder = pathlib.Path(tempfile.mkdtemp(dir=base))
            return (*ours.command(Task(servers, "tls" if arguments.tls else "plain", name, sink.lower(), folder)), folder)

        yield command
    finally:
        servers.stop()


@contextlib.contextmanager
def of_metadata(arguments, base):
    """The command of an export of metadata alone."""
    conversations = int(arguments.work.split()[1])
    folder = pathlib.Path(tempfile.mkdtemp(dir=base))
    with simulator(arguments.program, conversations, max(1, conversations // 11_000), 0.01, folder) as (configuration, clock):

        def command():
            run = pathlib.Path(tempfile.mkdtemp(dir=base))
            export = Export(arguments.program, run, configuration.replace('"simulated', f'"{run}/simulated'), clock, False)
            return [arguments.program, "run", "--config", export.config], export.environment, run

        yield command
    shutil.rmtree(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", help="`S3, 1 MB`, `S3, 100 KB`, `disk, 1 MB` and the like, or `metadata 100000`")
    parser.add_argument("--program", required=True)
    parser.add_argument("--component", help="the component of component/examples/csv")
    parser.add_argument("--folder", required=True, help="where recordings, caches and stacks lie")
    parser.add_argument("--tls", action="store_true", help="from an origin with TLS")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    arguments.program = str(pathlib.Path(arguments.program).resolve())
    perf = need("perf", "PERF")
    base = pathlib.Path(arguments.folder).resolve()
    base.mkdir(parents=True, exist_ok=True)
    parts, samples = collections.Counter(), []
    with (of_metadata if arguments.work.startswith("metadata") else of_row)(arguments, base) as command:
        # The first one compiles the component, and counts for nothing.
        for number in range(arguments.rounds + 1):
            run, own, folder = command()
            recorded = str(folder / "perf.data")
            record = [perf, "record", "-F", "1999", "--call-graph", "dwarf,16384", "-o", recorded, "--"] if number else []
            subprocess.run([*record, *run], env=environment(own), capture_output=True, check=True)
            if number:
                samples += stacks(perf, recorded)
            shutil.rmtree(folder)
    for functions in samples:
        parts[part_of(functions)] += 1
    print("| Part | Share of the processor time |\n|---|---|")
    for part, count in parts.most_common():
        print(f"| {part} | {count / len(samples):.1%} |")
    leaves = collections.Counter(functions[0][:90] for functions in samples)
    print("\n| Function | Itself |\n|---|---|")
    for function, count in leaves.most_common(20):
        print(f"| `{function}` | {count / len(samples):.1%} |")
    out = base / (re.sub(r"\W+", "-", arguments.work.lower()) + ".folded")
    out.write_text("".join(f"{stack} {count}\n" for stack, count in folded(samples).items()))
    print(f"\n{len(samples)} samples; stacks for `inferno-flamegraph`: {out}")


if __name__ == "__main__":
    main()
