/** A block of text in the article: read as published, typed over in place; and its tools in the margin. */
import { html, useEffect, useLayoutEffect, useRef, useState } from "../lib/html.js";
import { t } from "../lib/i18n.js";
import { useKept } from "../lib/kept.js";
import { Grown, Icon } from "../lib/ui.js";
import { rowsOf } from "./changes.js";
import { same } from "./seen.js";
/** @import { InputOf, Marked, Ref, TextBlock, Instruction } from "../types.js" */
/** @import { Act, Place } from "./actions.js" */
/** @import { Desk } from "./desk.js" */

/** Position in code points, as the server counts, of one in a JavaScript string. @param {string} text @param {number} at */
export const points = (text, at) => [...text.slice(0, at)].length;

/** Keys that end typing. @param {KeyboardEvent} event @param {() => void} done */
function ends(event, done) {
  if (event.key !== "Escape" && !(event.key === "Enter" && (event.ctrlKey || event.metaKey))) return;
  event.preventDefault();
  event.stopPropagation();
  done();
}

/** Markdown being typed. The desk keeps it with every key, and sends it on a pause and when it is left. @param {{block: TextBlock, desk: Desk, done: () => void, remember: (marked: Marked) => void}} props */
export function Typing({ block, desk, done, remember }) {
  const [text, setText] = useState(desk.drafts.get(block.id)?.text ?? block.text);
  const began = useRef(block.text);
  const area = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  useLayoutEffect(() => {
    const box = area.current;
    box?.focus({ preventScroll: true });
    box?.setSelectionRange(text.length, text.length);
    box?.scrollIntoView({ block: "nearest" });
  }, []);
  useEffect(() => { // changed by somebody else while nothing is typed here
    if (desk.drafts.has(block.id)) return;
    began.current = block.text;
    setText(block.text);
  }, [block.text]);
  /** @param {{currentTarget: HTMLTextAreaElement}} event */
  const noted = ({ currentTarget: box }) => remember({ block: block.id, text: box.value, from: box.selectionStart, to: box.selectionEnd });
  /** @param {InputOf} event */
  const type = (event) => {
    desk.type(block.id, event.target.value, began.current);
    setText(event.target.value);
    noted(event);
  };
  return html`<${Grown} area=${area} class=${`typing ${block.kind}`} dir="auto" spellcheck aria-label=${t("typing")} value=${text}
    onInput=${type} onSelect=${noted} onKeyUp=${noted} onKeyDown=${(/** @type {KeyboardEvent} */ e) => ends(e, done)} onBlur=${() => done()} />`;
}

/** New text as Markdown. id: a name of its own. given: what it begins with. @param {{after: string | null, id: string, given: string, desk: Desk, done: () => void}} props */
export function InsertingMarkdown({ after, id, given, desk, done }) {
  const [text, setText] = useState(given);
  const area = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  useLayoutEffect(() => {
    area.current?.focus({ preventScroll: true });
    area.current?.scrollIntoView({ block: "nearest" });
  }, []);
  /** @param {InputOf} event */
  const type = (event) => {
    desk.type(`new:${id}`, event.target.value, "", after);
    setText(event.target.value);
  };
  return html`<${Grown} area=${area} class="typing paragraph" dir="auto" spellcheck aria-label=${t("inserting")} placeholder=${t("inserting")}
    value=${text} onInput=${type} onKeyDown=${(/** @type {KeyboardEvent} */ e) => ends(e, done)} onBlur=${() => done()} />`;
}

