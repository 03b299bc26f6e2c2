/** Which part of an image is shown: a rectangle drawn with the pointer or set with four sliders. The file stays whole. */
import { html, useRef, useState } from "../lib/html.js";
import { t } from "../lib/i18n.js";
import { Modal, Picture } from "../lib/ui.js";
/** @import { ImageBlock, InputOf } from "../types.js" */
/** @import { Desk } from "./desk.js" */
/** Left, top, width and height, as fractions. @typedef {[number, number, number, number]} Crop */

const LEAST = 0.05; // of a side; less is a slip of the hand
/** @type {Crop} */
const WHOLE = [0, 0, 1, 1];
/** @param {number} value @param {number} low @param {number} high */
const between = (value, low, high) => Math.min(high, Math.max(low, value));
/** @param {Crop} crop */
const rounded = (crop) => /** @type {Crop} */ (crop.map((part) => Math.round(part * 1000) / 1000));

/** The largest part with a ratio of sides, around the middle of what is chosen now. @param {number} ratio @param {ImageBlock} image @param {Crop} crop */
export function ofRatio(ratio, image, crop) {
  const [x, y] = [crop[0] + crop[2] / 2, crop[1] + crop[3] / 2];
  const w = Math.min(1, (ratio * image.height) / image.width);
  const h = Math.min(1, image.width / image.height / ratio);
  return rounded([between(x - w / 2, 0, 1 - w), between(y - h / 2, 0, 1 - h), w, h]);
}

/** @param {{block: ImageBlock, desk: Desk, onClose: () => void}} props */
export function CropDialog({ block, desk, onClose }) {
  const [crop, setCrop] = useState(/** @type {Crop} */ (block.crop || WHOLE));
  const frame = useRef(/** @type {HTMLDivElement | null} */ (null));
  const from = useRef(/** @type {[number, number] | null} */ (null));
  /** @param {PointerEvent} event @returns {[number, number]} */
  const point = (event) => {
    const box = frame.current?.getBoundingClientRect();
    if (!box) return [0, 0];
    return [between((event.clientX - box.left) / box.width, 0, 1), between((event.clientY - box.top) / box.height, 0, 1)];
  };
  /** @param {PointerEvent} event */
  const down = (event) => {
    frame.current?.setPointerCapture(event.pointerId);
    from.current = point(event);
    event.preventDefault();
  };
  /** @param {PointerEvent} event */
  const move = (event) => {
    if (!from.current) return;
    const [x, y] = point(event), [x0, y0] = from.current;
    /** @type {Crop} */
    const drawn = [Math.min(x, x0), Math.min(y, y0), Math.abs(x - x0), Math.abs(y - y0)];
    if (drawn[2] >= LEAST && drawn[3] >= LEAST) setCrop(rounded(drawn));
  };
  /** @param {number} n @param {number} value */
  const slide = (n, value) => {
    /** @type {Crop} */
    const next = [...crop];
    next[n] = value;
    if (n < 2) next[n + 2] = Math.min(next[n + 2], 1 - value);
    else next[n - 2] = Math.min(next[n - 2], 1 - value);
    const [left, top, width, height] = next;
    setCrop(rounded([between(left, 0, 1 - LEAST), between(top, 0, 1 - LEAST), between(width, LEAST, 1), between(height, LEAST, 1)]));
  };
  const save = () => {
    const whole = crop.every((part, n) => Math.abs(part - WHOLE[n]) < 0.005);
    /** @type {Crop} */
    const fits = [crop[0], crop[1], Math.min(crop[2], 1 - crop[0]), Math.min(crop[3], 1 - crop[1])];
    desk.edit([{ do: "crop_image", image: block.id, crop: whole ? null : fits }]);
    onClose();
  };
  const [x, y, w, h] = crop.map((part) => `${part * 100}%`);
  const names = ["crop-left", "crop-top", "crop-width", "crop-height"];
  return html`
    <${Modal} wide title=${t("crop-title")} onClose=${onClose} actions=${html`
      <button type="button" onClick=${onClose}>${t("discard")}</button><button type="button" class="primary" onClick=${save}>${t("apply")}</button>`}>
      <div class="cropping" ref=${frame} onPointerDown=${down} onPointerMove=${move} onPointerUp=${() => { from.current = null; }}>
        <${Picture} src=${block.src} alt=${block.alt} width=${block.width} height=${block.height} />
        <div class="cut" style=${`left:${x};top:${y};width:${w};height:${h}`}></div>
      </div>
      <div class="tools">
        <button type="button" onClick=${() => setCrop(WHOLE)}>${t("crop-whole")}</button>
        ${/** @type {[string, number][]} */ ([["16:9", 16 / 9], ["3:2", 1.5], ["1:1", 1], ["4:5", 0.8]]).map(([name, ratio]) => html`<button type="button" onClick=${() => setCrop(ofRatio(ratio, block, crop))}>${name}</button>`)}
      </div>
      <div class="sliders">${names.map((name, n) => html`<label>${t(name)}<input type="range" min=${n < 2 ? 0 : LEAST} max=${n < 2 ? 1 - LEAST : 1} step="0.01" value=${crop[n]} onInput=${(/** @type {InputOf<HTMLInputElement>} */ e) => slide(n, Number(e.target.value))} /></label>`)}</div>
    </${Modal}>`;
}
