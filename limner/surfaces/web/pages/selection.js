/** Several pictures of a library at once: which are selected, and what can be done to them. */
import { html, useRef, useState } from "../lib/html.js";
import { get } from "../lib/api.js";
import { number, t } from "../lib/i18n.js";
import { IconButton, lineOf, say } from "../lib/ui.js";
/** @import { LibraryImage } from "../types.js" */
/** @import { Shown } from "./libraries.js" */
/** @typedef {ReturnType<typeof useSelection>} Selection */

export const MOST = 2000; // pictures selected at once: minutes of work for a server
const PAGE = 200; // pictures asked for at once

/** The selected pictures, by id. */
export function useSelection() {
  const [picked, setPicked] = useState(/** @type {Map<string, Shown>} */ (new Map()));
  const anchor = useRef(/** @type {string | null} */ (null));
  /** @param {Shown} one */
  const toggle = (one) => {
    anchor.current = one.image_id;
    setPicked((now) => {
      const next = new Map(now);
      if (!next.delete(one.image_id)) next.set(one.image_id, one);
      return next;
    });
  };
  /** @param {Shown[]} images */
  const add = (images) => setPicked((now) => new Map([...now, ...images.map((one) => /** @type {[string, Shown]} */ ([one.image_id, one]))].slice(0, MOST)));
  /** From the one before to this one. @param {Shown} one @param {Shown[]} images as they stand in the list */
  const upTo = (one, images) => {
    const to = images.indexOf(one);
    const from = images.findIndex((other) => other.image_id === anchor.current);
    anchor.current = one.image_id;
    add(images.slice(Math.min(to, from < 0 ? to : from), Math.max(to, from) + 1));
  };
  const clear = () => { anchor.current = null; setPicked((now) => (now.size ? new Map() : now)); };
  /** @param {string} id */
  const drop = (id) => setPicked((now) => new Map([...now].filter(([one]) => one !== id)));
  /** Take over what changed of a picture. @param {LibraryImage} image */
  const change = (image) => setPicked((now) => (now.has(image.image_id) ? new Map(now).set(image.image_id, image) : now));
  return { picked, toggle, upTo, add, clear, drop, change };
}

/** All pictures of a listing, up to MOST. @param {string} name @param {{without?: "caption" | "alt" | "credit" | "licence", only: string[]}} query */
export async function everyImage(name, query) {
  /** @type {LibraryImage[]} */
  const images = [];
  let after = "";
  do {
    const page = await get("/v1/libraries/{name}/images", { path: { name }, query: { ...query, limit: PAGE, after } });
    images.push(...page.images);
    after = page.next ?? "";
  } while (after && images.length < MOST);
  return images;
}

/**
 * @typedef {object} BarProps
 * @property {Selection} selection
 * @property {number} total pictures found, of which some may not be shown yet
 * @property {() => Promise<Shown[]>} every asks for all of these
 * @property {(() => void) | null} edit
 * @property {(() => void) | null} remove
 */

/** What can be done to the selected pictures, at the bottom of the window. @param {BarProps} props */
export function SelectionBar({ selection, total, every, edit, remove }) {
  const [busy, setBusy] = useState(false);
  const n = selection.picked.size;
  const all = async () => {
    setBusy(true);
    try {
      selection.add(await every());
    } catch (error) {
      say(lineOf(error), true);
    }
    setBusy(false);
  };
  return html`<section class="selection" aria-label=${t("selection")}>
    <span role="status">${t("selected", { n: number(n), count: n })}</span>
    ${n < Math.min(total, MOST) && html`<button type="button" class="link" disabled=${busy} onClick=${all}>${total > MOST ? t("select-most", { n: number(MOST) }) : t("select-all", { n: number(total) })}</button>`}
    <span class="fill"></span>
    ${edit && html`<button type="button" class="primary" onClick=${edit}>${t("words")}</button>`}
    ${remove && html`<button type="button" class="danger" onClick=${remove}>${t("delete")}</button>`}
    <${IconButton} icon="close" name=${t("select-none")} keys="Esc" onClick=${selection.clear} />
  </section>`;
}
