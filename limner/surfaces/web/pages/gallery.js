/** Pictures of a library in justified rows, each row as wide as the page; how large they are is remembered. */
import { html, useLayoutEffect, useRef, useState } from "../lib/html.js";
import { t } from "../lib/i18n.js";
import { thumbnail, wordsOf } from "../lib/images.js";
import { Icon, Picture } from "../lib/ui.js";
import { problemOf } from "../lib/unsaved.js";
import { MachineMade } from "./suggestions.js";
/** @import { InputOf } from "../types.js" */
/** @import { Shown } from "./libraries.js" */
/** @import { Selection } from "./selection.js" */

const KEY = "limner-row";
const ROW = { least: 90, most: 390, usual: 170, bare: 130 }; // px; under `bare` there is no room for words
const RATIO = { least: 0.45, most: 3.2 }; // beyond these a picture has bars, so that a panorama leaves the others room
const GAP = { usual: 12, tiny: 6 }; // px between two pictures

/** The height of a row, in px, kept on this device. @returns {[number, (row: number) => void]} */
export function useRow() {
  const [row, setRow] = useState(() => Math.min(ROW.most, Math.max(ROW.least, Number(localStorage.getItem(KEY)) || ROW.usual)));
  return [row, (next) => { localStorage.setItem(KEY, String(next)); setRow(next); }];
}

/** @param {{row: number, set: (row: number) => void}} props */
export const SizeSlider = ({ row, set }) => html`<label class="size" title=${t("picture-size")}><${Icon} name="image" /><span class="sr">${t("picture-size")}</span>
  <input type="range" min=${ROW.least} max=${ROW.most} step="20" value=${row} onInput=${(/** @type {InputOf<HTMLInputElement>} */ e) => set(Number(e.target.value))} /></label>`;

/** The thumbnail that is sharp in a row of a height. @param {number} row */
const side = (row) => (row * devicePixelRatio <= 140 ? 256 : row * devicePixelRatio <= 360 ? 512 : 1024);

/** @param {Shown} one */
const ratio = (one) => Math.min(RATIO.most, Math.max(RATIO.least, one.width / one.height || 1));

/**
 * Widths of pictures, in px, in rows that are as wide as the page: each row ends where its height comes nearest to what is
 * wanted. The last one is as high as that.
 * @param {number[]} ratios width / height @param {number} width @param {number} row @param {number} gap @returns {number[]}
 */
export function justified(ratios, width, row, gap) {
  /** @type {number[]} */
  const widths = [];
  /** @type {number[]} */
  let line = [];
  /** @param {number[]} some */
  const height = (some) => (width - gap * (some.length - 1)) / some.reduce((sum, one) => sum + one, 0);
  const off = (/** @type {number[]} */ some) => Math.abs(Math.log(height(some) / row));
  /** @param {number} high */
  const end = (high) => { widths.push(...line.map((one) => Math.floor(one * high * 100) / 100)); };
  for (const one of ratios) {
    if (line.length && off([...line, one]) > off(line)) {
      end(height(line));
      line = [];
    }
    line.push(one);
  }
  end(Math.min(row, height(line)));
  return widths;
}

/** The width of an element, in px; 0 until it is drawn. */
function useWidth() {
  const element = useRef(/** @type {HTMLUListElement | null} */ (null));
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const look = () => { if (element.current) setWidth(Math.floor(element.current.getBoundingClientRect().width)); };
    look();
    const seen = new ResizeObserver(look);
    if (element.current) seen.observe(element.current);
    return () => seen.disconnect();
  }, []);
  return { element, width };
}

/**
 * @typedef {object} GalleryProps
 * @property {string} library
 * @property {Shown[]} images
 * @property {string | null} chosen
 * @property {number} row
 * @property {Selection | null} selection
 * @property {(id: string) => void} choose
 */

/**
 * Click opens a picture; Ctrl-click, Shift-click and the box in its corner select it, and so does a click where some are
 * selected.
 * @param {GalleryProps} props
 */
export function Gallery({ library, images, chosen, row, selection, choose }) {
  /** @param {MouseEvent} event @param {Shown} one */
  const click = (event, one) => {
    if (selection && event.shiftKey) selection.upTo(one, images);
    else if (selection && (event.ctrlKey || event.metaKey || selection.picked.size)) selection.toggle(one);
    else choose(one.image_id);
  };
  const { element, width } = useWidth();
  const tiny = row < ROW.bare;
  const widths = justified(images.map(ratio), width, Math.min(row, width), GAP[tiny ? "tiny" : "usual"]);
  const selecting = selection !== null && selection.picked.size > 0;
  return html`<ul ref=${element} class=${`contact ${tiny ? "tiny" : ""} ${selecting ? "selecting" : ""}`} style=${`--gap: ${GAP[tiny ? "tiny" : "usual"]}px`}>${width > 0 && images.map((one, n) => {
    const picked = selection?.picked.has(one.image_id);
    return html`<li key=${one.image_id} class=${[one.image_id === chosen && "chosen", picked && "picked"].filter(Boolean).join(" ")} style=${`--ratio: ${ratio(one)}; width: ${widths[n]}px`}>
      <button type="button" id=${`i-${one.image_id}`} class="frame" aria-label=${one.caption} aria-pressed=${selecting ? picked : one.image_id === chosen} onClick=${(/** @type {MouseEvent} */ e) => click(e, one)}><${Picture} src=${thumbnail(library, one.image_id, side(row))} alt="" /></button>
      ${selection && html`<label class="tick"><input type="checkbox" aria-label=${t("select-of", { name: one.caption })} checked=${picked}
        onClick=${(/** @type {MouseEvent} */ e) => (e.shiftKey ? selection.upTo(one, images) : selection.toggle(one))} /></label>`}
      <p class=${`caption ${one.described ? "" : "bare"}`} dir="auto">${one.caption} <${MachineMade} of=${one} /></p>
      ${one.credit && html`<p class="credit" dir="auto">${one.credit}</p>`}
      ${problemOf(wordsOf(library, one.image_id)) && html`<p class="unsaved">${t("words-unsaved")}</p>`}</li>`;
  })}</ul>`;
}
