/** What is on its way to the server, as it is kept on this device: drafts, changes, and words that wait for a decision. */
import { onState } from "../lib/api.js";
import { same } from "./seen.js";
/** @import { Changed, Edit, Revision } from "../types.js" */
/** @import { Hint } from "./apply.js" */

/**
 * A change on its way to the server, as it is kept.
 * @typedef {object} Op
 * @property {string} key
 * @property {number} order
 * @property {string} [name] what new text goes by until the server names it, also where it was taken back and is sent anew
 * @property {"edits" | "undo" | "redo" | "go"} path
 * @property {Edit[]} [edits]
 * @property {Record<string, string>} [was] what stood at its places when it was made
 * @property {string[]} [trail] the texts before its place, the nearest first
 * @property {number} [to]
 * @property {Hint} [hint]
 * @property {string} [what]
 * @property {boolean} [typing]
 * @property {"person" | "model"} [by]
 */
/** What is being typed at a place, or as new text (`new:…`). sent: what of it is on its way already. @typedef {{place: string, text: string, was: string, sent: string, trail: string[]}} Draft */
/** Words that wait for a decision. @typedef {{key: string, op: Op, place: string, gone: boolean, who: string, line: string}} Held */
/** @typedef {{edits: Edit[], was?: Record<string, string>, hint?: Hint, what?: string, typing?: boolean, by?: "person" | "model", trail?: string[]}} Made */
/** @typedef {{over: Promise<Revision | null>, done: (revision: Revision | null) => void}} Waiter */

/** @param {Draft} draft */
export const dirty = (draft) => same(draft.text) !== draft.sent;

/** Where a job's rows are. @param {string} job */
export const rowsOf = (job) => `job/${job}/`;
/** @param {string} job @param {Op} op */
export const rowOf = (job, op) => `${rowsOf(job)}op/${String(op.order).padStart(17, "0")}-${op.key}`;
/** @param {string} job @param {Held} one */
export const heldRow = (job, one) => `${rowsOf(job)}held/${one.key}`;

/** The edit that puts what was typed at its place. @param {string} place @param {string} text @param {string[]} trail @returns {Edit | null} */
export function editFor(place, text, trail) {
  if (place.startsWith("new:")) return text.trim() ? { do: "insert_text", after: trail[0] ?? null, text: text.trim() } : null;
  if (place === "title") return text.trim() ? { do: "set_title", title: text.trim() } : null;
  const [image, field] = place.split(".");
  if (field) return { do: "describe_image", image: image ?? "", [field]: text };
  return text.trim() ? { do: "set_text", block: place, text } : { do: "delete_block", block: place };
}

/** Where a change that was refused is shown. @param {Op} op */
export function placeOf(op) {
  const [edit] = op.edits ?? [];
  if (edit?.do === "set_text") return edit.block;
  if (edit?.do === "describe_image") return Object.keys(op.was ?? {})[0] ?? `${edit.image}.caption`;
  return edit?.do === "set_title" ? "title" : op.trail?.[0] ?? "";
}

/** The edits, new text after the nearest text before it that is still there. @param {Revision} head @param {Op} op @returns {Edit[]} */
export function placed(head, op) {
  const ids = new Set(head.blocks.map((block) => block.id));
  const near = op.trail?.find((id) => ids.has(id)) ?? null;
  return (op.edits ?? []).map((edit) => (edit.do === "insert_text" ? { ...edit, after: near } : edit));
}

/** Who changed a place. @param {Changed[] | undefined} rows @param {string} place */
export const by = (rows, place) => rows?.find((row) => row.block === place.split(".")[0])?.who ?? "";

/** @returns {Waiter} */
export function waiter() {
  /** @type {(revision: Revision | null) => void} */
  let done = () => {};
  const over = new Promise((/** @type {(revision: Revision | null) => void} */ resolve) => { done = resolve; });
  return { over, done };
}

/** Wait; shorter where the server is heard of again. @param {number} ms @param {boolean} silent whether it was not heard of @returns {Promise<void>} */
export function wakened(ms, silent) {
  return new Promise((resolve) => {
    const end = onState((news) => { if (silent && news.offline === false) over(); });
    const timer = setTimeout(() => over(), ms);
    const over = () => { clearTimeout(timer); end(); resolve(); };
  });
}
