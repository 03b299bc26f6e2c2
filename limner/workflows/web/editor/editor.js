/** The article editor: the article as it will look, changed in place; the margin shows what can be done with what is chosen. */
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../lib/html.js";
import { t } from "../lib/i18n.js";
import { useKeys } from "../lib/keys.js";
import { link } from "../lib/router.js";
import { Busy, Icon, IconButton, Notice, lineOf } from "../lib/ui.js";
import { actions } from "./actions.js";
import { Conflict } from "./conflict.js";
import { CropDialog } from "./crop.js";
import { Desk } from "./desk.js";
import { ExportDialog } from "./export.js";
import { Figure, ImageTools, PlaceTools } from "./figure.js";
import { Inserting, Reading, TextTools, Typing } from "./text.js";
import { ProposalDialog, WholeWishes } from "./wish.js";

const LOOK = 10_000; // ms between two looks for other people's changes

function useDesk(job) {
  const [, turn] = useState(0);
  const [problem, setProblem] = useState("");
  const desk = useMemo(() => new Desk(job, () => turn((n) => n + 1)), [job]);
  useEffect(() => {
    desk.load().catch((error) => setProblem(lineOf(error)));
  }, [desk]);
  return [desk, problem];
}

/** What the block is called, for screen readers. */
function nameOf(block, n) {
  const locked = block.locked ? `, ${t("locked")}` : "";
  const words = block.type === "image" ? block.caption : block.text.replace(/^#+\s*/, "");
  return `${n + 1}. ${t(`kind-${block.kind || "image"}`)}${locked}: ${words.slice(0, 60)}`;
}

function Block({ block, n, chosen, editing, desk, choose, edit, stopEditing, remember, drag }) {
  const element = useRef();
  useLayoutEffect(() => {
    if (chosen && !editing && !element.current.contains(document.activeElement) && document.activeElement?.closest?.(".canvas, body") && !document.activeElement.closest(".margin")) {
      element.current.focus({ preventScroll: true });
      element.current.scrollIntoView({ block: "nearest", behavior: "auto" });
    }
  }, [chosen, editing]);
  const click = (event) => {
    const anchor = event.target.closest("a");
    if (anchor && (event.ctrlKey || event.metaKey)) return;
    if (anchor) event.preventDefault();
    choose(block.id);
    if (block.type === "text" && !block.locked && !event.target.closest(".grip")) edit(block.id);
  };
  const image = block.type === "image";
  return html`
    <div ref=${element} id=${`b-${block.id}`} data-id=${block.id} role="group" aria-label=${nameOf(block, n)} aria-current=${chosen ? "true" : undefined} tabindex=${chosen ? 0 : -1}
      class=${`block ${image ? "image" : block.kind} ${chosen ? "chosen" : ""} ${block.locked ? "locked" : ""}`}
      onClick=${click} ...${drag.over(block)} draggable=${image && !block.locked} onDragStart=${image && !block.locked ? (e) => drag.start(e, block) : undefined} onDragEnd=${drag.end}>
      ${!image && !block.locked && html`<span class="grip" draggable="true" aria-hidden="true" title=${t("drag")} onDragStart=${(e) => drag.start(e, block)} onDragEnd=${drag.end}><${Icon} name="grip" /></span>`}
      ${block.locked && html`<span class="lockmark" aria-hidden="true" title=${t("locked")}><${Icon} name="lock" /></span>`}
      ${image ? html`<${Figure} block=${block} />` : editing ? html`<${Typing} block=${block} desk=${desk} done=${stopEditing} remember=${remember} />` : html`<${Reading} block=${block} />`}
    </div>`;
}

/** Dragging blocks: which one, and where it would land. */
function useDrag(desk) {
  const held = useRef(null);
  const mark = (element, side) => {
    for (const other of document.querySelectorAll(".drop-before, .drop-after")) other.classList.remove("drop-before", "drop-after");
    if (element) element.classList.add(side);
  };
  const side = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    return event.clientY < box.top + box.height / 2 ? "drop-before" : "drop-after";
  };
  return {
    start(event, block) {
      held.current = block;
      event.stopPropagation();
      event.dataTransfer.effectAllowed = "move";
      event.dataTransfer.setData("text/plain", block.id);
      event.currentTarget.closest(".block").classList.add("dragged");
    },
    end() {
      held.current = null;
      mark(null);
      for (const one of document.querySelectorAll(".dragged")) one.classList.remove("dragged");
    },
    over: (block) => ({
      onDragOver(event) {
        if (!held.current || held.current.id === block.id) return;
        event.preventDefault();
        mark(event.currentTarget, side(event));
      },
      onDrop(event) {
        if (!held.current) return;
        event.preventDefault();
        const edit = landing(desk.shown.blocks, held.current, block, side(event) === "drop-before");
        mark(null);
        if (edit) desk.edit([edit]);
      },
    }),
  };
}

/** The edit for a block that was let go before or after another, or null where it would stay. */
export function landing(blocks, held, target, before) {
  const rest = blocks.filter((block) => block.id !== held.id && !(held.type === "text" && block.type === "image" && block.after === held.id));
  const at = rest.findIndex((block) => block.id === target.id);
  if (at < 0) return null;
  const above = rest.slice(0, before ? at : at + 1).reverse();
  if (held.type === "image") {
    const paragraph = above.find((block) => block.kind === "paragraph") || rest.find((block) => block.kind === "paragraph");
    return paragraph && paragraph.id !== held.after ? { do: "move_image", image: held.id, after: paragraph.id } : null;
  }
  const after = above.find((block) => block.type === "text")?.id ?? null;
  const now = blocks.slice(0, blocks.findIndex((block) => block.id === held.id)).reverse().find((block) => block.type === "text")?.id ?? null;
  return after === now ? null : { do: "move_block", block: held.id, after };
}

