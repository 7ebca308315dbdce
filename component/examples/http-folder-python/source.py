"""A recording source in Python: a folder that a web server serves, such as

    {base_url}/2026-01-05/index.json     ["c-17", "c-18"]
    {base_url}/2026-01-05/c-17.json      { "start": "2026-01-05T09:00:07Z", "end": ..., "agent": ... }
    {base_url}/2026-01-05/c-17.ogg       the recording

It exports `source` of the world `recording-source` in source.wit, in the folder `wit` and imports nothing: whatever it
wants, it asks the host for. componentize-py makes the modules `wit_world` and `componentize_py_types` of
that file.
"""

import functools
import json
import re
from datetime import datetime, timezone

from componentize_py_types import Err, Result
from wit_world.imports import types as wit

DAY = 86_400_000
VERSION = 1


def guarded(call):
    """Makes an error of the interface of a mistake in this file, which would be a trap without a message."""

    @functools.wraps(call)
    def guard(*arguments):
        try:
            return call(*arguments)
        except Err:
            raise
        except Exception as error:
            # `traceback` would open files, which a component cannot.
            where = error.__traceback__
            while where.tb_next:
                where = where.tb_next
            text = f"{type(error).__name__}: {error} (line {where.tb_lineno}, in {where.tb_frame.f_code.co_name})"
            raise Err(wit.SourceError_Permanent(text)) from error

    return guard


class Source:
    def describe(self) -> wit.Descriptor:
        base_url = {"description": "The URL of the folder.", "type": "string"}
        schema = {
            "type": "object",
            "additionalProperties": False,
            "required": ["base_url"],
            "properties": {"base_url": base_url},
        }
        return wit.Descriptor(
            name="http_folder",
            version="0.1.0",
            vendor="A folder on a web server",
            options_schema=json.dumps(schema),
            auth=wit.AuthScheme_None_(),
            rate_limit=None,
            data_classes=[wit.DataClass.VOICE, wit.DataClass.NAME],
        )

    @guarded
    def start(self, options: str, purpose: wit.Purpose, now: int) -> wit.Started:
        """Checks the options and says where a work begins: a split for each thing that can be done by itself."""
        base_url = read(options)
        origin = re.match("https?://[^/]+", base_url)[0]
        return wit.Started(
            # The index and the sidecars are requests; the recordings are downloads.
            origins=[wit.Origin(origin, wit.OriginRole.API), wit.Origin(origin, wit.OriginRole.MEDIA)],
            splits=begin(purpose, now),
            fetch_size=100,
            token_url=None,
        )

    @guarded
    def step(self, options: str, split: wit.State, event: wit.Event, now: int) -> wit.Step:
        """Takes a split one step further. The same input always gives the same step."""
        base_url = read(options)
        if split.version != VERSION:
            raise Err(wit.SourceError_IncompatibleState(split.version))
        state = json.loads(split.data)
        match state["work"]:
            case "day":
                return walk(base_url, state, event)
            case "files":
                return hand_over(base_url, state, event)
            case _:
                return check(base_url, state, event)


def begin(purpose: wit.Purpose, now: int) -> list[wit.Split]:
    match purpose:
        case wit.Purpose_Find(find):
            return days(find.name, find.range, now, counting=False)
        case wit.Purpose_Estimate(within):
            return days("estimate", within, now, counting=True)
        case wit.Purpose_Fetch(fetch):
            wanted = [[one.id, one.start] for one in fetch.conversations]
            return [wit.Split(fetch.name, "files", keep({"work": "files", "wanted": wanted}))]
        case _:
            return [wit.Split("check", "check", keep({"work": "check", "day": date(now)}))]


def days(name: str, within: wit.TimeRange, now: int, counting: bool) -> list[wit.Split]:
    until = min(within.until, now)
    splits = []
    for day in range(within.from_ - within.from_ % DAY, until, DAY):
        state = {"work": "day", "day": day, "from": within.from_, "until": until, "counting": counting, "todo": None}
        splits.append(wit.Split(f"{name}/{date(day)}", "day", keep(state)))
    return splits


def walk(base_url: str, state: dict, event: wit.Event) -> wit.Step:
    """A day: first its index, then one conversation after another."""
    conversations, updates, notes = [], [], []
    if isinstance(event, wit.Event_Response):
        told = body(event.value)
        if state["todo"] is None:
            # A day without a folder is a day without calls; an index of another form is not.
            if told is not None and not isinstance(told, list):
                raise Err(wit.SourceError_Permanent(f"the index of {date(state['day'])} is not a list of names"))
            state["todo"] = [name for name in told or [] if is_name(name)]
            if state["counting"]:
                count = len(state["todo"])
                day = wit.TimeRange(state["day"], state["day"] + DAY)
                updates.append(wit.Update_Count(wit.Count(day, count, count, 1 + count)))
                # A few examples are enough.
                del state["todo"][2:]
        else:
            name = state["todo"].pop(0)
            sidecar = told if isinstance(told, dict) else {}
            start = instant(sidecar.get("start"))
            if start is None:
                text = f"{name} is left out: it has no sidecar with a start"
                notes.append(wit.Note(wit.Level.WARN, text))
            elif state["from"] <= start < state["until"]:
                conversations.append(conversation(name, start, sidecar))
    if state["todo"] == []:
        then = wit.Next_Done(keep(state))
    else:
        file = "index" if state["todo"] is None else state["todo"][0]
        then = send(f"{base_url}/{date(state['day'])}/{file}.json", state)
    return step(then, conversations=conversations, updates=updates, notes=notes)


