// A source that makes the mistake that its option `mistake` names. Without one it finds two conversations
// by a request each and hands their recordings over.

export const source = { describe, start, step };

function describe() {
  return {
    name: "mistaken",
    version: "0.1.0",
    vendor: "A test",
    optionsSchema: JSON.stringify({ type: "object", properties: SCHEMA }),
    auth: { tag: "none" },
    rateLimit: undefined,
    dataClasses: [],
  };
}

const SCHEMA = { url: { type: "string" }, mistake: { type: "string" } };

function start(text, purpose) {
  const { url, mistake } = JSON.parse(text);
  const { name, conversations } = purpose.val ?? { name: "check" };
  if (mistake === "endless") for (;;) {}
  if (mistake === "memory") for (const all = []; ; ) all.push(new Uint8Array(1 << 20).fill(1));
  if (mistake === "throws") throw new Error("no payload");
  if (mistake === "recursion") deeper(0);
  if (mistake === "interval") throw { payload: { tag: "options", val: { path: "interval", message: "missing" } } };
  const origins = [{ url, role: "media" }];
  if (mistake !== "unannounced") origins.push({ url, role: "api" });
  const data = { name, mistake, todo: conversations?.map(({ id }) => id) };
  if (mistake === "size") data.padding = "x".repeat(300_000);
  const id = mistake === "names" ? "my-own-name" : `${name}/0`;
  const padding = mistake === "result" ? "x".repeat(34 << 20) : "list";
  return { origins, splits: [{ id, kind: padding, state: keep(data) }], fetchSize: 10 };
}

function step(text, memory, event, now) {
  const { url } = JSON.parse(text);
  const state = JSON.parse(String.fromCharCode(...memory.data));
  const { mistake } = state;
  const nothing = { conversations: [], artifacts: [], outcomes: [], splits: [], updates: [], notes: [] };
  if (state.todo) return { ...nothing, ...handOver(url, state, event), next: { tag: "done", val: keep(state) } };
  if (event.tag === "response") {
    const { tag, val } = event.val;
    if (tag === "err") throw { payload: { tag: "permanent", val: `no response: ${val.val}` } };
    const listed = JSON.parse(String.fromCharCode(...val.body));
    return { ...nothing, conversations: listed.map(conversation), next: { tag: "done", val: keep(state) } };
  }
  const headers = [["accept", "application/json"]];
  if (mistake === "authorization") headers.push(["Authorization", "Bearer s3cret"]);
  if (mistake === "header") headers.push(["x-name", "s3cret\n"]);
  const path = mistake === "forgets" && event.tag === "resume" && state.sent ? "other" : "list";
  state.sent = true;
  if (mistake === "state") state.padding = "x".repeat(300_000);
  const target = mistake === "relative" ? "calls.example/x y" : `${url}/${path}`;
  const request = { method: "get", url: target, headers, body: undefined, repeatable: true };
  return { ...nothing, next: { tag: "send", val: { request, state: keep(state) } } };
}

function handOver(url, { todo, mistake, name }, event) {
  const again = event.tag === "refresh";
  const part = mistake === "key" && again ? 7 : 0;
  const artifacts = todo.map((id) => ({
    key: { tag: "recording", val: { conversation: id, recording: `${id}-r`, part } },
    download: { url: `${url}/${id}.ogg?sig=s3cret`, headers: [], authenticated: false, expires: undefined },
    contentType: "audio/ogg",
    container: { tag: "single" },
    size: undefined,
    sha256: undefined,
  }));
  const owed = mistake === "outcome" ? todo.slice(1) : todo;
  const count = mistake === "count" ? 2 : 1;
  const result = { tag: "handed-over", val: { artifacts: count, missing: [] } };
  return { artifacts, outcomes: again ? [] : owed.map((conversation) => ({ conversation, result })) };
}

function conversation(id) {
  const none = { agents: [], queues: [], wrapUpCodes: [], tags: [], divisions: [], mediaTypes: [], attributes: [] };
  return { id, start: Date.UTC(2026, 0, 5, 9), end: Date.UTC(2026, 0, 5, 10), recorded: true, ...none };
}

function deeper(depth) {
  return deeper(depth + 1) + 1;
}

function keep(state) {
  return { version: 1, data: Uint8Array.from(JSON.stringify(state), (c) => c.charCodeAt(0)) };
}
