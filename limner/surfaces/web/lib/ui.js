/** Small parts that every page uses: pictures, dialogs, notices, differences. */
import { html, useEffect, useLayoutEffect, useRef, useState } from "./html.js";
import { Refused, blobUrl, hasToken } from "./api.js";
import { server, t } from "./i18n.js";
import { compare } from "./words.js";

/** @import { Child, InputOf, Ref } from "../types.js" */

/** @type {Record<string, string>} */
const PATHS = {
  undo: "M9 7 4 12l5 5M4 12h10a5 5 0 0 1 0 10h-1",
  redo: "m15 7 5 5-5 5M20 12H10a5 5 0 0 0 0 10h1",
  lock: "M6 11h12v9H6zM8.500 11V8a3.500 3.500 0 0 1 7 0v3",
  unlock: "M6 11h12v9H6zM8.500 11V8a3.500 3.500 0 0 1 6.800-1.200",
  up: "M12 19V6M6 11l6-6 6 6",
  down: "M12 5v13M6 13l6 6 6-6",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  grip: "M9 6h.01M15 6h.01M9 12h.01M15 12h.01M9 18h.01M15 18h.01",
  image: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.500 9h.01",
  close: "M6 6l12 12M18 6 6 18",
  check: "m5 13 4 4L19 7",
  plus: "M12 5v14M5 12h14",
  crop: "M7 3v14h14M3 7h14v14",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l5 5",
  "theme-light": "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.400 1.400M17.600 17.600 19 19M5 19l1.400-1.400M17.600 6.400 19 5",
  "theme-dark": "M20 14.500A8.500 8.500 0 0 1 9.500 4 8.500 8.500 0 1 0 20 14.500z",
  "theme-system": "M3 5h18v11H3zM8 20h8M12 16v4",
  link: "M10 14a4 4 0 0 0 6 .5l3-3a4 4 0 0 0-5.700-5.700L12 7M14 10a4 4 0 0 0-6-.5l-3 3a4 4 0 0 0 5.700 5.700L12 17",
  more: "M6 12h.01M12 12h.01M18 12h.01",
};

/** A line drawing; decoration beside a name that is read out. @param {{name: string}} props */
export const Icon = ({ name }) => html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;

/** A button with a drawing, its name for screen readers and as a tip. @param {{icon: string, name: string, keys?: string, [rest: string]: unknown}} props */
export const IconButton = ({ icon, name, keys, ...rest }) => html`
  <button type="button" class="quiet square" aria-label=${name} title=${keys ? `${name} (${keys})` : name} ...${rest}>
    <${Icon} name=${icon} />
  </button>`;

/** @typedef {{src: string, alt: string, width?: number, height?: number, crop?: number[] | null, [rest: string]: unknown}} PictureProps */

/** An image of the API. With a token it is fetched once it comes near the window, for <img> sends none. @param {PictureProps} props */
export function Picture({ src, alt, width, height, crop, ...rest }) {
  const [url, setUrl] = useState(hasToken() ? null : src);
  const [broken, setBroken] = useState(false);
  const image = useRef(/** @type {HTMLImageElement | null} */ (null));
  useEffect(() => {
    setBroken(false);
    if (!hasToken()) return setUrl(src);
    let current = true;
    const near = new IntersectionObserver((seen) => {
      if (!seen.some((entry) => entry.isIntersecting)) return;
      near.disconnect();
      blobUrl(src).then((made) => current && setUrl(made), () => current && setBroken(true));
    }, { rootMargin: "600px" });
    if (image.current) near.observe(image.current);
    return () => { current = false; near.disconnect(); };
  }, [src]);
  const size = width && height ? `--own: ${width}px; --ratio: ${width / height}` : undefined; // its place, before it is there
  const shown = html`<img ref=${image} src=${url || undefined} alt=${alt} width=${width} height=${height} style=${size} loading="lazy"
    decoding="async" draggable=${false} class=${broken ? "broken" : ""} onError=${() => setBroken(true)} ...${rest} />`;
  if (!crop || !width || !height) return shown;
  const [left, top, w, h] = crop.map((part, n) => (n > 1 ? Math.max(part, 0.02) : part));
  const frame = `aspect-ratio: ${(width * w) / (height * h)}; --w: ${100 / w}%; --h: ${100 / h}%; --x: ${(-100 * left) / w}%; --y: ${(-100 * top) / h}%`;
  return html`<div class="crop" style=${frame}>${shown}</div>`;
}

