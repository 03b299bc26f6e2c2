/**
 * The HTTP API: one function that asks, and errors that carry the line the server wrote for people.
 *
 * A token is kept for this tab only. Where one is set, plain links and <img> cannot carry it, so files come through
 * `blobUrl`.
 */
/** @import { Got, Knowing, Options, Problem, Sent } from "../types.js" */
/** @typedef {{offline?: boolean, locked?: boolean}} News */

const KEY = "limner-token";
/** @type {Set<(news: News) => void>} */
const listeners = new Set();

/** What the server refused, or `status` 0 where it could not be reached. `problem` is the problem+json body. */
export class Refused extends Error {
  /** @param {number} status @param {string} detail @param {Problem} problem */
  constructor(status, detail, problem = {}) {
    super(detail);
    this.status = status;
    this.problem = problem;
  }
}

/** An error as one that was refused; what is no answer of the server's is thrown on. @param {unknown} error */
export function refused(error) {
  if (error instanceof Refused) return error;
  throw error;
}

export const token = () => sessionStorage.getItem(KEY);
export const hasToken = () => token() !== null;

/** @param {string} value */
export function setToken(value) {
  if (value) sessionStorage.setItem(KEY, value);
  else sessionStorage.removeItem(KEY);
  tell({ locked: false });
}

/** Hear of changes. Returns what ends it. @param {(news: News) => void} listener */
export function onState(listener) {
  listeners.add(listener);
  return () => { listeners.delete(listener); };
}

/** @param {News} news */
function tell(news) {
  for (const listener of listeners) listener(news);
}

/**
 * An address: `{name}` in a template becomes its value; of the query what is empty is left out.
 * @param {string} template @param {object} [path] @param {object} [query]
 */
export function address(template, path = {}, query = {}) {
  const gaps = new Map(Object.entries(path));
  const made = template.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(gaps.get(name)));
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined && one !== null && one !== "") asked.append(name, String(one));
  }
  return asked.size ? `${made}?${asked}` : made;
}

/**
 * The response to a request. Raises Refused. options.json is sent as the body.
 * @param {string} path @param {Omit<RequestInit, "headers"> & {json?: unknown, headers?: Record<string, string>}} [options]
 */
export async function ask(path, { json, headers = {}, ...options } = {}) {
  const sent = { ...headers };
  const known = token();
  if (known) sent.Authorization = `Bearer ${known}`;
  if (json !== undefined) {
    sent["Content-Type"] = "application/json";
    options.body = JSON.stringify(json);
    options.method ||= "POST";
  }
  let answer;
  try {
    answer = await fetch(path, { ...options, headers: sent });
  } catch (error) {
    if (isAbort(error)) throw error;
    tell({ offline: true });
    throw new Refused(0, "offline");
  }
  tell({ offline: false });
  if (answer.ok) return answer;
  /** @type {Problem} */
  let problem = {};
  if ((answer.headers.get("content-type") || "").includes("json")) problem = await answer.json().catch(() => ({}));
  if (answer.status === 401) {
    sessionStorage.removeItem(KEY);
    tell({ locked: true });
  }
  throw new Refused(answer.status, problem.detail || `${answer.status} ${answer.statusText}`, problem);
}

/** Whether a request was given up by the page itself. @param {unknown} error */
export const isAbort = (error) => error instanceof Error && error.name === "AbortError";

/**
 * @template {Knowing<"get">} P
 * @param {P} template @param {Options<P, "get">} options
 * @returns {Promise<Got<P, "get">>} raises Refused
 */
export async function get(template, options) {
  const { path, query, ...more } = /** @type {{path?: object, query?: object}} */ (options);
  return (await ask(address(template, path, query), more)).json();
}

/**
 * @template {Knowing<"post">} P
 * @param {P} template @param {Sent<P, "post"> | null} json @param {Options<P, "post">} options
 * @returns {Promise<Got<P, "post">>} raises Refused
 */
export async function post(template, json, options) {
  const { path, ...more } = /** @type {{path?: object}} */ (options);
  return (await ask(address(template, path), { json: json ?? {}, method: "POST", ...more })).json();
}

/** A name for a submission. crypto.randomUUID is missing on pages that came over plain HTTP from another machine. */
export function key() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (n) => n.toString(16).padStart(2, "0")).join("");
}

/** @type {Map<string, Promise<string>>} */
const blobs = new Map();

/** An object URL for a file that needs a token; the same one when asked again. @param {string} path */
export function blobUrl(path) {
  const known = blobs.get(path);
  if (known) return known;
  const made = ask(path).then((answer) => answer.blob()).then((blob) => URL.createObjectURL(blob));
  made.catch(() => blobs.delete(path));
  blobs.set(path, made);
  for (const [oldest, url] of blobs) { // thumbnails of a long session
    if (blobs.size <= 400) break;
    blobs.delete(oldest);
    url.then(URL.revokeObjectURL, () => {});
  }
  return made;
}

/** Save a file under a name. @param {string} path @param {string} name */
export async function download(path, name) {
  const url = URL.createObjectURL(await (await ask(path)).blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
