/** The article editor: the article as it will look, changed in place; the margin shows what can be done with what is chosen. */
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../lib/html.js";
import { t } from "../lib/i18n.js";
import { Refused } from "../lib/api.js";
import { keep } from "../lib/journal.js";
import { useKeys } from "../lib/keys.js";
import { link } from "../lib/router.js";
import { Busy, Icon, IconButton, Notice, lineOf } from "../lib/ui.js";
import { actions } from "./actions.js";
import { Beside, beside } from "./conflict.js";
import { CropDialog } from "./crop.js";
import { rowsOf } from "./changes.js";
import { deskOf } from "./desk.js";
import { useDrag } from "./drag.js";
import { ExportDialog } from "./export.js";
import { Figure, ImageTools, PlaceTools } from "./figure.js";
import { flow } from "./flow.js";
import { Reading, TextTools } from "./text.js";
import { Editing, Inserting, useRich } from "./writing.js";
import { ProposalDialog, WholeInstructions } from "./instruction.js";
/** @import { Block as BlockType, Candidate, Caret, JobWhole, Marked, Mode, Instruction } from "../types.js" */
/** @import { Desk } from "./desk.js" */
/** @import { Hears } from "./writing.js" */

const AGAIN = 2000; // ms before an article that could not be fetched is asked for again
const LOOK = 10_000; // ms between two looks for other people's changes

/** @param {string} job @returns {[Desk, string]} the desk, and why it cannot be shown */
function useDesk(job) {
  const [, turn] = useState(0);
  const [problem, setProblem] = useState("");
  const desk = useMemo(() => deskOf(job), [job]);
  useEffect(() => {
    let shown = true;
    const load = () => desk.load().then(() => setProblem(""), (error) => {
      setProblem(lineOf(error));
      if (shown && error instanceof Refused && error.status === 0) setTimeout(load, AGAIN);
    });
    desk.changed = () => turn((n) => n + 1);
    load();
    return () => {
      shown = false;
      desk.changed = () => {};
    };
  }, [desk]);
  return [desk, problem];
}

