/**
 * Text being typed: as it will be published where rich text can say it to the byte, else as its Markdown.
 *
 * A block has a surface of its own while it is typed in (rich/surface.js: one ProseMirror document). Each key goes to the
 * desk as Markdown, the way a key in a field of Markdown does, so what keeps typed words safe is the same for both.
 */
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../lib/html.js";
import { t } from "../lib/i18n.js";
import { say } from "../lib/ui.js";
import { Bubble } from "./bubble.js";
import { same } from "./seen.js";
import { InsertingMarkdown, Typing } from "./text.js";
/** @import { Caret, Marked, TextBlock } from "../types.js" */
/** @import { Desk } from "./desk.js" */
/** @import { Chosen, Surface } from "./rich/surface.js" */
/** @typedef {typeof import("./rich/surface.js")} Rich */
/** What keys do that lead out of a text, or cut it. @typedef {Pick<import("./rich/surface.js").Heard, "split" | "join" | "leave" | "undo" | "redo">} Hears */

/** @type {Promise<Rich | null> | null} */
let asked = null;
/** @type {Rich | null | undefined} undefined until it is known */
let loaded;
/** The editor of rich text, once; null where it could not be loaded: text is then edited as Markdown. @returns {Promise<Rich | null>} */
export function loadRich() {
  asked ??= import("./rich/surface.js").catch(() => { asked = null; return null; }).then((made) => (loaded = made));
  return asked;
}
export const richNow = () => loaded;

/** Whether text is edited as rich text, once that is known. */
export function useRich() {
  const [rich, setRich] = useState(loaded !== undefined);
  useEffect(() => { loadRich().then(() => setRich(true)); }, []);
  return rich;
}

/**
 * @typedef {object} Place what is typed at
 * @property {Rich} rich
 * @property {Desk} desk
 * @property {string} place
 * @property {string} text
 * @property {string} was
 * @property {string | null} [after] of new text
 * @property {string} label
 * @property {string} [hint]
 * @property {Caret} caret
 * @property {Hears} hears
 * @property {() => void} done
 * @property {(marked: Marked) => void} remember
 */
/** @param {Place} props */
function RichText({ rich, desk, place, text, was, after, label, hint = "", caret, hears, done, remember }) {
  const host = useRef(/** @type {HTMLDivElement | null} */ (null));
  const surface = useRef(/** @type {Surface | null} */ (null));
  const [chosen, setChosen] = useState(/** @type {Chosen | null} */ (null));
  const [linking, setLinking] = useState(false);
  const latest = useRef({ hears, done, remember });
  latest.current = { hears, done, remember };
  const began = useRef(was);
  useLayoutEffect(() => {
    if (!host.current) return;
    surface.current = new rich.Surface(host.current, { text, label, hint, heard: {
      changed: (typed) => desk.type(place, typed, began.current, after),
      selected: (now) => {
        setChosen(now);
        if (!now) setLinking(false);
        const marked = surface.current?.marked;
        if (marked) latest.current.remember({ block: place, ...marked });
      },
      split: (first, rest) => latest.current.hears.split(first, rest),
      join: (by) => latest.current.hears.join(by),
      leave: (by, x) => latest.current.hears.leave(by, x),
      link: () => { const can = !surface.current?.view.state.selection.empty; if (can) setLinking(true); return can; },
      done: () => latest.current.done(),
      undo: () => latest.current.hears.undo(),
      redo: () => latest.current.hears.redo(),
    } });
    surface.current.focus(caret);
    return () => { surface.current?.close(); surface.current = null; };
  }, []);
  useEffect(() => { // changed by somebody else while nothing is typed here
    if (desk.drafts.has(place)) return;
    began.current = was;
    surface.current?.take(same(was));
  }, [was]);
  return html`<div class="surface"><div ref=${host}></div>
    ${chosen && surface.current && html`<${Bubble} chosen=${chosen} surface=${surface.current} host=${host} linking=${linking} setLinking=${setLinking} done=${done} />`}</div>`;
}

/** A block being typed in. @param {{block: TextBlock, desk: Desk, source: boolean, caret: Caret, hears: Hears, done: () => void, remember: (marked: Marked) => void}} props */
export function Editing({ block, desk, source, caret, hears, done, remember }) {
  const [rich] = useState(richNow); // not another one under the hands: what is typed before it is there is typed as Markdown
  const text = same(desk.drafts.get(block.id)?.text ?? block.text);
  const can = useMemo(() => !!rich && !source && block.kind !== "verbatim" && rich.rich(text) !== null, [rich, source, block.id]);
  useLayoutEffect(() => () => {
    const left = desk.leave(block.id);
    if (left?.edits?.[0]?.do === "delete_block") say(t("removed-block"), false, { name: t("undo"), run: () => desk.undoOf(left) });
  }, []);
  if (!rich || !can) return html`<${Typing} block=${block} desk=${desk} done=${done} remember=${remember} />`;
  return html`<${RichText} rich=${rich} desk=${desk} place=${block.id} text=${text} was=${block.text} label=${t("typing-rich")} caret=${caret} hears=${hears} done=${done} remember=${remember} />`;
}

/** New text, not yet in the article. id: a name of its own. given: what it begins with. @param {{after: string | null, id: string, given: string, desk: Desk, caret: Caret, hears: Hears, done: () => void, remember: (marked: Marked) => void}} props */
export function Inserting({ after, id, given, desk, caret, hears, done, remember }) {
  const [rich] = useState(richNow);
  const place = `new:${id}`;
  const text = desk.drafts.get(place)?.text ?? given;
  const can = useMemo(() => !!rich && (!text || rich.rich(text) !== null), [rich]);
  useLayoutEffect(() => {
    if (given) desk.type(place, text, "", after);
    return () => { desk.leave(place); };
  }, []);
  return html`<div class="block chosen" data-new=${id}>${rich && can ? html`<${RichText} rich=${rich} desk=${desk} place=${place} text=${text} was="" after=${after} label=${t("inserting")} hint=${t("inserting")} caret=${caret} hears=${hears} done=${done} remember=${remember} />`
    : html`<${InsertingMarkdown} after=${after} id=${id} given=${text} desk=${desk} done=${done} />`}</div>`;
}
