"""The servers of a benchmark: nginx with recordings and their list, and an S3 server that discards."""

import hashlib
import pathlib
import shutil
import socket
import subprocess
import time

HERE = pathlib.Path(__file__).parent

# The sets of recordings: how many, and of how many bytes.
SETS = {"1 MB": (200, 1_000_000), "100 KB": (2_000, 100_000), "2 GB": (1, 2_000_000_000)}

NGINX = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000;
  types {{ audio/ogg ogg; text/csv csv; }}
  map_hash_bucket_size 256;
  map_hash_max_size 8192;
  map $uri $md5 {{
{md5}
  }}
  server {{ listen 127.0.0.1:{plain}; root {media}; autoindex on; }}
  server {{ listen 127.0.0.1:{tagged}; root {media}; autoindex on; etag off; add_header ETag $md5; }}
  server {{
    listen 127.0.0.1:{tls} ssl; root {media}; autoindex on;
    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
  }}
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}")


def folder_of(name):
    return name.replace(" ", "")


def make_recordings(media):
    """Writes the recordings, once; returns the entity tag of each, as an object store would give it."""
    tags = {}
    for name, (count, size) in SETS.items():
        folder = media / folder_of(name)
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            path = folder / f"r{number}.ogg"
            # A megabyte that looks random, and another one for each file.
            block = hashlib.shake_256(f"{name} {number}".encode()).digest(1_000_000)
            digest = hashlib.md5()
            pieces = [block[: min(1_000_000, size - at)] for at in range(0, size, 1_000_000)]
            pieces[0] = b"OggS" + pieces[0][4:]
            for piece in pieces:
                digest.update(piece)
            if not path.exists() or path.stat().st_size != size:
                with open(path, "wb") as file:
                    file.writelines(pieces)
            tags[f"/{folder_of(name)}/r{number}.ogg"] = digest.hexdigest()
    return tags


class Servers:
    """They run until the program ends."""

    def __init__(self, folder, nginx):
        folder = folder.resolve()
        self.media = folder / "media"
        tags = make_recordings(self.media)
        self.ports = {name: free_port() for name in ["plain", "tagged", "tls", "s3"]}
        md5 = "\n".join(f"    {path} '\"{tag}\"';" for path, tag in tags.items())
        self.certificate = folder / "cert.pem"
        if not self.certificate.exists():
            names = ["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"]
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "365", "-subj", "/CN=localhost",
                            *names, "-keyout", folder / "key.pem", "-out", self.certificate], check=True, capture_output=True)
        for origin in ["plain", "tagged", "tls"]:
            self.write_lists(origin)
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, media=self.media, md5=md5, **self.ports))
        self.processes = [subprocess.Popen([nginx, "-p", folder, "-c", config, "-e", folder / "error.log"])]
        sink = folder / "null_s3"
        subprocess.run(["rustc", "--edition", "2024", "-O", HERE / "null_s3.rs", "-o", sink], check=True)
        self.processes.append(subprocess.Popen([sink, str(self.ports["s3"])]))
        for port in self.ports.values():
            wait_for(port)

    def origin(self, kind):
        return f"https://localhost:{self.ports[kind]}" if kind == "tls" else f"http://127.0.0.1:{self.ports[kind]}"

    def urls(self, kind, name):
        count, _ = SETS[name]
        return [f"{self.origin(kind)}/{folder_of(name)}/r{number}.ogg" for number in range(count)]

    def write_lists(self, kind):
        """The lists that our program's source reads: calls of one day."""
        for name in SETS:
            lines = ["id,start,end,agent,recording"]
            for number, url in enumerate(self.urls(kind, name)):
                minute = f"{number // 60 % 24:02}:{number % 60:02}"
                lines.append(f"c-{number},2026-01-05T{minute}:00Z,2026-01-05T{minute}:30Z,agent,{url}")
            (self.media / f"{folder_of(name)}-{kind}.csv").write_text("\n".join(lines) + "\n")

    def list_url(self, kind, name):
        return f"{self.origin(kind)}/{folder_of(name)}-{kind}.csv"

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()


def nginx():
    found = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if not found:
        raise SystemExit("nginx is missing: apt-get install nginx-light")
    return found
