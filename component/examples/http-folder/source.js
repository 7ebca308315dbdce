// A recording source in JavaScript: a folder that a web server serves, such as
//
//   {base_url}/2026-01-05/index.json     ["c-17", "c-18"]
//   {base_url}/2026-01-05/c-17.json      { "start": "2026-01-05T09:00:07Z", "end": ..., "agent": ... }
//   {base_url}/2026-01-05/c-17.ogg       the recording
//
// It exports `source` of the world `recording-source` in source.wit and imports nothing: whatever it
// wants, it asks the host for.

const DAY = 86_400_000;
const VERSION = 1;

export const source = { describe, start: guarded(start), step: guarded(step) };

function describe() {
  return {
    name: "http_folder",
    version: "0.1.0",
    vendor: "A folder on a web server",
    optionsSchema: JSON.stringify({
      type: "object",
      additionalProperties: false,
      required: ["base_url"],
      properties: {
        base_url: { description: "The URL of the folder.", type: "string" },
      },
    }),
    auth: { tag: "none" },
    rateLimit: undefined,
    dataClasses: ["voice", "name"],
  };
}

/// Checks the options and says where a work begins: a split for each thing that can be done by itself.
function start(text, purpose, now) {
  const options = read(text);
  const origin = options.base_url.match(/^https?:\/\/[^/]+/)[0];
  return {
    // The index and the sidecars are requests; the recordings are downloads.
    origins: [
      { url: origin, role: "api" },
      { url: origin, role: "media" },
    ],
    splits: begin(purpose, Number(now)),
    fetchSize: 100,
  };
}

function begin(purpose, now) {
  switch (purpose.tag) {
    case "find":
    case "estimate": {
      const counting = purpose.tag === "estimate";
      const { name, range } = counting ? { name: "estimate", range: purpose.val } : purpose.val;
      const from = Number(range.from);
      const until = Math.min(Number(range.until), now);
      const days = [];
      for (let day = from - (from % DAY); day < until; day += DAY) {
        days.push(split(`${name}/${date(day)}`, "day", { day, from, until, counting, todo: null }));
      }
      return days;
    }
    case "fetch": {
      const { name, conversations } = purpose.val;
      const wanted = conversations.map(({ id, start }) => ({ id, start: Number(start) }));
      return [split(name, "files", { wanted })];
    }
    default:
      return [split("check", "check", { check: date(now) })];
  }
}

/// Takes a split one step further. The same input always gives the same step.
function step(text, memory, event, now) {
  const options = read(text);
  if (memory.version !== VERSION) {
    fail("incompatible-state", memory.version);
  }
  const state = JSON.parse(decode(memory.data));
  if (state.wanted) {
    return handOver(options, state, event);
  }
  return state.check ? check(options, state, event) : walk(options, state, event);
}

/// A day: first its index, then one conversation after another.
function walk(options, state, event) {
  const folder = `${options.base_url}/${date(state.day)}`;
  const found = { conversations: [], updates: [], notes: [] };
  if (event.tag === "response") {
    const told = body(event.val);
    if (state.todo === null) {
      // A day without a folder is a day without calls; an index of another form is not.
      if (told !== undefined && !Array.isArray(told)) {
        fail("permanent", `the index of ${date(state.day)} is not a list of names`);
      }
      state.todo = (told ?? []).filter(isName);
      if (state.counting) {
        const count = state.todo.length;
        const range = { from: state.day, until: state.day + DAY };
        const counted = { range, conversations: count, recorded: count, requests: 1 + count };
        found.updates.push({ tag: "count", val: counted });
        // A few examples are enough.
        state.todo.length = Math.min(count, 2);
      }
    } else {
      const id = state.todo.shift();
      const start = instant(told?.start);
      if (start === undefined) {
        found.notes.push({ level: "warn", text: `${id} is left out: it has no sidecar with a start` });
      } else if (start >= state.from && start < state.until) {
        found.conversations.push(conversation(id, start, told));
      }
    }
  }
  const file = state.todo === null ? "index" : state.todo[0];
  return file === undefined
    ? stepWith(found, { tag: "done", val: keep(state) })
    : stepWith(found, send(`${folder}/${file}.json`, state));
}

/// Recordings: their links follow from what is known, so there is nothing to ask for.
function handOver(options, state, event) {
  const again = event.tag === "refresh" && event.val.map((key) => key.val.conversation);
  const wanted = state.wanted.filter(({ id }) => !again || again.includes(id));
  return stepWith(
    {
      artifacts: wanted.map(({ id, start }) => ({
        key: { tag: "recording", val: { conversation: id, recording: id, part: 0 } },
        download: {
          url: `${options.base_url}/${date(start)}/${id}.ogg`,
          headers: [],
          authenticated: false,
          expires: undefined,
        },
        contentType: "audio/ogg",
        container: { tag: "single" },
        size: undefined,
        sha256: undefined,
      })),
      outcomes: again ? [] : wanted.map(({ id }) => ({
        conversation: id,
        result: { tag: "handed-over", val: { artifacts: 1, missing: [] } },
      })),
    },
    { tag: "done", val: keep(state) },
  );
}

