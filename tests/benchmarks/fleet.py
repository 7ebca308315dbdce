#!/usr/bin/env python3
"""Exports as many simulated conversations as it is told by a fleet of machines on NATS, kills the one that leads when half
is found, and prints what was stored on NATS, what each machine takes, and how long the next leader takes.

tests/benchmarks/README.md says how to read it."""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

# How fast the contact center's time runs. Requests take slots of real time: 300 a minute, whatever this is.
SPEED = 20
SERVERS = 3
LOOK = 0.2


def free_port():
    with contextlib.closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Nats:
    """Servers of one cluster, each of which has everything."""

    def __init__(self, program, folder):
        self.ports = [free_port() for _ in range(SERVERS)]
        self.monitors = [free_port() for _ in range(SERVERS)]
        routes = [free_port() for _ in range(SERVERS)]
        self.processes = []
        for number in range(SERVERS):
            store = folder / f"nats-{number}"
            others = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
            (folder / f"nats-{number}.conf").write_text(
                f'listen: "127.0.0.1:{self.ports[number]}"\nhttp: "127.0.0.1:{self.monitors[number]}"\n'
                f'server_name: "n{number}"\njetstream {{ store_dir: "{store}", max_file: 64GB }}\n'
                f'cluster {{ name: "c", listen: "127.0.0.1:{routes[number]}", routes: [{others}] }}\n')
            with open(folder / f"nats-{number}.log", "wb") as log:
                self.processes.append(subprocess.Popen([program, "-c", str(folder / f"nats-{number}.conf")], stdout=log, stderr=log))

    def ask(self, number, what):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.monitors[number]}/{what}", timeout=5) as answer:
            return json.load(answer)

    def wait(self):
        """Until one of them leads."""
        while True:
            with contextlib.suppress(OSError):
                if self.ask(0, "jsz").get("meta_cluster", {}).get("leader"):
                    return
            time.sleep(LOOK)

    def streams(self):
        """Each stream's name, messages so far, and bytes now."""
        accounts = self.ask(0, "jsz?streams=true").get("account_details") or []
        return {stream["name"]: (stream["state"]["last_seq"], stream["state"]["bytes"])
                for account in accounts for stream in account.get("stream_detail") or []}

    def memory(self):
        """The peak of each server in MiB."""
        return max(peak(process.pid) for process in self.processes)

    def stop(self):
        for process in self.processes:
            process.kill()
            process.wait()