/** What the block is called, for screen readers. @param {BlockType} block @param {number} n */
function nameOf(block, n) {
  const locked = block.locked ? `, ${t("locked")}` : "";
  const words = block.type === "image" ? block.caption : block.text.replace(/^#+\s*/, "");
  return `${n + 1}. ${t(`kind-${block.type === "text" ? block.kind : "image"}`)}${locked}: ${words.slice(0, 60)}`;
}

/** Where the caret goes for a click: to its point, or over what was selected in the block by it. @param {MouseEvent} event @param {Element | null} element @returns {Caret} */
function pointed(event, element) {
  const selection = getSelection();
  const range = selection?.rangeCount ? selection.getRangeAt(0) : null;
  const rects = range && !range.collapsed && element?.contains(range.startContainer) && element.contains(range.endContainer) ? [...range.getClientRects()] : [];
  const [first, last] = [rects[0], rects.at(-1)];
  if (!first || !last) return { x: event.clientX, y: event.clientY };
  return { x: last.right, y: (last.top + last.bottom) / 2, anchor: { x: first.left, y: (first.top + first.bottom) / 2 } };
}

/**
 * @typedef {object} BlockProps
 * @property {BlockType} block
 * @property {number} n
 * @property {boolean} chosen
 * @property {Mode | null} mode what it is in the middle of, if it is typed in
 * @property {Hears | null} hears
 * @property {Desk} desk
 * @property {(id: string) => void} choose
 * @property {(at: Caret) => void} edit
 * @property {() => void} stopEditing
 * @property {(marked: Marked) => void} remember
 * @property {ReturnType<typeof useDrag>} drag
 */
/** @param {BlockProps} props */
function Block({ block, n, chosen, mode, hears, desk, choose, edit, stopEditing, remember, drag }) {
  const element = useRef(/** @type {HTMLDivElement | null} */ (null));
  const image = block.type === "image";
  const editing = !!mode;
  const fresh = block.type === "text" && block.fresh;
  const held = desk.held.filter((one) => (one.place.split(".")[0] ?? "") === block.id);
  useLayoutEffect(() => {
    const focused = document.activeElement;
    if (chosen && !editing && element.current && !element.current.contains(focused) && focused?.closest(".canvas, body") && !focused.closest(".margin")) {
      element.current.focus({ preventScroll: true });
      element.current.scrollIntoView({ block: "nearest", behavior: "auto" });
    }
  }, [chosen, editing]);
  useEffect(() => { // beside the tools, which cover a part of a small window
    if (chosen && image) requestAnimationFrame(() => element.current?.scrollIntoView({ block: "nearest" }));
  }, [chosen]);
  /** @param {MouseEvent} event */
  const click = (event) => {
    if (!(event.target instanceof Element)) return;
    const anchor = event.target.closest("a");
    if (anchor && (event.ctrlKey || event.metaKey)) return;
    if (anchor) event.preventDefault();
    choose(block.id);
    if (block.type === "text" && !block.locked && !event.target.closest(".grip") && !editing) edit(pointed(event, element.current));
  };
  return html`
    <div ref=${element} id=${`b-${block.id}`} data-id=${block.id} role="group" aria-label=${nameOf(block, n)} aria-current=${chosen ? "true" : undefined} tabindex=${chosen ? 0 : -1}
      class=${`block ${image ? "image" : block.kind} ${chosen ? "chosen" : ""} ${block.locked ? "locked" : ""}`}
      onClick=${click} ...${image && !block.locked ? drag.image(block) : {}}>
      ${!block.locked && !fresh && html`<button type="button" class="grip" tabindex=${chosen ? 0 : -1} aria-label=${`${t("drag")}: ${nameOf(block, n)}`} aria-pressed=${drag.lifted === block.id} title=${t("drag")} ...${drag.grip(block, nameOf(block, n))}><${Icon} name="grip" /></button>`}
      ${block.locked && html`<span class="lockmark" aria-hidden="true" title=${t("locked")}><${Icon} name="lock" /></span>`}
      ${block.type === "image" ? html`<${Figure} block=${block} />` : mode && hears ? html`<${Editing} key=${mode.source ? "source" : "rich"} block=${block} desk=${desk} source=${!!mode.source} caret=${mode.at ?? "end"} hears=${hears} done=${stopEditing} remember=${remember} />` : html`<${Reading} block=${block} />`}
      ${held.map((one) => html`<${Beside} key=${one.key} desk=${desk} one=${one} decided=${stopEditing} />`)}
    </div>`;
}

/** @param {{job: JobWhole}} props */
export function Editor({ job }) {
  const [desk, problem] = useDesk(job.id);
  const [chosen, setChosen] = useState(/** @type {string | null} */ (null));
  const [mode, setMode] = useState(/** @type {Mode | null} */ (null));
  const [instruction, setInstruction] = useState(/** @type {Instruction | null} */ (null));
  const [sheet, setSheet] = useState(false); // on a phone: the margin is open
  const [marked, setMarked] = useState(/** @type {Marked | null} */ (null)); // what is selected in the text that was typed last
  const area = /** @type {HTMLTextAreaElement | null} */ (null);
  const boxes = { whole: useRef(area), said: useRef(area), search: useRef(/** @type {HTMLInputElement | null} */ (null)) };
  const offered = useRef(/** @type {(Candidate | null)[]} */ ([]));
  const [spoken, speak] = useState(""); // for those who do not see what moved
  const drag = useDrag(desk, speak);
  const rich = useRich();
  const revision = desk.shown;
  const block = revision?.blocks.find((one) => one.id === chosen);
  const placing = mode?.placing && revision?.blocks.find((one) => one.id === mode.placing);
  useEffect(() => {
    const look = () => { if (!document.hidden) desk.refresh(); };
    const timer = setInterval(look, LOOK);
    addEventListener("focus", look);
    return () => { clearInterval(timer); removeEventListener("focus", look); };
  }, [desk]);
  useEffect(() => { if (revision) document.title = `${revision.title} · limner`; }, [revision?.title]);
  const act = revision && actions({ desk, revision, block, chosen, setChosen, mode, setMode, setInstruction, setSheet, marked, boxes, offered, speak });
  useKeys(act?.keys || []);
  if (problem && !revision) return html`<div class="page narrow"><${Notice} problem text=${problem} /><p><a href="#/">${t("nav-jobs")}</a></p></div>`;
  if (!revision || !act) return html`<${Busy} />`;
  /** @param {string} id */
  const choose = (id) => {
    setChosen(id);
    if (id !== mode?.editing) setMode(null);
    setSheet(revision.blocks.find((one) => one.id === id)?.type === "image");
  };
  /** To be typed in, if it is text; new text that is on its way already once it is there. @param {BlockType} one @param {Caret} at */
  const edit = (one, at) => {
    if (one.type !== "text") return;
    const op = one.fresh ? desk.takeBack(one.fresh) : null;
    const [made] = op?.edits ?? [];
    if (op && made?.do === "insert_text") setMode({ inserting: { after: op.trail?.[0] ?? null, id: op.name ?? op.key, text: made.text, at } });
    else if (!one.fresh) setMode({ editing: one.id, at });
    else desk.idle().then(() => { const id = desk.named.get(one.id); if (id) { setChosen(id); setMode({ editing: id, at }); } });
  };
  const writing = flow({ desk, revision, setChosen, setMode, open: edit, undo: act.undo, redo: act.redo });
  const place = act.place;
  const inserting = mode?.inserting;
  const after = inserting ? desk.named.get(inserting.after ?? "") ?? inserting.after : null;
  const remember = (/** @type {Marked} */ m) => setMarked((now) => (JSON.stringify(now) === JSON.stringify(m) ? now : m));
  const insertion = inserting && html`<${Inserting} key=${`new-${inserting.id}`} after=${after} id=${inserting.id} given=${inserting.text} desk=${desk} caret=${inserting.at ?? "end"} hears=${writing.inNew(inserting.id, after)}
    done=${() => setMode((now) => (now?.inserting?.id === inserting.id ? null : now))} remember=${remember} />`;
  const last = inserting && (lastOf(revision.blocks, after) ?? revision.blocks.at(-1)?.id);
  return html`
    <div class="editor" data-rich=${rich}>
      <p class="sr spoken" role="status" aria-live="assertive">${spoken}</p>
      <div class="bar">
        <p class="crumbs"><a href=${link()}>${t("nav-jobs")}</a></p>
        <span class="saved" role="status" data-state=${desk.state}>${t(`saved-${desk.state}`)}</span>
        <span class="fill"></span>
        <${IconButton} icon="undo" name=${t("undo")} keys="Ctrl+Z" disabled=${!revision.can_undo && !desk.queue.length} onClick=${act.undo} />
        <${IconButton} icon="redo" name=${t("redo")} keys="Ctrl+Shift+Z" disabled=${!revision.can_redo} onClick=${act.redo} />
        <a class="button" href=${link("job", job.id, "history")}>${t("history")}</a>
        <button type="button" class="primary" onClick=${() => setMode({ export: true })}>${t("export")}</button>
      </div>
      <div class="canvas" onClick=${(/** @type {MouseEvent} */ e) => e.target === e.currentTarget && act.nothing()}>
        <article class="sheet" lang=${revision.language} aria-label=${revision.title}>
          ${desk.held.filter((one) => beside(revision, one) === null).map((one) => html`<${Beside} key=${one.key} desk=${desk} one=${one} decided=${() => setMode(null)} />`)}
          ${[after === null ? insertion : null, ...revision.blocks.flatMap((one, n) => [
            html`<${Block} key=${one.id} n=${n} block=${one} desk=${desk} chosen=${one.id === chosen} mode=${mode?.editing === one.id ? mode : null} hears=${mode?.editing === one.id && one.type === "text" ? writing.inBlock(one) : null} choose=${choose} drag=${drag}
              edit=${(/** @type {Caret} */ at) => edit(one, at)} stopEditing=${() => setMode((now) => (now?.editing === one.id ? null : now))} remember=${remember} />`,
            ...desk.held.filter((it) => beside(revision, it) === one.id && it.place.split(".")[0] !== one.id).map((it) => html`<${Beside} key=${it.key} desk=${desk} one=${it} decided=${() => setMode(null)} />`),
            after !== null && last === one.id ? insertion : null])]}
        </article>
      </div>
      <aside class=${`margin ${sheet ? "open" : ""}`} aria-label=${t("margin")}>
        <button type="button" class="sheet-toggle" aria-expanded=${sheet} onClick=${() => setSheet(!sheet)}>${sheet ? t("close") : block ? t("tools") : t("instruct")}</button>
        <div class="margin-body">
          ${placing ? html`<${PlaceTools} key=${placing.id} block=${placing} desk=${desk} box=${boxes.search} offered=${offered} done=${() => setMode(null)} />`
            : !block ? html`<${WholeInstructions} ask=${setInstruction} box=${boxes.whole} revision=${revision} desk=${desk} />
                <p class="quietly hint">${t("hint-start")}</p>`
            : block.type === "image" ? html`<${ImageTools} key=${block.id} block=${block} place=${place} desk=${desk} act=${act} box=${boxes.search} offered=${offered} />`
            : html`<${TextTools} key=${block.id} block=${block} place=${place} desk=${desk} ask=${act.ask} act=${act} marked=${marked} box=${boxes.said} />`}
          ${block && html`<p><button type="button" class="quiet" onClick=${act.nothing}>${t("whole-article")}</button></p>`}
        </div>
      </aside>
      ${instruction && html`<${ProposalDialog} key=${JSON.stringify(instruction)} desk=${desk} instruction=${instruction} onClose=${() => setInstruction(null)} again=${() => setInstruction(instruction)} applied=${() => keep({ [`${rowsOf(job.id)}instruction`]: undefined, ..."block" in instruction ? { [`${rowsOf(job.id)}said/${instruction.block}`]: undefined } : {} })} />`}
      ${mode?.crop && block?.type === "image" && html`<${CropDialog} block=${block} desk=${desk} onClose=${() => setMode(null)} />`}
      ${mode?.export && html`<${ExportDialog} desk=${desk} onClose=${() => setMode(null)} />`}
    </div>`;
}

/** The last block that belongs to one: its images stand after it. @param {BlockType[]} blocks @param {string | null} id */
function lastOf(blocks, id) {
  let at = blocks.findIndex((block) => block.id === id);
  while (blocks[at + 1]?.type === "image") at++;
  return blocks[at]?.id;
}
