/** The palette: everything that can be done on the page, other pages, and articles and libraries, found by their names. */
import { html, useEffect, useRef, useState } from "./html.js";
import { get, isAbort } from "./api.js";
import { t } from "./i18n.js";
import { bindings } from "./keys.js";
import { go as visit } from "./router.js";
import { Modal, lineOf } from "./ui.js";
/** @import { Binding, InputOf } from "../types.js" */

const PAUSE = 150; // ms of no typing before articles are asked for
const ARTICLES = 8;
/** @type {Record<string, string>} */
const NICE = { ArrowUp: "↑", ArrowDown: "↓", Enter: "⏎", Escape: "Esc", Backspace: "⌫", Mod: /Mac/.test(navigator.platform) ? "⌘" : "Ctrl" };
/** A key as it stands on a keyboard. @param {string} key */
export const nice = (key) => key.split("+").map((part) => NICE[part] || (part.length === 1 ? part.toUpperCase() : part)).join(" ");

/** @param {{binding: Binding}} props */
export const Shown = ({ binding }) => html`${(binding.shown || binding.key || "").split(" ").filter(Boolean).map((key) => html`<kbd>${nice(key)}</kbd> `)}`;

/** Articles by their title: the latest, or those that have the text in it. @param {string} text @param {(line: string) => void} fail */
function useArticles(text, fail) {
  const [found, setFound] = useState({ asked: "", articles: /** @type {Binding[]} */ ([]) });
  useEffect(() => {
    const ended = new AbortController();
    const look = () => get("/v1/jobs", { query: { search: text, limit: ARTICLES }, signal: ended.signal }).then(
      ({ jobs }) => { setFound({ asked: text, articles: jobs.map((job) => ({ says: job.title, kind: "article", run: () => visit("job", job.id) })) }); fail(""); },
      (error) => { if (!isAbort(error)) fail(lineOf(error)); },
    );
    const timer = setTimeout(look, text ? PAUSE : 0);
    return () => { clearTimeout(timer); ended.abort(); };
  }, [text]);
  return found.asked === text ? found.articles : []; // never those of other words
}

/** @param {(line: string) => void} fail */
function useLibraries(fail) {
  const [found, setFound] = useState(/** @type {Binding[]} */ ([]));
  useEffect(() => {
    get("/v1/libraries", {}).then(({ libraries }) => setFound(libraries.map(({ name }) => ({ says: name.startsWith("own.") ? t("own-library") : name, kind: "library", run: () => visit("libraries", name) }))), (error) => fail(lineOf(error)));
  }, []);
  return found;
}

/** @param {{onClose: () => void}} props */
export function Palette({ onClose }) {
  const [all] = useState(() => bindings().filter((one) => one.says && one.key !== "Mod+k" && one.key !== "Escape"));
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const [problem, setProblem] = useState("");
  const list = useRef(/** @type {HTMLUListElement | null} */ (null));
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const articles = useArticles(text.trim(), setProblem);
  const libraries = useLibraries(setProblem);
  /** @param {Binding[]} some */
  const named = (some) => some.filter((one) => words.every((word) => one.says?.toLowerCase().includes(word)));
  const fitting = [...named(all), ...named(libraries), ...articles];
  const now = Math.min(at, fitting.length - 1); // answers came while one was chosen
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
    if (event.key === "Escape") { // which else empties the field first
      event.preventDefault();
      return onClose();
    }
    if (event.key === "Enter") return run(fitting[now], event);
    const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (!by) return;
    event.preventDefault();
    go((now + by + fitting.length) % fitting.length);
  };
  return html`<${Modal} title=${t("palette")} onClose=${onClose}>
    <input type="search" role="combobox" aria-expanded="true" aria-controls="palette-list" aria-autocomplete="list" aria-activedescendant=${fitting[now] ? `palette-${now}` : undefined} autofocus
      aria-label=${t("palette-search")} placeholder=${t("palette-search")} value=${text} onKeyDown=${keys}
      onInput=${(/** @type {InputOf<HTMLInputElement>} */ e) => { setText(e.target.value); setAt(0); }} />
    <ul class="palette" id="palette-list" role="listbox" aria-label=${t("palette")} ref=${list}>${fitting.map((one, n) => html`
      <li id=${`palette-${n}`} role="option" aria-selected=${n === now} onClick=${(/** @type {MouseEvent} */ e) => run(one, e)}><bdi>${one.says}</bdi><span class="kind">${one.kind && t(`palette-${one.kind}`)} <${Shown} binding=${one} /></span></li>`)}</ul>
    ${problem && html`<p class="unsaved" role="status">${problem}</p>`}
    ${fitting.length === 0 && html`<p class="quietly" role="status">${t("palette-none")}</p>`}
  </${Modal}>`;
}