def hand_over(base_url: str, state: dict, event: wit.Event) -> wit.Step:
    """Recordings: their links follow from what is known, so there is nothing to ask for."""
    again = isinstance(event, wit.Event_Refresh)
    wanted = state["wanted"]
    if again:
        ids = {key.value.conversation for key in event.value}
        wanted = [one for one in wanted if one[0] in ids]
    artifacts = [
        wit.Artifact(
            key=wit.ArtifactKey_Recording(wit.RecordingKey(id, id, 0)),
            download=wit.Download(f"{base_url}/{date(start)}/{id}.ogg", [], False, None),
            content_type="audio/ogg",
            container=wit.Container_Single(),
            size=None,
            sha256=None,
        )
        for id, start in wanted
    ]
    handed_over = wit.OutcomeResult_HandedOver(wit.HandedOver(1, []))
    outcomes = [] if again else [wit.Outcome(id, handed_over) for id, _ in wanted]
    return step(wit.Next_Done(keep(state)), artifacts=artifacts, outcomes=outcomes)


def check(base_url: str, state: dict, event: wit.Event) -> wit.Step:
    """Requests today's index: whether there is one or not, the answer shows that the server can be read."""
    index = f"{base_url}/{state['day']}/index.json"
    if not isinstance(event, wit.Event_Response):
        return step(send(index, state))
    value = event.value.value
    told = value.value if isinstance(event.value, Err) else f"status {value.status}"
    if told == "status 200":
        finding = wit.Finding("server", wit.Verdict.GOOD, f"{index} is there")
    elif told == "status 404":
        text = f"{index} is not there: either there is no call of today, or `base_url` is wrong"
        finding = wit.Finding("server", wit.Verdict.DOUBTFUL, text)
    else:
        text = f"{index}: {told}; see whether `base_url` is right and can be read"
        finding = wit.Finding("server", wit.Verdict.BAD, text)
    return step(wit.Next_Done(keep(state)), updates=[wit.Update_Finding(finding)])


def conversation(name: str, start: int, sidecar: dict) -> wit.Conversation:
    agent = text(sidecar.get("agent"))
    directions = {"inbound": wit.Direction.INBOUND, "outbound": wit.Direction.OUTBOUND}
    return wit.Conversation(
        id=name,
        start=start,
        end=instant(sidecar.get("end")),
        direction=directions.get(text(sidecar.get("direction"))),
        ani=text(sidecar.get("from")),
        dnis=text(sidecar.get("to")),
        agents=[wit.Party(agent, agent)] if agent else [],
        queues=[],
        wrap_up_codes=[],
        tags=[],
        divisions=[],
        media_types=["voice"],
        recorded=True,
        revision=None,
        attributes=[],
    )


def body(result: Result[wit.Response, wit.RequestError]):
    """The JSON of a response; nothing if there is no such file."""
    if isinstance(result, Err):
        raise Err(wit.SourceError_Transient(f"no response: {result.value.value}"))
    status = result.value.status
    if status == 404:
        return None
    if status != 200:
        error = wit.SourceError_Transient if status >= 500 else wit.SourceError_Permanent
        raise Err(error(f"status {status}"))
    try:
        told = json.loads(result.value.body)
    except ValueError:
        told = None
    if told is None:
        raise Err(wit.SourceError_Permanent("an index or sidecar is not JSON, or empty"))
    return told


def read(options: str) -> str:
    """The URL of the folder, without a slash at its end."""
    options = json.loads(options)
    for name in options:
        if name != "base_url":
            raise wrong(name, "is not an option; there is `base_url`")
    base_url = text(options.get("base_url")) or ""
    if not re.match("https?://[^/]+", base_url):
        raise wrong("base_url", "must be of the form `https://host/folder`")
    return base_url.rstrip("/")


def wrong(path: str, message: str) -> Err:
    return Err(wit.SourceError_Options(wit.OptionError(path, message)))


def is_name(name) -> bool:
    """Names become parts of links and keys: nothing that could lead elsewhere."""
    return isinstance(name, str) and re.fullmatch("[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", name) is not None


def text(value) -> str | None:
    return value if isinstance(value, str) else None


def keep(state: dict) -> wit.State:
    return wit.State(VERSION, json.dumps(state).encode())


def send(url: str, state: dict) -> wit.Next_Send:
    request = wit.Request(wit.Method.GET, url, headers=[], body=None, repeatable=True)
    return wit.Next_Send(wit.Send(request, keep(state)))


def step(then: wit.Next, **parts) -> wit.Step:
    lists = ("conversations", "artifacts", "outcomes", "splits", "updates", "notes")
    return wit.Step(**{name: parts.get(name, []) for name in lists}, next=then)


def instant(value) -> int | None:
    """Milliseconds since 1970 of a time such as 2026-01-05T09:00:07Z; without a zone it is UTC."""
    try:
        time = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return round(time.replace(tzinfo=time.tzinfo or timezone.utc).timestamp() * 1000)


def date(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, timezone.utc).date().isoformat()