/// Requests today's index: whether there is one or not, the answer shows that the server can be read.
function check(options, state, event) {
  const index = `${options.base_url}/${state.check}/index.json`;
  if (event.tag !== "response") {
    return stepWith({}, send(index, state));
  }
  const { tag, val } = event.val;
  const told = tag === "ok" ? `status ${val.status}` : val.val;
  const findings = {
    "status 200": { verdict: "good", text: `${index} is there` },
    "status 404": {
      verdict: "doubtful",
      text: `${index} is not there: either there is no call of today, or \`base_url\` is wrong`,
    },
  };
  const wrong = `${index}: ${told}; see whether \`base_url\` is right and can be read`;
  const finding = findings[told] ?? { verdict: "bad", text: wrong };
  const updates = [{ tag: "finding", val: { subject: "server", ...finding } }];
  return stepWith({ updates }, { tag: "done", val: keep(state) });
}

function conversation(id, start, told) {
  const agent = text(told.agent);
  return {
    id,
    // componentize-qjs takes a number for a u64, not a BigInt; milliseconds are exact in it.
    start,
    end: instant(told.end),
    direction: ["inbound", "outbound"].find((known) => known === told.direction),
    ani: text(told.from),
    dnis: text(told.to),
    agents: agent ? [{ id: agent, name: agent }] : [],
    queues: [],
    wrapUpCodes: [],
    tags: [],
    divisions: [],
    mediaTypes: ["voice"],
    recorded: true,
    attributes: [],
  };
}

/// The JSON of a response; nothing if there is no such file.
function body(result) {
  if (result.tag === "err") {
    fail("transient", `no response: ${result.val.val}`);
  }
  const { status, body } = result.val;
  if (status === 404) {
    return undefined;
  }
  if (status !== 200) {
    fail(status >= 500 ? "transient" : "permanent", `status ${status}`);
  }
  try {
    return JSON.parse(decode(body));
  } catch {
    return fail("permanent", "an index or sidecar is not JSON, or empty");
  }
}

function read(text) {
  const options = JSON.parse(text);
  for (const name of Object.keys(options)) {
    if (name !== "base_url") {
      fail("options", { path: name, message: "is not an option; there is `base_url`" });
    }
  }
  if (!/^https?:\/\/[^/]+/.test(options.base_url ?? "")) {
    fail("options", { path: "base_url", message: "must be of the form `https://host/folder`" });
  }
  return { base_url: options.base_url.replace(/\/+$/, "") };
}

/// A value of another type would be a trap: the host takes only texts where the interface has texts.
function text(value) {
  return typeof value === "string" ? value : undefined;
}

/// Milliseconds since 1970; nothing if it is no time.
function instant(value) {
  const ms = Date.parse(text(value) ?? "");
  return Number.isNaN(ms) ? undefined : ms;
}

/// Names become parts of links and keys: nothing that could lead elsewhere.
function isName(text) {
  return typeof text === "string" && /^[A-Za-z0-9._-]{1,100}$/.test(text) && !text.startsWith(".");
}

function split(id, kind, state) {
  return { id, kind, state: keep(state) };
}

function keep(state) {
  return { version: VERSION, data: encode(JSON.stringify(state)) };
}

function send(url, state) {
  const request = { method: "get", url, headers: [], body: undefined, repeatable: true };
  return { tag: "send", val: { request, state: keep(state) } };
}

function stepWith(yielded, next) {
  const nothing = {
    conversations: [],
    artifacts: [],
    outcomes: [],
    splits: [],
    updates: [],
    notes: [],
  };
  return { ...nothing, ...yielded, next };
}

function date(ms) {
  return new Date(ms).toISOString().slice(0, 10);
}

/// A mistake in this file would be a trap, of which nobody sees the message: make it an error of the interface.
function guarded(call) {
  return (...input) => {
    try {
      return call(...input);
    } catch (error) {
      const stack = (error?.stack ?? "").trim().replace(/\s*\n\s*/g, "; ");
      const where = stack && ` (${stack})`;
      throw error?.payload ? error : { payload: { tag: "permanent", val: `${error}${where}` } };
    }
  };
}

function fail(tag, val) {
  throw { payload: { tag, val } };
}

// QuickJS has no TextEncoder. A state is JSON, which can be ASCII; responses are UTF-8.
function encode(text) {
  const ascii = text.replace(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return Uint8Array.from(ascii, (c) => c.charCodeAt(0));
}

function decode(bytes) {
  let text = "";
  for (const byte of bytes) {
    text += `%${byte.toString(16).padStart(2, "0")}`;
  }
  return decodeURIComponent(text);
}