/** A dialog on top of the page. Escape and a click beside it close it. @param {{title: string, onClose: () => void, children?: Child, wide?: boolean, actions?: Child}} props */
export function Modal({ title, onClose, children, wide, actions }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useLayoutEffect(() => {
    const before = document.activeElement;
    const shown = dialog.current;
    shown?.showModal();
    return () => {
      shown?.close(); // while it is open, nothing behind it takes the focus
      if (before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
    };
  }, []);
  /** @param {MouseEvent} event */
  const beside = (event) => event.target === dialog.current && onClose();
  return html`
    <dialog ref=${dialog} class=${wide ? "wide" : ""} aria-labelledby="dialog-title" onCancel=${(/** @type {Event} */ e) => { e.preventDefault(); onClose(); }} onMouseDown=${beside}>
      <div class="dialog">
        <header><h2 id="dialog-title">${title}</h2><${IconButton} icon="close" name=${t("close")} onClick=${onClose} /></header>
        <div class="dialog-body">${children}</div>
        ${actions && html`<footer class="actions">${actions}</footer>`}
      </div>
    </dialog>`;
}

/** A textarea as high as its text. @param {{value: string, area?: Ref<HTMLTextAreaElement>, onInput?: (e: InputOf) => void, [rest: string]: unknown}} props */
export function Grown({ value, area, onInput, ...rest }) {
  const own = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  const ref = area || own;
  const fit = () => {
    const box = ref.current;
    if (!box) return;
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight + 2}px`;
  };
  useLayoutEffect(fit, [value]);
  return html`<textarea ref=${ref} value=${value} rows="1" onInput=${(/** @type {InputOf} */ e) => { fit(); onInput?.(e); }} ...${rest}></textarea>`;
}

/** What changed, word by word. words: as `compare` gives them, made here where they are not given. @param {{before?: string, after?: string, words?: {op: string, text: string}[]}} props */
export function Difference({ before = "", after = "", words }) {
  const steps = words || compare(before, after);
  return html`<p class="difference" dir="auto">${steps.length === 2 && steps[0].op === "removed" ? html`<del>${steps[0].text}</del><br /><ins>${steps[1].text}</ins>` : steps.map(({ op, text }) =>
    op === "added" ? html`<ins>${text}</ins>` : op === "removed" ? html`<del>${text}</del>` : text)}</p>`;
}

/** One line that is read out when it changes. problem: whether it tells of something that went wrong. @param {{text: string, problem?: boolean, children?: Child}} props */
export const Notice = ({ text, problem, children }) => html`
  <p class=${`notice ${problem ? "problem" : ""}`} role=${problem ? "alert" : "status"}>${text}${children}</p>`;

/** A field with its label and a hint. @param {{label: string, hint?: string, id: string, children?: Child, inline?: boolean}} props */
export function Field({ label, hint, id, children, inline }) {
  return html`<div class=${`field ${inline ? "inline" : ""}`}>
    <label for=${id}>${label}</label>${children}${hint && html`<small id=${`${id}-hint`}>${hint}</small>`}
  </div>`;
}

/** Something being waited for. @param {{text?: string}} props */
export const Busy = ({ text }) => html`<p class="busy" role="status"><span class="spinner" aria-hidden="true"></span>${text || t("loading")}</p>`;

/** The line to show for an error. @param {unknown} error */
export function lineOf(error) {
  if (error instanceof Refused && error.status === 0) return t("offline-line");
  return server(error instanceof Error ? error.message : String(error), error instanceof Refused ? error.problem : undefined);
}

/** What can be done about something that is told. @typedef {{name: string, run: () => unknown}} Action */

/** Tell of something for some seconds, at the bottom of the window. @param {string} text @param {boolean} [problem] @param {Action} [action] */
export function say(text, problem = false, action) {
  dispatchEvent(new CustomEvent("limner-say", { detail: { text, problem, action } }));
}

/** Where `say` is shown. */
export function Toasts() {
  const [shown, setShown] = useState(/** @type {{text: string, problem: boolean, action?: Action} | null} */ (null));
  useEffect(() => {
    let timer = 0;
    /** @param {Event} event */
    const hear = (event) => {
      if (!(event instanceof CustomEvent)) return;
      setShown(event.detail);
      clearTimeout(timer);
      timer = setTimeout(() => setShown(null), event.detail.problem || event.detail.action ? 12_000 : 4000);
    };
    addEventListener("limner-say", hear);
    return () => removeEventListener("limner-say", hear);
  }, []);
  return html`<div class="toasts" role="status" aria-live="polite">
    ${shown && html`<div class=${`toast ${shown.problem ? "problem" : ""}`}><span>${shown.text}</span>
      ${shown.action && html`<button type="button" class="act" onClick=${() => { setShown(null); shown.action?.run(); }}>${shown.action.name}</button>`}
      <${IconButton} icon="close" name=${t("close")} onClick=${() => setShown(null)} /></div>`}
  </div>`;
}