export function Editor({ job }) {
  const [desk, problem] = useDesk(job.id);
  const [chosen, setChosen] = useState(null);
  const [mode, setMode] = useState(null); // {editing: id} | {inserting: {after}} | {placing: id} | {crop: id} | {export: true}
  const [wish, setWish] = useState(null);
  const [sheet, setSheet] = useState(false); // on a phone: the margin is open
  const [marked, setMarked] = useState(null); // what is selected in the text that was typed last
  const boxes = { whole: useRef(), said: useRef(), search: useRef() };
  const offered = useRef([]);
  const drag = useDrag(desk);
  const revision = desk.shown;
  const block = revision?.blocks.find((one) => one.id === chosen);
  const placing = mode?.placing && revision?.blocks.find((one) => one.id === mode.placing);
  useEffect(() => {
    const look = () => !document.hidden && !document.querySelector(".typing") && desk.confirmed && desk.refresh();
    const timer = setInterval(look, LOOK);
    addEventListener("focus", look);
    return () => { clearInterval(timer); removeEventListener("focus", look); };
  }, [desk]);
  useEffect(() => { if (revision) document.title = `${revision.title} · limner`; }, [revision?.title]);
  const act = revision && actions({ desk, revision, block, chosen, setChosen, mode, setMode, setWish, setSheet, marked, boxes, offered });
  useKeys(act?.keys || []);
  if (problem) return html`<div class="page narrow"><${Notice} problem text=${problem} /><p><a href="#/">${t("nav-jobs")}</a></p></div>`;
  if (!revision) return html`<${Busy} />`;
  const choose = (id) => {
    setChosen(id);
    if (id !== mode?.editing) setMode(null);
    setSheet(revision.blocks.find((one) => one.id === id)?.type === "image");
  };
  const place = act.place;
  const leave = (what) => setMode((now) => (now?.[what] ? null : now));
  const inserting = mode?.inserting;
  const insertion = inserting && html`<${Inserting} key=${`new-${inserting.after}`} after=${inserting.after} desk=${desk} done=${() => leave("inserting")} />`;
  const last = inserting && lastOf(revision.blocks, inserting.after);
  return html`
    <div class="editor">
      <div class="bar">
        <p class="crumbs"><a href=${link()}>${t("nav-jobs")}</a></p>
        <span class="saved" role="status" data-state=${desk.state}>${t(`saved-${desk.state}`)}</span>
        <span class="fill"></span>
        <${IconButton} icon="undo" name=${t("undo")} keys="u" disabled=${!revision.can_undo && !desk.queue.length} onClick=${act.undo} />
        <${IconButton} icon="redo" name=${t("redo")} keys="Shift+u" disabled=${!revision.can_redo} onClick=${act.redo} />
        <a class="button" href=${link("job", job.id, "history")}>${t("history")}</a>
        <button type="button" class="primary" onClick=${() => setMode({ export: true })}>${t("export")}</button>
      </div>
      <div class="canvas" onClick=${(e) => e.target === e.currentTarget && act.nothing()}>
        <article class="sheet" lang=${revision.language} aria-label=${revision.title}>
          ${inserting?.after === null && insertion}
          ${revision.blocks.map((one, n) => html`
            <${Block} key=${one.id} n=${n} block=${one} desk=${desk} chosen=${one.id === chosen} editing=${mode?.editing === one.id} choose=${choose} drag=${drag}
              edit=${(id) => setMode({ editing: id })} stopEditing=${() => setMode((now) => (now?.editing === one.id ? null : now))} remember=${(m) => setMarked((now) => (JSON.stringify(now) === JSON.stringify(m) ? now : m))} />
            ${last === one.id && insertion}`)}
        </article>
      </div>
      <aside class=${`margin ${sheet ? "open" : ""}`} aria-label=${t("margin")}>
        <button type="button" class="sheet-toggle" aria-expanded=${sheet} onClick=${() => setSheet(!sheet)}>${sheet ? t("close") : block ? t("tools") : t("instruct")}</button>
        <div class="margin-body">
          ${placing ? html`<${PlaceTools} key=${placing.id} block=${placing} desk=${desk} box=${boxes.search} offered=${offered} done=${() => setMode(null)} />`
            : !block ? html`<${WholeWishes} ask=${setWish} box=${boxes.whole} revision=${revision} desk=${desk} />
                <p class="quietly hint">${t("hint-start")}</p>`
            : block.type === "image" ? html`<${ImageTools} key=${block.id} block=${block} place=${place} desk=${desk} act=${act} box=${boxes.search} offered=${offered} />`
            : html`<${TextTools} key=${block.id} block=${block} place=${place} desk=${desk} ask=${act.ask} act=${act} marked=${marked} box=${boxes.said} />`}
          ${block && html`<p><button type="button" class="quiet" onClick=${act.nothing}>${t("whole-article")}</button></p>`}
        </div>
      </aside>
      ${wish && html`<${ProposalDialog} key=${JSON.stringify(wish)} desk=${desk} wish=${wish} onClose=${() => setWish(null)} />`}
      ${mode?.crop && block?.type === "image" && html`<${CropDialog} block=${block} desk=${desk} onClose=${() => setMode(null)} />`}
      ${mode?.export && html`<${ExportDialog} desk=${desk} onClose=${() => setMode(null)} />`}
      ${desk.conflict && html`<${Conflict} conflict=${desk.conflict} />`}
    </div>`;
}

/** The last block that belongs to one: its images stand after it. */
function lastOf(blocks, id) {
  let at = blocks.findIndex((block) => block.id === id);
  while (blocks[at + 1]?.type === "image") at++;
  return blocks[at]?.id;
}
