/**
 * A job's events as they happen. Read with fetch, because EventSource sends no token; like it, this comes back with
 * Last-Event-ID after a lost connection, so nothing is missed and nothing is seen twice.
 */
import { Refused, ask } from "./api.js";
/** @import { JobEvent } from "../types.js" */

const AGAIN = 1000; // ms before the next try

/**
 * Call `see` with each event of a job from the first one on. Returns what ends it.
 * @param {string} path of the stream
 * @param {(event: JobEvent) => void} see
 * @param {(there: boolean) => void} connected whether the stream is open now
 * @param {() => void} over called once the job has ended
 */
export function watch(path, see, connected, over) {
  const ended = new AbortController();
  let last = 0;

  async function once() {
    const headers = { Accept: "text/event-stream", ...(last ? { "Last-Event-ID": String(last) } : {}) };
    const answer = await ask(path, { headers, signal: ended.signal, cache: "no-store" });
    connected(true);
    if (answer.status === 204 || !answer.body) return true;
    for await (const data of events(answer.body)) {
      const event = JSON.parse(data);
      if (event.seq <= last) continue;
      last = event.seq;
      see(event);
    }
    return false;
  }

  (async () => {
    while (!ended.signal.aborted) {
      try {
        if (await once()) return over();
      } catch (error) {
        if (ended.signal.aborted) return;
        if (error instanceof Refused && error.status && error.status < 500) return connected(false);
        connected(false);
      }
      await pause(AGAIN, ended.signal);
    }
  })();
  return () => ended.abort();
}

/** Wait, or until the connection is back, or until it is ended. @param {number} ms @param {AbortSignal} signal @returns {Promise<void>} */
function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    addEventListener("online", () => resolve(), { once: true });
    signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}

/** The data of each server-sent event in a body. @param {ReadableStream<Uint8Array<ArrayBuffer>>} body */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const parts = rest.split("\n\n");
    rest = parts.pop() ?? "";
    for (const part of parts) {
      const data = part.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart());
      if (data.length) yield data.join("\n");
    }
  }
}
