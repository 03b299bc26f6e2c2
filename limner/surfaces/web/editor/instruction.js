/** Asking a model: the words for it, and its proposal, which is shown before anything changes. */
import { html, useEffect, useLayoutEffect, useRef, useState } from "../lib/html.js";
import { isAbort } from "../lib/api.js";
import { useKept } from "../lib/kept.js";
import { number, t } from "../lib/i18n.js";
/** @import { Block, InputOf, Proposal, Preview, Ref, Revision, Instruction } from "../types.js" */
/** @import { Desk } from "./desk.js" */
import { Busy, Difference, Grown, Modal, Notice, Picture, lineOf, say } from "../lib/ui.js";
import { rowsOf } from "./changes.js";

/** The most ids that can keep their order: all others were moved. @param {string[]} ids @param {string[]} order */
function inOrder(ids, order) {
  const at = new Map(order.map((id, n) => [id, n]));
  /** @param {string} id */
  const rank = (id) => at.get(id) ?? -1;
  const chains = ids.map(() => [1, -1]); // the longest one that ends at each id: [its length, the one before]
  let last = -1;
  ids.forEach((id, n) => {
    let best = [1, -1];
    for (let m = 0; m < n; m++) if (rank(ids[m]) < rank(id) && chains[m][0] >= best[0]) best = [chains[m][0] + 1, m];
    chains[n] = best;
    if (last < 0 || best[0] > chains[last][0]) last = n;
  });
  const kept = new Set();
  for (let n = last; n >= 0; n = chains[n][1]) kept.add(ids[n]);
  return kept;
}

/** @typedef {{change: string, block: Block, was?: Block}} Found */

/** Whether a block says or shows something else. @param {Block} was @param {Block} block */
function reworded(was, block) {
  if (was.type === "text") return block.type !== "text" || was.text !== block.text;
  if (block.type === "text") return true;
  return was.image_id !== block.image_id || was.caption !== block.caption || was.alt !== block.alt || was.credit !== block.credit || String(was.crop) !== String(block.crop);
}

/** What is different between two lists of blocks, in the order of the second; those taken away where they were. @param {Block[]} before @param {Block[]} after */
export function differences(before, after) {
  const old = new Map(before.map((block) => [block.id, block]));
  const now = new Set(after.map((block) => block.id));
  /** @param {Block} block */
  const written = (block) => block.type === "text";
  const order = before.filter((block) => written(block) && now.has(block.id)).map((block) => block.id);
  const stayed = inOrder(after.filter((block) => written(block) && old.has(block.id)).map((block) => block.id), order);
  /** @type {Found[]} */
  const found = [];
  for (const block of after) {
    const was = old.get(block.id);
    if (!was) found.push({ change: "added", block });
    else if (reworded(was, block))
      found.push({ change: "changed", block, was });
    else if (was.type === "image" && block.type === "image" ? was.after !== block.after : !stayed.has(block.id) && block.type === "text") found.push({ change: "moved", block, was });
    else if (was.locked !== block.locked) found.push({ change: block.locked ? "locked" : "unlocked", block, was });
  }
  for (const block of before) if (!now.has(block.id)) found.push({ change: "removed", block, was: block });
  return found;
}

/** @param {Found} props */
function Change({ change, block, was }) {
  /** @param {Block | undefined} one */
  const text = (one) => (one?.type === "text" ? one.text : one?.caption ?? "");
  /** @param {Block | undefined} one */
  const image = (one) => one?.type === "image" && html`<${Picture} src=${one.thumbnail} alt=${one.alt || one.caption} />`;
  return html`<li class=${change}>
    <p class="label">${t(`change-${change}`)} <small>${t(`kind-${block.type === "text" ? block.kind : "image"}`)}</small></p>
    ${block.type === "image"
      ? html`<div class="pair">${was?.type === "image" && was.image_id !== block.image_id && image(was)}${change !== "removed" ? image(block) : image(was)}</div>
          <${Difference} before=${text(was)} after=${change === "removed" ? "" : block.caption} />`
      : change === "moved" || change === "locked" || change === "unlocked"
        ? html`<p class="difference" dir="auto">${text(block).slice(0, 160)}</p>`
        : html`<${Difference} before=${text(was)} after=${change === "removed" ? "" : text(block)} />`}
  </li>`;
}

/** A list of differences between two articles. @param {{before: Preview, after: Preview}} props */
export function Changes({ before, after }) {
  const found = differences(before.blocks, after.blocks);
  return html`<ul class="changes">
    ${before.title !== after.title && html`<li class="changed"><p class="label">${t("kind-title")}</p><${Difference} before=${before.title} after=${after.title} /></li>`}
    ${before.language !== after.language && html`<li class="changed"><p class="label">${t("article-language")}</p><${Difference} before=${before.language} after=${after.language} /></li>`}
    ${found.map((one) => html`<${Change} key=${`${one.change}${one.block.id}`} ...${one} />`)}
  </ul>
  ${found.length === 0 && before.title === after.title && before.language === after.language && html`<p class="quietly">${t("change-none")}</p>`}`;
}

/**
 * Ask for an instruction and show what would come of it. Closed without a decision, the proposal is kept for as long as the article stays as it is.
 * @param {{desk: Desk, instruction: Instruction, onClose: () => void, again: () => void, applied: () => void}} props
 */
