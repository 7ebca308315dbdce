"""A host in Python: finds the conversations of a range and prints each as a line of JSON.

    find.py COMPONENT OPTIONS FROM UNTIL

OPTIONS are a JSON object without `interval`; FROM and UNTIL are milliseconds since 1970. The environment
has CLIENT_ID and CLIENT_SECRET for a source that wants OAuth client credentials.
"""

import base64
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import deque

from wasmtime.component import Variant

from source import Source, canonical, record


class Network:
    """Sends what a source asks for to the origins that it has announced, and adds the credentials."""

    def __init__(self, scheme: Variant, started):
        self.allowed = [origin.url for origin in started.origins if origin.role == "api"]
        self.headers = {}
        if scheme.tag == "oauth2-client-credentials":
            token = self.token(getattr(started, "token-url"))
            self.headers["authorization"] = f"Bearer {token}"
        elif scheme.tag != "none":
            raise SystemExit(f"the log-in `{scheme.tag}` is not part of this example")

    def token(self, url: str) -> str:
        client = f"{variable('CLIENT_ID')}:{variable('CLIENT_SECRET')}"
        headers = {"authorization": "Basic " + base64.b64encode(client.encode()).decode()}
        body = urllib.parse.urlencode({"grant_type": "client_credentials"}).encode()
        with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as response:
            return json.load(response)["access_token"]

    def send(self, request):
        """A `result<response, request-error>`: a record, or a variant."""
        parts = urllib.parse.urlsplit(request.url)
        if f"{parts.scheme}://{parts.netloc}" not in self.allowed:
            return Variant("refused", "the origin is not announced")
        headers = {**dict(request.headers), **self.headers}
        body = None if request.body is None else bytes(request.body)
        sent = urllib.request.Request(request.url, body, headers, method=request.method.upper())
        while True:
            try:
                with urllib.request.urlopen(sent) as response:
                    return answer(response.status, response)
            except urllib.error.HTTPError as response:
                if response.status != 429:
                    return answer(response.status, response)
                time.sleep(float(response.headers.get("retry-after", 5)))
            except OSError as error:
                return Variant("unreachable", str(error))


def variable(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise SystemExit(f"{name} is not set: export CLIENT_ID and CLIENT_SECRET for the log-in")
    return value


def answer(status: int, response):
    headers = [(name.lower(), value) for name, value in response.headers.items()]
    return record(status=status, headers=headers, body=response.read())


def now() -> int:
    return int(time.time() * 1000)


def find(source: Source, options: dict, from_: int, until: int):
    """Yields the conversations, each as canonical JSON."""
    described = source.describe()
    print(f"{described.name} {described.version}, for {described.vendor}", file=sys.stderr)
    work = record(name="find", range=record(from_=from_, until=until))
    started = source.start(options, Variant("find", work), now())
    network = Network(described.auth, started)
    # A split, and why it is stepped: `None` is `resume`.
    waiting = deque((split, None) for split in started.splits)
    known = {split.id for split in started.splits}
    while waiting:
        split, event = waiting.popleft()
        step = source.step(options, split.state, event, now())
        for conversation in step.conversations:
            yield conversation
        for note in step.notes:
            print(f"{note.level}: {note.text}", file=sys.stderr)
        new = [one for one in step.splits if one.id not in known]
        known.update(one.id for one in new)
        waiting.extend((one, None) for one in new)
        match step.next:
            case Variant("send", send):
                split.state = send.state
                waiting.append((split, network.send(send.request)))
            case Variant("wait", wait):
                # A host that has more to do does it in the meantime.
                time.sleep(max(0, wait.until - now()) / 1000)
                split.state = wait.state
                waiting.append((split, None))


def main():
    path, options, from_, until = sys.argv[1:]
    for conversation in find(Source(path), json.loads(options), int(from_), int(until)):
        fields = {name: plain(value) for name, value in vars(conversation).items()}
        print(json.dumps(fields, ensure_ascii=False))


def plain(value):
    """Lists of records and of pairs as JSON has them."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    return vars(value) if hasattr(value, "__dict__") else value


if __name__ == "__main__":
    main()