def peak(pid):
    """The most memory that a process has had, in MiB."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return 0.0


class Machine:
    def __init__(self, program, folder, name, configuration, clock):
        self.program, self.folder, self.name = program, folder, name
        self.config = folder / f"{name}.yaml"
        self.config.write_text(configuration)
        self.environment = {**os.environ, **clock, "XDG_CACHE_HOME": str(folder / "cache")}
        self.peak, self.process = 0.0, None

    def start(self):
        with open(self.folder / f"{self.name}.log", "ab") as log:
            self.process = subprocess.Popen([self.program, "run", "--config", str(self.config)], cwd=self.folder,
                                            env=self.environment, stdout=log, stderr=log)

    def look(self):
        self.peak = max(self.peak, peak(self.process.pid))
        return self.process.poll() is None

    def command(self, *arguments, codes=(0, 3)):
        done = subprocess.run([self.program, *arguments, "--config", str(self.config)], cwd=self.folder,
                              env=self.environment, capture_output=True, text=True)
        if done.returncode not in codes:
            raise SystemExit(f"{arguments} ended with {done.returncode}:\n{done.stderr[-2000:]}")
        return done.stdout

    def source(self):
        """What `cluster status` says of the source, once somebody leads it."""
        return json.loads(self.command("cluster", "status", "--json"))["sources"].get("simulated", {})


def simulator(program, conversations, media, folder):
    command = [program, "simulate", "--listen", "127.0.0.1:0", "--conversations", str(conversations), "--seed", "90",
               "--days", str(min(300, max(1, conversations * 90 // 1_000_000))), "--recorded", "1" if media else "0.01", "--speed", str(SPEED)]
    with open(folder / "simulator.log", "wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    lines = []
    for line in process.stdout:
        if line.startswith("# serving"):
            break
        lines.append(line)
    variable = next(line.split()[-1] for line in lines if "SIMULATED_CLOCK=" in line)
    return process, "".join(lines), dict([variable.split("=", 1)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("conversations", type=int)
    parser.add_argument("--nats", default=shutil.which("nats-server") or "nats-server", help="the server's program, 2.15 or later")
    parser.add_argument("--machines", type=int, default=3)
    parser.add_argument("--media", action="store_true", help="with recordings, not metadata alone")
    parser.add_argument("--no-kill", action="store_true", help="kill nobody")
    parser.add_argument("--keep", action="store_true", help="leave what was written")
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where to write; 10 GB for a million")
    arguments = parser.parse_args()
    program = str(pathlib.Path(arguments.program).resolve())
    base = pathlib.Path(arguments.folder).resolve()
    base.mkdir(parents=True, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="fleet-", dir=base))
    vendor, configuration, clock = simulator(program, arguments.conversations, arguments.media, folder)
    nats = Nats(arguments.nats, folder)
    machines = []
    try:
        nats.wait()
        own = "media: [voice]\n      job_timeout_seconds: 86400" if arguments.media else "mode: metadata_only\n      search: job"
        configuration = configuration.replace("      dialect:", f"      {own}\n      dialect:")
        servers = ", ".join(f"nats://127.0.0.1:{port}" for port in nats.ports)
        for number in range(arguments.machines):
            name = f"machine-{number}"
            own = configuration.replace("simulated-data", f"data-{number}")
            own += f"\ncluster: {{ type: nats, servers: [{servers}], node: {name}, replicas: {SERVERS} }}\n"
            machines.append(Machine(program, folder, name, own, clock))
        machines[0].command("cluster", "init")
        began = time.monotonic()
        for machine in machines:
            machine.start()
        measure(arguments, machines, nats, began)
        ended = time.monotonic() - began
    finally:
        for machine in machines:
            machine.process and machine.process.kill()
        vendor.send_signal(signal.SIGINT)
        said = vendor.stdout.read().strip()
        vendor.wait()
        nats.stop()
    print(f"{arguments.conversations:,} conversations by {arguments.machines} machines in {ended:.0f} s")
    print(said)
    machines[0].command("verify", "--full", codes=(0,))
    print("`verify --full` finds no fault")
    if not arguments.keep:
        shutil.rmtree(folder)


def found(machine):
    """What `status` of a machine says it has found."""
    text = machine.command("status", "--json")
    return json.loads(text)["sources"]["simulated"]["conversations"]


def measure(arguments, machines, nats, began):
    leader, kill, most, told = None, not arguments.no_kill, {}, 0.0
    while any([machine.look() for machine in machines]):
        for name, (messages, bytes_) in nats.streams().items():
            before = most.get(name, (0, 0))
            most[name] = max(before[0], messages), max(before[1], bytes_)
        if kill and time.monotonic() - told > 5:
            told = time.monotonic()
            leader = machines[0].source().get("leader")
            if leader and found(machines[0]) >= arguments.conversations // 2:
                kill = False
                take_over(machines, leader)
        time.sleep(LOOK)
    print("| Stream | Messages | Bytes at most |\n|---|---|---|")
    for name, (messages, bytes_) in sorted(most.items()):
        print(f"| {name} | {messages:,} | {bytes_:,} |")
    for machine in machines:
        print(f"{machine.name}: at most {machine.peak:.0f} MiB")
    print(f"NATS server: at most {nats.memory():.0f} MiB")


def take_over(machines, leader):
    """Kills the leader, waits until another one leads, and starts the first again."""
    killed = next(machine for machine in machines if machine.name == leader)
    other = next(machine for machine in machines if machine.name != leader)
    killed.process.kill()
    killed.process.wait()
    began = time.monotonic()
    while other.source().get("leader") in (None, leader):
        time.sleep(LOOK)
    led, before = time.monotonic() - began, found(other)
    while found(other) <= before:
        time.sleep(LOOK)
    print(f"{leader} was killed: another machine led after {led:.1f} s, and had found more after {time.monotonic() - began:.1f} s")
    killed.start()


if __name__ == "__main__":
    sys.exit(main())
