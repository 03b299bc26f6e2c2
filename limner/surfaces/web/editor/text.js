/** A block of text in the article: read as published, typed over in place; and its tools in the margin. */
import { html, useEffect, useLayoutEffect, useRef, useState } from "../lib/html.js";
import { t } from "../lib/i18n.js";
import { Grown, Icon } from "../lib/ui.js";

const PAUSE = 3000; // ms without a key before what was typed is saved

const same = (text) => text.replace(/\r\n?/g, "\n");
/** Position in code points, as the server counts, of one in a JavaScript string. */
export const points = (text, at) => [...text.slice(0, at)].length;

/** Markdown being typed. Saves itself on a pause and when it is left. */
export function Typing({ block, desk, done, remember }) {
  const [text, setText] = useState(block.text);
  const area = useRef();
  const latest = useRef({});
  latest.current = { text, block };
  const saved = useRef(block.text);
  const save = (leaving) => {
    const { text: now, block: one } = latest.current;
    if (same(now) === same(saved.current)) return;
    if (!now.trim()) {
      if (leaving) desk.edit([{ do: "delete_block", block: one.id }]);
      return;
    }
    if (!leaving && /\n\s*\n/.test(now)) return; // several blocks: cut when it is left, not under the hands
    saved.current = now;
    desk.edit([{ do: "set_text", block: one.id, text: now }], { typing: true });
  };
  useLayoutEffect(() => {
    area.current.focus({ preventScroll: true });
    area.current.setSelectionRange(text.length, text.length);
    area.current.scrollIntoView({ block: "nearest" });
    const warn = (event) => same(latest.current.text) !== same(saved.current) && event.preventDefault();
    addEventListener("beforeunload", warn);
    return () => { removeEventListener("beforeunload", warn); save(true); };
  }, []);
  useEffect(() => {
    const timer = setTimeout(() => save(false), PAUSE);
    return () => clearTimeout(timer);
  }, [text]);
  const keys = (event) => {
    if (event.key === "Escape" || (event.key === "Enter" && (event.ctrlKey || event.metaKey))) {
      event.preventDefault();
      event.stopPropagation();
      done();
    }
  };
  const noted = ({ currentTarget: box }) => remember({ block: block.id, text: box.value, from: box.selectionStart, to: box.selectionEnd });
  return html`<${Grown} area=${area} class=${`typing ${block.kind}`} dir="auto" spellcheck aria-label=${t("typing")} value=${text}
    onInput=${(e) => { setText(e.target.value); noted(e); }} onSelect=${noted} onKeyUp=${noted} onKeyDown=${keys} onBlur=${() => done()} />`;
}

/** New text, not yet in the article. */
export function Inserting({ after, desk, done }) {
  const [text, setText] = useState("");
  const area = useRef();
  const latest = useRef("");
  latest.current = text;
  useLayoutEffect(() => {
    area.current.focus({ preventScroll: true });
    area.current.scrollIntoView({ block: "nearest" });
    return () => latest.current.trim() && desk.edit([{ do: "insert_text", after, text: latest.current.trim() }]);
  }, []);
  const keys = (event) => {
    if (event.key === "Escape" || (event.key === "Enter" && (event.ctrlKey || event.metaKey))) {
      event.preventDefault();
      event.stopPropagation();
      done();
    }
  };
  return html`<div class="block chosen"><${Grown} area=${area} class="typing paragraph" dir="auto" spellcheck aria-label=${t("inserting")} placeholder=${t("inserting")}
    value=${text} onInput=${(e) => setText(e.target.value)} onKeyDown=${keys} onBlur=${() => done()} /></div>`;
}

/** A block as it will be published. Its HTML was made safe by the server; until that has answered it is plain text. */
export function Reading({ block }) {
  if (block.html === null) return html`<div class="rendered pending" dir="auto">${block.kind === "heading" ? html`<h2>${block.text.replace(/^#+\s*/, "")}</h2>` : html`<p>${block.text}</p>`}</div>`;
  return html`<div class="rendered" dir="auto" dangerouslySetInnerHTML=${{ __html: block.html }} />`;
}

/** What can be done with the block that is chosen. */
export function TextTools({ block, place, desk, ask, act, marked, box }) {
  const [said, setSaid] = useState("");
  const part = marked && marked.block === block.id && marked.to > marked.from && same(marked.text) === same(block.text) ? marked : null;
  const caret = marked && marked.block === block.id && marked.from > 0 && marked.from < marked.text.length;
  const wish = (name) => {
    const selection = part && [points(part.text, part.from), points(part.text, part.to)];
    ask({ wish: name, block: block.id, instruction: said.trim(), ...(selection && { selection }) });
  };
  const write = (where) => ask({ wish: "write", block: block.id, where, instruction: said.trim() });
  const off = block.locked;
  const tool = (name, run, { icon, keys, disabled = off, danger } = {}) => html`
    <button type="button" disabled=${disabled} class=${danger ? "danger" : ""} title=${keys || ""} onClick=${run}>
      ${icon && html`<${Icon} name=${icon} />`}${name}</button>`;
  return html`
    <h2 class="label">${t(`kind-${block.kind}`)}${off ? ` · ${t("locked")}` : ""}</h2>
    <div class="tools">
      ${tool(t("edit"), act.edit, { keys: "e" })}
      ${tool(off ? t("unlock") : t("lock"), act.lock, { icon: off ? "unlock" : "lock", keys: "l", disabled: false })}
      ${tool(t("move-up"), () => act.move(-1), { icon: "up", keys: "Alt+↑", disabled: off || place.first })}
      ${tool(t("move-down"), () => act.move(1), { icon: "down", keys: "Alt+↓", disabled: off || place.last })}
      ${tool(t("insert-before"), () => act.insert(-1), { icon: "plus", keys: "Shift+i", disabled: false })}
      ${tool(t("insert-after"), () => act.insert(1), { icon: "plus", keys: "i", disabled: false })}
      ${block.kind === "paragraph" && tool(t("place-image"), act.picture, { icon: "image", keys: "p", disabled: false })}
      ${tool(t("split"), act.split, { disabled: off || !caret, keys: t("split-hint") })}
      ${tool(t("merge"), act.merge, { keys: "m", disabled: off || !place.mergeable })}
      ${tool(t("delete"), act.remove, { icon: "trash", keys: "d", danger: true })}
    </div>
    ${block.kind !== "verbatim" && html`<div class="asking">
      <label for="said">${part ? t("said-part", { words: part.text.slice(part.from, part.to).slice(0, 40) }) : t("said")}</label>
      <${Grown} id="said" area=${box} dir="auto" value=${said} placeholder=${t("said-example")} onInput=${(e) => setSaid(e.target.value)} />
      <div class="tools">
        ${tool(t("wish-rewrite"), () => wish("rewrite"))}${tool(t("wish-expand"), () => wish("expand"))}${tool(t("wish-shorten"), () => wish("shorten"))}
        ${tool(t("write-before"), () => write("before"), { disabled: !said.trim() })}${tool(t("write-after"), () => write("after"), { disabled: !said.trim() })}
      </div>
    </div>`}`;
}