/** A block as it will be published. Its HTML was made safe by the server; until that has answered it is plain text. @param {{block: TextBlock}} props */
export function Reading({ block }) {
  if (block.pending) return html`<div class="rendered pending" dir="auto">${block.kind === "heading" ? html`<h2>${block.text.replace(/^#+\s*/, "")}</h2>` : html`<p>${block.text}</p>`}</div>`;
  return html`<div class="rendered" dir="auto" dangerouslySetInnerHTML=${{ __html: block.html }} />`;
}

/**
 * What can be done with the block that is chosen.
 * @param {{block: TextBlock, place: Place, desk: Desk, ask: (instruction: Instruction) => void, act: Act, marked: Marked | null, box: Ref<HTMLTextAreaElement>}} props
 */
export function TextTools({ block, place, desk, ask, act, marked, box }) {
  const [said, setSaid] = useKept(`${rowsOf(desk.job)}said/${block.id}`, "");
  const part = marked && marked.block === block.id && marked.to > marked.from && same(marked.text) === same(block.text) ? marked : null;
  const caret = marked && marked.block === block.id && marked.from > 0 && marked.from < marked.text.length;
  /** @param {"rewrite" | "expand" | "shorten"} name */
  const instruction = (name) => {
    /** @type {[number, number] | null} */
    const selection = part && [points(part.text, part.from), points(part.text, part.to)];
    ask({ do: name, block: block.id, instruction: said.trim(), selection });
  };
  /** @param {"before" | "after"} where */
  const write = (where) => ask({ do: "write", block: block.id, where, instruction: said.trim() });
  const off = block.locked;
  /** @param {string} name @param {() => unknown} run @param {{icon?: string, keys?: string, disabled?: boolean, danger?: boolean}} how */
  const tool = (name, run, { icon, keys, disabled = off, danger } = {}) => html`
    <button type="button" disabled=${disabled} class=${danger ? "danger" : ""} title=${keys || ""} onClick=${run}>
      ${icon && html`<${Icon} name=${icon} />`}${name}</button>`;
  return html`
    <h2 class="label">${t(`kind-${block.kind}`)}${off ? ` · ${t("locked")}` : ""}</h2>
    <div class="tools">
      ${tool(t("edit"), act.edit, { keys: "⏎" })}
      ${block.kind !== "verbatim" && tool(t("edit-markdown"), act.markdown, { keys: "Ctrl+Shift+E" })}
      ${tool(off ? t("unlock") : t("lock"), act.lock, { icon: off ? "unlock" : "lock", disabled: false })}
      ${tool(t("move-up"), () => act.move(-1), { icon: "up", keys: "Alt+↑", disabled: off || place.first })}
      ${tool(t("move-down"), () => act.move(1), { icon: "down", keys: "Alt+↓", disabled: off || place.last })}
      ${tool(t("insert-before"), () => act.insert(-1), { icon: "plus", disabled: false })}
      ${tool(t("insert-after"), () => act.insert(1), { icon: "plus", keys: "Ctrl+⏎", disabled: false })}
      ${block.kind === "paragraph" && tool(t("place-image"), act.picture, { icon: "image", disabled: false })}
      ${tool(t("split"), act.split, { disabled: off || !caret, keys: t("split-hint") })}
      ${tool(t("merge"), act.merge, { disabled: off || !place.mergeable })}
      ${tool(t("delete"), act.remove, { icon: "trash", keys: "Ctrl+⌫", danger: true })}
    </div>
    ${block.kind !== "verbatim" && html`<div class="asking">
      <label for="said">${part ? t("said-part", { words: part.text.slice(part.from, part.to).slice(0, 40) }) : t("said")}</label>
      <${Grown} id="said" area=${box} dir="auto" value=${said} placeholder=${t("said-example")} onInput=${(/** @type {InputOf} */ e) => setSaid(e.target.value)} />
      <div class="tools">
        ${tool(t("instruction-rewrite"), () => instruction("rewrite"))}${tool(t("instruction-expand"), () => instruction("expand"))}${tool(t("instruction-shorten"), () => instruction("shorten"))}
        ${tool(t("write-before"), () => write("before"), { disabled: !said.trim() })}${tool(t("write-after"), () => write("after"), { disabled: !said.trim() })}
      </div>
    </div>`}`;
}
