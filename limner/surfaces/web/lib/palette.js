/** The palette: everything that can be done on the page, found by its name. */
import { html, useRef, useState } from "./html.js";
import { t } from "./i18n.js";
import { bindings } from "./keys.js";
import { Modal } from "./ui.js";
/** @import { Binding, InputOf } from "../types.js" */

/** @type {Record<string, string>} */
const NICE = { ArrowUp: "↑", ArrowDown: "↓", Enter: "⏎", Escape: "Esc", Backspace: "⌫", Mod: /Mac/.test(navigator.platform) ? "⌘" : "Ctrl" };
/** A key as it stands on a keyboard. @param {string} key */
export const nice = (key) => key.split("+").map((part) => NICE[part] || (part.length === 1 ? part.toUpperCase() : part)).join(" ");

/** @param {{binding: Binding}} props */
export const Shown = ({ binding }) => html`${(binding.shown || binding.key || "").split(" ").filter(Boolean).map((key) => html`<kbd>${nice(key)}</kbd> `)}`;

/** @param {{onClose: () => void}} props */
export function Palette({ onClose }) {
  const [all] = useState(() => bindings().filter((one) => one.says && one.key !== "Mod+k" && one.key !== "Escape"));
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const list = useRef(/** @type {HTMLUListElement | null} */ (null));
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const fitting = all.filter((one) => words.every((word) => one.says?.toLowerCase().includes(word)));
  /** @param {Binding | undefined} one @param {Event} event */
  const run = (one, event) => {
    if (!one) return;
    event.preventDefault();
    onClose();
    // Once the dialog is gone, and with it the focus that it gives back.
    requestAnimationFrame(() => one.run(new KeyboardEvent("keydown")));
  };
  /** @param {number} to */
  const go = (to) => {
    setAt(to);
    list.current?.children[to]?.scrollIntoView({ block: "nearest" });
  };
  /** @param {KeyboardEvent} event */
  const keys = (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter") return run(fitting[at], event);
    const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (!by) return;
    event.preventDefault();
    go(Math.min(fitting.length - 1, Math.max(0, at + by)));
  };
  return html`<${Modal} title=${t("palette")} onClose=${onClose}>
    <input type="search" role="combobox" aria-expanded="true" aria-controls="palette-list" aria-activedescendant=${fitting[at] ? `palette-${at}` : undefined} autofocus
      aria-label=${t("palette-search")} placeholder=${t("palette-search")} value=${text} onKeyDown=${keys}
      onInput=${(/** @type {InputOf<HTMLInputElement>} */ e) => { setText(e.target.value); setAt(0); }} />
    <ul class="palette" id="palette-list" role="listbox" aria-label=${t("palette")} ref=${list}>${fitting.map((one, n) => html`
      <li id=${`palette-${n}`} role="option" aria-selected=${n === at} onClick=${(/** @type {MouseEvent} */ e) => run(one, e)}><span>${one.says}</span><span><${Shown} binding=${one} /></span></li>`)}</ul>
    ${fitting.length === 0 && html`<p class="quietly">${t("palette-none")}</p>`}
  </${Modal}>`;
}
