/**
 * What was typed of library images and is not saved: it outlives the panel and the page, and is sent when the server is
 * back.
 */
import { Refused, ask, onState } from "./api.js";
import { allKept, howKept, keep as write } from "./journal.js";
import { lineOf, say } from "./ui.js";
import { t } from "./i18n.js";

/** @import { LibraryImage, Words } from "../types.js" */
/** @typedef {{problem: string, waits: boolean}} How */

const ROWS = "words/"; // of the journal
/** @type {Map<string, How & {typed: Record<string, string>}>} */
const unsaved = new Map(); // address of an image's words → {typed, problem, waits}

/** What was typed of an image, by the name of its field. @param {string} address @returns {Record<string, string>} */
export const typedOf = (address) => unsaved.get(address)?.typed ?? {};

/** Why it could not be saved; "" where that was not tried. @param {string} address */
export const problemOf = (address) => unsaved.get(address)?.problem ?? "";

/**
 * Keep what is typed in a field; undefined lets go of it. more: {problem, waits: whether it is sent once the server is
 * back}. The event "limner-unsaved" tells where `problemOf` changed.
 * @param {string} address @param {Record<string, string | undefined>} words @param {Partial<How>} more
 */
export function keep(address, words, more = {}) {
  const before = unsaved.get(address) ?? { problem: "", waits: false };
  const problem = problemOf(address);
  /** @type {Record<string, string>} */
  const typed = {};
  for (const [name, value] of Object.entries({ ...typedOf(address), ...words })) if (value !== undefined) typed[name] = value;
  if (Object.keys(typed).length) unsaved.set(address, { ...before, typed, ...more });
  else unsaved.delete(address);
  write({ [`${ROWS}${address}`]: Object.keys(typed).length ? typed : undefined });
  if (problemOf(address) !== problem) dispatchEvent(new Event("limner-unsaved"));
}

/** Nothing is left to be saved of an image that is gone. @param {string} address */
export function forget(address) {
  unsaved.delete(address);
  write({ [`${ROWS}${address}`]: undefined });
}

/** What is kept on this device from before is there again, and is sent as soon as the server is heard of. */
export function restoreWords() {
  for (const [row, typed] of allKept(ROWS)) {
    const address = row.slice(ROWS.length);
    if (!unsaved.has(address)) unsaved.set(address, { typed: /** @type {Record<string, string>} */ (typed), problem: "", waits: true });
  }
}

/**
 * Write words of an image; null takes the folder's again. Gives the image as it is then; raises Refused.
 *
 * What was typed on in the meantime is kept. The event "limner-words" brings {address, image}.
 * @param {string} address @param {Words} words @returns {Promise<LibraryImage>}
 */
export async function patch(address, words) {
  /** @type {LibraryImage} */
  const image = await (await ask(address, { method: "PATCH", json: words })).json();
  const typed = typedOf(address);
  /** @param {keyof Words} name */
  const saved = (name) => words[name] === null || typed[name]?.trim() === words[name];
  keep(address, Object.fromEntries(/** @type {(keyof Words)[]} */ (Object.keys(words)).map((name) => [name, saved(name) ? undefined : typed[name]])));
  dispatchEvent(new CustomEvent("limner-words", { detail: { address, image } }));
  return image;
}

/** `patch`, whose failure is kept with what was typed. Gives the line that says why it failed, or "". @param {string} address @param {Words} words */
export async function save(address, words) {
  const waiting = unsaved.get(address);
  if (waiting) waiting.waits = false;
  try {
    await patch(address, words);
    return "";
  } catch (error) {
    keep(address, {}, { problem: lineOf(error), waits: error instanceof Refused && error.status === 0 });
    return lineOf(error);
  }
}

addEventListener("beforeunload", (event) => { if (unsaved.size > 0 && howKept() === "not") event.preventDefault(); });

addEventListener("limner-adopted", restoreWords);
onState(async ({ offline }) => {
  if (offline !== false) return;
  for (const [address, one] of [...unsaved]) {
    if (!unsaved.get(address)?.waits) continue;
    const why = await save(address, Object.fromEntries(Object.entries(one.typed).map(([name, text]) => [name, text.trim()])));
    if (why && !unsaved.get(address)?.waits) say(t("words-refused", { why }), true); // refused, long after it was left
  }
});
