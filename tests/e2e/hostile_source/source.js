// A source that misbehaves as its options say: `ids` that it finds, `artifacts` of each of them, what it
// reports of them (`result`), `notes` that it writes, and a `mode` in which a step of a fetch ends badly.

export const source = { describe, start, step };

function describe() {
  return {
    name: "hostile",
    version: "0.1.0",
    vendor: "A test",
    optionsSchema: JSON.stringify({ type: "object" }),
    auth: { tag: "none" },
    rateLimit: undefined,
    dataClasses: [],
  };
}

function start(text, purpose) {
  const { url, mode } = JSON.parse(text);
  if (mode === "start") misbehave("trap");
  const { name, conversations } = purpose.val ?? { name: "check" };
  const data = { name, todo: conversations?.map(({ id }) => id) };
  const origins = [{ url, role: "media" }, { url, role: "api" }];
  return { origins, splits: [{ id: `${name}/0`, kind: "work", state: keep(data) }], fetchSize: 1 };
}

function step(text, memory, event) {
  const options = JSON.parse(text);
  const state = JSON.parse(decode(memory.data));
  const nothing = { conversations: [], artifacts: [], outcomes: [], splits: [], updates: [], notes: [] };
  const notes = (options.notes ?? []).map((note) => ({ level: "warn", text: expand(note) }));
  const done = { tag: "done", val: keep(state) };
  if (!state.todo) {
    const conversations = (options.ids ?? []).map((id) => conversation(expand(id), options));
    return { ...nothing, conversations, notes, next: done };
  }
  if (state.todo.some((id) => id.startsWith("bad"))) misbehave(options.mode);
  const artifacts = state.todo.flatMap((id) => (options.artifacts ?? [{}]).map((one) => artifact(options.url, id, one)));
  const result = options.result ?? { tag: "handed-over", val: { artifacts: (options.artifacts ?? [{}]).length, missing: [] } };
  const outcomes = event.tag === "refresh" ? [] : state.todo.map((id) => ({ conversation: id, result }));
  return { ...nothing, artifacts, outcomes, next: done };
}

function misbehave(mode) {
  if (mode === "loop") for (;;) {}
  if (mode === "memory") for (const all = []; ; ) all.push(new Uint8Array(1 << 20).fill(1));
  if (mode === "trap") throw new Error("boom");
}

function artifact(url, id, { recording = "r", contentType, size, sha256, path = "media" }) {
  return {
    key: { tag: "recording", val: { conversation: id, recording: expand(recording), part: 0 } },
    download: { url: `${url}/${path}?of=${encodeURIComponent(id + expand(recording))}`, headers: [], authenticated: false, expires: undefined },
    contentType: contentType === undefined ? undefined : expand(contentType),
    container: { tag: "single" },
    size,
    sha256,
  };
}

function conversation(id, { start = 1767607200000, end = 1767607500000 }) {
  const none = { agents: [], queues: [], wrapUpCodes: [], tags: [], divisions: [], mediaTypes: [], attributes: [] };
  return { id, start, end, recorded: true, ...none };
}

function expand(value) {
  return value.$repeat ? value.$repeat[0].repeat(value.$repeat[1]) : value;
}

function keep(state) {
  const ascii = JSON.stringify(state).replace(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return { version: 1, data: Uint8Array.from(ascii, (c) => c.charCodeAt(0)) };
}

function decode(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