export function ProposalDialog({ desk, instruction, onClose, again, applied }) {
  const [found, setFound] = useState(/** @type {Proposal | null} */ (null));
  const [problem, setProblem] = useState("");
  useEffect(() => {
    const ended = new AbortController();
    desk.propose(instruction, ended.signal).then(setFound, (error) => { if (!isAbort(error)) setProblem(lineOf(error)); });
    return () => ended.abort();
  }, []);
  const asked = (instruction.do === "instruct" ? instruction.text : "instruction" in instruction && instruction.instruction) || t(`instruction-${instruction.do}`);
  const apply = () => {
    onClose();
    applied();
    if (!found) return;
    const op = desk.edit(found.edits, { by: "model", what: t("proposal-what", { says: asked.slice(0, 200) }) });
    say(t("proposal-applied"), false, { name: t("undo"), run: () => desk.undoOf(op) });
  };
  const close = () => {
    onClose();
    if (found) say(t("proposal-kept"), false, { name: t("proposal-again"), run: again });
  };
  const can = found !== null && found.edits.length > 0;
  return html`
    <${Modal} wide title=${t("proposal-title")} onClose=${close} actions=${html`
      <button type="button" onClick=${onClose}>${t("discard")}</button>
      <button type="button" class="primary" disabled=${!can} onClick=${apply}>${t("apply")}</button>`}>
      ${problem ? html`<${Notice} problem text=${problem} />` : !found ? html`<${Busy} text=${t("proposal-busy")} />` : html`
        ${found.summary && html`<p class="says" dir="auto">${found.summary}</p>`}
        ${desk.confirmed && html`<${Changes} before=${desk.confirmed} after=${found.preview} />`}
        ${found.spent > 0 && html`<p class="quietly">${t("tokens", { n: number(found.spent) })}</p>`}`}
    </${Modal}>`;
}

/** What is asked of the article as a whole: a free instruction, tone, language, everything anew. @param {{ask: (instruction: Instruction) => void, box: Ref<HTMLTextAreaElement>, revision: Revision, desk: Desk}} props */
export function WholeInstructions({ ask, box, revision, desk }) {
  const [text, setText] = useKept(`${rowsOf(desk.job)}instruction`, "");
  const [tone, setTone] = useState("");
  const [language, setLanguage] = useState("");
  const seed = useRef(1);
  /** @param {Event} event */
  const instruct = (event) => {
    event.preventDefault();
    if (text.trim()) ask({ do: "instruct", text: text.trim() });
  };
  /** @param {"text" | "images" | "all"} what */
  const anew = (what) => ask({ do: "regenerate", what, seed: seed.current++ });
  return html`
    <form onSubmit=${instruct}>
      <label for="instruct">${t("instruct")}</label>
      <${Grown} id="instruct" area=${box} value=${text} dir="auto" placeholder=${t("instruct-example")} onInput=${(/** @type {InputOf} */ e) => setText(e.target.value)}
        onKeyDown=${(/** @type {KeyboardEvent} */ e) => e.key === "Enter" && !e.shiftKey && !e.isComposing && instruct(e)} />
      <button class="primary" disabled=${!text.trim()}>${t("propose")}</button>
    </form>
    <details><summary>${t("whole-more")}</summary>
      <form onSubmit=${(/** @type {Event} */ e) => { e.preventDefault(); if (tone.trim()) ask({ do: "restyle", instruction: tone.trim() }); }}>
        <label for="tone">${t("instruction-restyle")}</label>
        <div class="with"><input id="tone" value=${tone} placeholder=${t("tone-example")} onInput=${(/** @type {InputOf<HTMLInputElement>} */ e) => setTone(e.target.value)} /><button>${t("propose")}</button></div>
      </form>
      <form onSubmit=${(/** @type {Event} */ e) => { e.preventDefault(); if (language.trim()) ask({ do: "translate", language: language.trim() }); }}>
        <label for="translate">${t("instruction-translate")}</label>
        <div class="with"><input id="translate" value=${language} placeholder=${revision.language === "de" ? "en" : "de"} pattern="[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*" onInput=${(/** @type {InputOf<HTMLInputElement>} */ e) => setLanguage(e.target.value)} /><button>${t("propose")}</button></div>
      </form>
      <p class="label">${t("instruction-regenerate")}</p>
      <div class="tools">${/** @type {("text" | "images" | "all")[]} */ (["text", "images", "all"]).map((what) => html`<button type="button" onClick=${() => anew(what)}>${t(`anew-${what}`)}</button>`)}</div>
      <${Titles} revision=${revision} desk=${desk} />
    </details>`;
}

/** @param {{revision: Revision, desk: Desk}} props */
function Titles({ revision, desk }) {
  const [title, setTitle] = useState(revision.title);
  const [language, setLanguage] = useState(revision.language);
  useEffect(() => setTitle(revision.title), [revision.title]);
  useEffect(() => setLanguage(revision.language), [revision.language]);
  /** @param {string} value */
  const type = (value) => {
    desk.type("title", value, revision.title);
    setTitle(value);
  };
  useLayoutEffect(() => () => { desk.leave("title"); }, []);
  const mark = () => language.trim() && language !== revision.language && desk.edit([{ do: "set_language", language: language.trim() }]);
  return html`
    <label for="title">${t("article-title")}</label><input id="title" dir="auto" value=${title} onInput=${(/** @type {InputOf<HTMLInputElement>} */ e) => type(e.target.value)} onBlur=${() => desk.leave("title")} />
    <label for="marked">${t("article-language")}</label><input id="marked" value=${language} onInput=${(/** @type {InputOf<HTMLInputElement>} */ e) => setLanguage(e.target.value)} onBlur=${mark} />`;
}
