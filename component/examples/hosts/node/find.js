// A host in Node: finds the conversations of a range and prints each as a line of JSON.
//
//   node find.js SOURCE OPTIONS FROM UNTIL
//
// SOURCE is the file that `jco transpile --instantiation async` makes of a component. OPTIONS are a JSON
// object without `interval`; FROM and UNTIL are milliseconds since 1970. The environment has CLIENT_ID and
// CLIENT_SECRET for a source that wants OAuth client credentials.

import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const { CLIENT_ID, CLIENT_SECRET } = process.env;
const [path, options, from, until] = process.argv.slice(2);

const { instantiate } = await import(pathToFileURL(resolve(path)));
const modules = new Map();

/// An instance of its own for each call: nothing is kept between two, and one that trapped is not used again.
async function fresh() {
  const load = async (name) => {
    if (!modules.has(name)) {
      modules.set(name, await WebAssembly.compile(await readFile(join(dirname(path), name))));
    }
    return modules.get(name);
  };
  // It imports nothing.
  return (await instantiate(load, {})).source;
}

/// Calls a function of the source; an error that it returns is named.
async function call(name, ...input) {
  const source = await fresh();
  try {
    return source[name](...input);
  } catch (error) {
    throw error.payload ? new Error(`${error.payload.tag}: ${JSON.stringify(error.payload.val)}`) : error;
  }
}

const now = () => BigInt(Date.now());
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/// Sends what the source asks for to the origins that it has announced, and adds the credentials.
async function network(scheme, started) {
  const allowed = started.origins.filter(({ role }) => role === "api").map(({ url }) => url);
  const credentials = {};
  if (scheme.tag === "oauth2-client-credentials") {
    for (const [name, value] of Object.entries({ CLIENT_ID, CLIENT_SECRET })) {
      if (!value) {
        console.error(`${name} is not set: export CLIENT_ID and CLIENT_SECRET for the log-in`);
        process.exit(1);
      }
    }
    const client = Buffer.from(`${CLIENT_ID}:${CLIENT_SECRET}`).toString("base64");
    const response = await fetch(started.tokenUrl, {
      method: "POST",
      headers: { authorization: `Basic ${client}` },
      body: new URLSearchParams({ grant_type: "client_credentials" }),
    });
    if (!response.ok) {
      throw new Error(`log-in: status ${response.status}`);
    }
    credentials.authorization = `Bearer ${(await response.json()).access_token}`;
  } else if (scheme.tag !== "none") {
    throw new Error(`the log-in \`${scheme.tag}\` is not part of this example`);
  }
  return async ({ method, url, headers, body }) => {
    if (!allowed.includes(new URL(url).origin)) {
      return { tag: "err", val: { tag: "refused", val: "the origin is not announced" } };
    }
    for (;;) {
      let response;
      try {
        const all = { ...Object.fromEntries(headers), ...credentials };
        response = await fetch(url, { method: method.toUpperCase(), headers: all, body, redirect: "manual" });
        if (response.status !== 429) {
          const bytes = new Uint8Array(await response.arrayBuffer());
          const val = { status: response.status, headers: [...response.headers], body: bytes };
          return { tag: "ok", val };
        }
      } catch (error) {
        return { tag: "err", val: { tag: "unreachable", val: String(error) } };
      }
      await pause(1000 * Number(response.headers.get("retry-after") ?? 5));
    }
  };
}

const described = await call("describe");
console.error(`${described.name} ${described.version}, for ${described.vendor}`);
const work = { name: "find", range: { from: BigInt(from), until: BigInt(until) } };
const started = await call("start", options, { tag: "find", val: work }, now());
const send = await network(described.auth, started);
const known = new Set(started.splits.map(({ id }) => id));
const waiting = started.splits.map(({ state }) => ({ state, event: { tag: "resume" } }));
while (waiting.length) {
  const { state, event } = waiting.shift();
  const step = await call("step", options, state, event, now());
  for (const conversation of step.conversations) {
    console.log(JSON.stringify(conversation, (_, value) => (typeof value === "bigint" ? Number(value) : value)));
  }
  for (const { level, text } of step.notes) {
    console.error(`${level}: ${text}`);
  }
  for (const split of step.splits.filter(({ id }) => !known.has(id))) {
    known.add(split.id);
    waiting.push({ state: split.state, event: { tag: "resume" } });
  }
  const { tag, val } = step.next;
  if (tag === "send") {
    waiting.push({ state: val.state, event: { tag: "response", val: await send(val.request) } });
  } else if (tag === "wait") {
    // A host that has more to do does it in the meantime.
    await pause(Math.max(0, Number(val.until - now())));
    waiting.push({ state: val.state, event: { tag: "resume" } });
  }
}
