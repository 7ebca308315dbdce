"""The programs that bring recordings from their origin to a sink, ours and its peers."""

import json
import os
import pathlib
import shutil
import sys

from servers import folder_of

HERE = pathlib.Path(__file__).parent
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}
BUCKET = "bench"
AT_ONCE = "16"


class Task:
    """One set of recordings, from one origin to S3 or to a folder."""

    def __init__(self, servers, origin, name, sink, folder):
        self.servers, self.origin, self.name, self.sink, self.folder = servers, origin, name, sink, folder
        self.endpoint = f"http://127.0.0.1:{servers.ports['s3']}"
        self.urls = servers.urls(origin, name)
        self.certificate = str(servers.certificate)


class Contestant:
    def takes(self, sink, origin):
        """Whether it has the row with that sink and origin."""
        return True


class Ours(Contestant):
    """recording-host: the whole program, with receipts, rows, sha256 and durability."""

    name = "recording-host"

    def __init__(self, program, component, cache, options=None):
        self.program, self.component, self.cache, self.options = program, component, cache, options or {}

    def command(self, task):
        sinks = {
            "s3": {"type": "s3", "bucket": BUCKET, "prefix": task.folder.name, "region": "us-east-1",
                   "endpoint": task.endpoint, "path_style": True},
            "disk": {"type": "filesystem", "path": str(task.folder / "archive")},
        }
        source = {"type": "component", "path": str(self.component), "allow_private_addresses": True,
                  "allow": [task.servers.origin(task.origin)],
                  "options": {"url": task.servers.list_url(task.origin, task.name), "interval": "2026-01-05/2026-01-06"},
                  **self.options}
        config = {"data_dir": str(task.folder / "data"), "sources": {"calls": source}, "sinks": {"sink": sinks[task.sink]}}
        path = task.folder / "config.yaml"
        path.write_text(json.dumps(config))
        environment = {**KEYS, "XDG_CACHE_HOME": str(self.cache), "SSL_CERT_FILE": task.certificate}
        return [self.program, "run", "--config", str(path)], environment


class Rclone(Contestant):
    """rclone copy, without the requests that its S3 side can do without, as it looks at no object after its PUT."""

    name = "rclone"
    without = ["--s3-no-head"]

    def __init__(self, program):
        self.program = program

    def command(self, task):
        source = f":http,url='{task.servers.origin(task.origin)}':{folder_of(task.name)}"
        to = {
            "s3": f":s3,provider=Other,env_auth,endpoint='{task.endpoint}',force_path_style:{BUCKET}/recordings/{task.folder.name}",
            "disk": str(task.folder / "archive"),
        }[task.sink]
        flags = ["--transfers", AT_ONCE, "--checkers", AT_ONCE, "--no-check-dest", "--s3-no-check-bucket",
                 *self.without, "--ca-cert", task.certificate, "--config", "/dev/null"]
        return [self.program, "copy", source, to, *flags], KEYS


class RcloneChecks(Rclone):
    """The same, which looks after each PUT whether the object is there as a whole, as it does unless told otherwise."""

    name = "rclone with its check"
    without = []

    def takes(self, sink, origin):
        return sink == "s3"


class Relay(Contestant):
    """relay.rs: the least that a program takes which computes the sha256 of what it relays. No peer: it exports nothing."""

    name = "bare relay"

    def __init__(self, program):
        self.program = program

    def takes(self, sink, origin):
        return sink == "s3" and origin == "plain"

    def command(self, task):
        listed = task.folder / "urls"
        listed.write_text("\n".join(task.urls))
        return [self.program, str(listed), f"{task.endpoint}/{BUCKET}/recordings/{task.folder.name}", AT_ONCE], {}


class Curl(Contestant):
    """curl --parallel, to a folder only: to S3 it would be a process for each object."""

    name = "curl"

    def takes(self, sink, origin):
        return sink == "disk"

    def command(self, task):
        folder = task.folder / "archive"
        folder.mkdir()
        listed = task.folder / "curl.conf"
        listed.write_text("".join(f'url = "{url}"\noutput = "{folder}/{number}.ogg"\n' for number, url in enumerate(task.urls)))
        return ["curl", "--silent", "--fail", "--cacert", task.certificate, "--parallel", "--parallel-max", AT_ONCE,
                "--config", str(listed)], {}


class Python(Contestant):
    """requests and boto3 with a thread for each of 16 downloads."""

    name = "requests + boto3"

    def __init__(self, packages):
        self.packages = packages

    def command(self, task):
        listed = task.folder / "urls"
        listed.write_text("\n".join(task.urls))
        to = {"s3": f"s3://{BUCKET}/recordings/{task.folder.name}", "disk": str(task.folder / "archive")}[task.sink]
        environment = {**KEYS, "PYTHONPATH": str(self.packages), "AWS_ENDPOINT_URL": task.endpoint,
                       "REQUESTS_CA_BUNDLE": task.certificate}
        return [sys.executable, str(HERE / "peer.py"), str(listed), to, AT_ONCE], environment


def peers(rclone, packages):
    return [Rclone(rclone), RcloneChecks(rclone), Curl(), Python(packages)]


def environment(own):
    """The environment of a contestant: nothing of the caller's but where programs are."""
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **own}


def need(name, variable):
    """A tool that a variable names, or that is in the path."""
    found = os.environ.get(variable) or shutil.which(name)
    if not found:
        raise SystemExit(f"{name} is missing: set {variable}; tests/benchmarks/README.md says where it comes from")
    return found
