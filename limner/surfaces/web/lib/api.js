/**
 * The HTTP API: one function that asks, and errors that carry the line the server wrote for people.
 *
 * A token is kept for this tab only. Where one is set, plain links and <img> cannot carry it, so files come through
 * `blobUrl`.
 */
const KEY = "limner-token";
const listeners = new Set();

/** What the server refused, or `status` 0 where it could not be reached. `problem` is the problem+json body. */
export class Refused extends Error {
  constructor(status, detail, problem = {}) {
    super(detail);
    this.status = status;
    this.problem = problem;
  }
}

export const token = () => sessionStorage.getItem(KEY);
export const hasToken = () => token() !== null;

export function setToken(value) {
  if (value) sessionStorage.setItem(KEY, value);
  else sessionStorage.removeItem(KEY);
  tell({ locked: false });
}

/** Hear of changes: {offline: bool}, {locked: bool}. Returns what ends it. */
export function onState(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell(news) {
  for (const listener of listeners) listener(news);
}

/** The response to a request. Raises Refused. options.json is sent as the body. */
export async function ask(path, { json, headers = {}, ...options } = {}) {
  const sent = { ...headers };
  if (token()) sent.Authorization = `Bearer ${token()}`;
  if (json !== undefined) {
    sent["Content-Type"] = "application/json";
    options.body = JSON.stringify(json);
    options.method ||= "POST";
  }
  let answer;
  try {
    answer = await fetch(path, { ...options, headers: sent });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    tell({ offline: true });
    throw new Refused(0, "offline");
  }
  tell({ offline: false });
  if (answer.ok) return answer;
  let problem = {};
  if ((answer.headers.get("content-type") || "").includes("json")) problem = await answer.json().catch(() => ({}));
  if (answer.status === 401) {
    sessionStorage.removeItem(KEY);
    tell({ locked: true });
  }
  throw new Refused(answer.status, problem.detail || `${answer.status} ${answer.statusText}`, problem);
}

export const get = async (path, options) => (await ask(path, options)).json();
export const post = async (path, json, options) => {
  const answer = await ask(path, { json: json ?? {}, method: "POST", ...options });
  return answer.status === 204 ? null : answer.json();
};

/** Address of a job's part, e.g. at("honey-1", "edits"). */
export const at = (job, ...parts) => ["/v1/jobs", encodeURIComponent(job), ...parts].join("/");

/** A name for a submission. crypto.randomUUID is missing on pages that came over plain HTTP from another machine. */
export function key() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (n) => n.toString(16).padStart(2, "0")).join("");
}

const blobs = new Map();

/** An object URL for a file that needs a token; the same one when asked again. */
export function blobUrl(path) {
  if (!blobs.has(path)) {
    const made = ask(path).then((answer) => answer.blob()).then((blob) => URL.createObjectURL(blob));
    made.catch(() => blobs.delete(path));
    blobs.set(path, made);
    if (blobs.size > 400) { // thumbnails of a long session
      const [oldest, url] = blobs.entries().next().value;
      blobs.delete(oldest);
      url.then(URL.revokeObjectURL, () => {});
    }
  }
  return blobs.get(path);
}

/** Save a file under a name. */
export async function download(path, name) {
  const url = URL.createObjectURL(await (await ask(path)).blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
