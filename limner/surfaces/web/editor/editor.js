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
import { useDrag } from "./drag.js";
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
  const image = block.type === "image";
  useLayoutEffect(() => {
    if (chosen && !editing && !element.current.contains(document.activeElement) && document.activeElement?.closest?.(".canvas, body") && !document.activeElement.closest(".margin")) {
      element.current.focus({ preventScroll: true });
      element.current.scrollIntoView({ block: "nearest", behavior: "auto" });
    }
  }, [chosen, editing]);
  useEffect(() => { // beside the tools, which cover a part of a small window
    if (chosen && image) requestAnimationFrame(() => element.current?.scrollIntoView({ block: "nearest" }));
  }, [chosen]);
  const click = (event) => {
    const anchor = event.target.closest("a");
    if (anchor && (event.ctrlKey || event.metaKey)) return;
    if (anchor) event.preventDefault();
    choose(block.id);
    if (block.type === "text" && !block.locked && !event.target.closest(".grip")) edit(block.id);
  };
  return html`
    <div ref=${element} id=${`b-${block.id}`} data-id=${block.id} role="group" aria-label=${nameOf(block, n)} aria-current=${chosen ? "true" : undefined} tabindex=${chosen ? 0 : -1}
      class=${`block ${image ? "image" : block.kind} ${chosen ? "chosen" : ""} ${block.locked ? "locked" : ""}`}
      onClick=${click} ...${image && !block.locked ? drag.image(block) : {}}>
      ${!block.locked && html`<button type="button" class="grip" tabindex=${chosen ? 0 : -1} aria-label=${`${t("drag")}: ${nameOf(block, n)}`} aria-pressed=${drag.lifted === block.id} title=${t("drag")} ...${drag.grip(block, nameOf(block, n))}><${Icon} name="grip" /></button>`}
      ${block.locked && html`<span class="lockmark" aria-hidden="true" title=${t("locked")}><${Icon} name="lock" /></span>`}
      ${image ? html`<${Figure} block=${block} />` : editing ? html`<${Typing} block=${block} desk=${desk} done=${stopEditing} remember=${remember} />` : html`<${Reading} block=${block} />`}
    </div>`;
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
  const [spoken, speak] = useState(""); // for those who do not see what moved
  const drag = useDrag(desk, speak);
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
  const act = revision && actions({ desk, revision, block, chosen, setChosen, mode, setMode, setWish, setSheet, marked, boxes, offered, speak });
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
      <p class="sr spoken" role="status" aria-live="assertive">${spoken}</p>
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
