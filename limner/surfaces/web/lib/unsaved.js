/**
 * What was typed of library images and is not saved: it outlives the panel and the page, and is sent when the server is
 * back.
 */
import { ask, onState } from "./api.js";
import { lineOf, say } from "./ui.js";
import { t } from "./i18n.js";

const unsaved = new Map(); // address of an image's words → {typed, problem, waits}

/** What was typed of an image, by the name of its field. */
export const typedOf = (address) => unsaved.get(address)?.typed ?? {};

/** Why it could not be saved; "" where that was not tried. */
export const problemOf = (address) => unsaved.get(address)?.problem ?? "";

/**
 * Keep what is typed in a field; undefined lets go of it. more: {problem, waits: whether it is sent once the server is
 * back}. The event "limner-unsaved" tells where `problemOf` changed.
 */
export function keep(address, words, more = {}) {
  const before = unsaved.get(address) ?? { problem: "", waits: false };
  const problem = problemOf(address);
  const typed = Object.fromEntries(Object.entries({ ...before.typed, ...words }).filter(([, value]) => value !== undefined));
  if (Object.keys(typed).length) unsaved.set(address, { ...before, typed, ...more });
  else unsaved.delete(address);
  if (problemOf(address) !== problem) dispatchEvent(new Event("limner-unsaved"));
}

/** Nothing is left to be saved of an image that is gone. */
export const forget = (address) => unsaved.delete(address);

/**
 * Save words of an image; null takes the folder's again. Gives the line that says why it failed, or "".
 *
 * What was typed on in the meantime is kept. The event "limner-words" brings {address, image}.
 */
export async function save(address, words) {
  if (unsaved.has(address)) unsaved.get(address).waits = false;
  try {
    const image = await (await ask(address, { method: "PATCH", json: words })).json();
    const typed = typedOf(address);
    const saved = (name) => words[name] === null || typed[name]?.trim() === words[name];
    keep(address, Object.fromEntries(Object.keys(words).map((name) => [name, saved(name) ? undefined : typed[name]])));
    dispatchEvent(new CustomEvent("limner-words", { detail: { address, image } }));
    return "";
  } catch (error) {
    keep(address, {}, { problem: lineOf(error), waits: error.status === 0 });
    return lineOf(error);
  }
}

addEventListener("beforeunload", (event) => unsaved.size > 0 && event.preventDefault());

onState(async ({ offline }) => {
  if (offline !== false) return;
  for (const [address, one] of [...unsaved]) {
    if (!unsaved.get(address)?.waits) continue;
    const why = await save(address, Object.fromEntries(Object.entries(one.typed).map(([name, text]) => [name, text.trim()])));
    if (why && !unsaved.get(address)?.waits) say(t("words-refused", { why }), true); // refused, long after it was left
  }
});
