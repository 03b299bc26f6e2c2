/** What can be done in the editor, once: buttons and keys both call these. */
import { key } from "../lib/api.js";
import { t } from "../lib/i18n.js";
import { go } from "../lib/router.js";
import { say } from "../lib/ui.js";
import { said } from "./drag.js";
import { same } from "./seen.js";
import { points } from "./text.js";
/** @import { Binding, Block, Marked, Mode, Ref, Revision, Instruction } from "../types.js" */
/** @import { Op } from "./changes.js" */
/** @import { Desk } from "./desk.js" */
/** @import { Offered } from "./figure.js" */

/**
 * @typedef {object} At where the actions are
 * @property {Desk} desk
 * @property {Revision} revision
 * @property {Block | undefined} block
 * @property {string | null} chosen
 * @property {(id: string | null) => void} setChosen
 * @property {Mode | null} mode
 * @property {(mode: Mode | null) => void} setMode
 * @property {(instruction: Instruction) => void} setInstruction
 * @property {(open: boolean) => void} setSheet
 * @property {Marked | null} marked
 * @property {{whole: Ref<HTMLTextAreaElement>, said: Ref<HTMLTextAreaElement>, search: Ref<HTMLInputElement>}} boxes
 * @property {Offered} offered
 * @property {(words: string) => void} speak
 */
/** @typedef {{first: boolean, last: boolean, mergeable: boolean}} Place */
/** @typedef {ReturnType<typeof actions>} Act */

/** Once what was chosen is drawn. @param {() => void} run */
const soon = (run) => requestAnimationFrame(() => requestAnimationFrame(run));
/** Leave a field. @param {string} which a selector */
const blur = (which) => { if (document.activeElement instanceof HTMLElement && document.activeElement.matches(which)) document.activeElement.blur(); };

/** @param {At} at */
export function actions({ desk, revision, block, chosen, setChosen, mode, setMode, setInstruction, setSheet, marked, boxes, offered, speak }) {
  const { blocks } = revision;
  const texts = blocks.filter((one) => one.type === "text");
  const at = blocks.findIndex((one) => one.id === chosen);
  const image = block?.type === "image" ? block : null;
  const row = image ? texts.filter((one) => one.kind === "paragraph") : texts;
  const here = row.findIndex((one) => one.id === (image ? image.after : chosen));
  const next = texts[texts.findIndex((one) => one.id === chosen) + 1];
  /** @type {Place} */
  const place = { first: here <= 0, last: here === row.length - 1, mergeable: !!next && !next.locked };
  const fresh = block?.type === "text" && block.fresh;
  const free = () => {
    if (!block || fresh) return false;
    if (block.locked) say(t("is-locked"), true);
    return !block.locked;
  };
  /** @param {Ref<HTMLElement>} box */
  const focus = (box) => { setSheet(true); soon(() => box.current?.focus()); };
  /** Say what was done, and how to undo it. @param {string} what @param {Op} op */
  const undoable = (what, op) => say(what, false, { name: t("undo"), run: () => desk.undoOf(op) });

  const act = {
    place,
    ask: setInstruction,
    nothing() { setChosen(null); setMode(null); setSheet(false); },
    undo() { // what is typed is sent first
      if (mode?.editing) desk.leave(mode.editing);
      if (mode?.inserting) desk.leave(`new:${mode.inserting.id}`);
      blur(".typing");
      desk.undo();
    },
    redo: () => desk.redo(),
    /** Type over the text that is chosen; new text that is not on its way yet is taken up again. */
    edit() {
      if (!block) return;
      const op = fresh ? desk.takeBack(fresh) : null;
      const [edit] = op?.edits ?? [];
      if (op && edit?.do === "insert_text") setMode({ inserting: { after: op.trail?.[0] ?? null, id: op.name ?? op.key, text: edit.text } });
      else if (block.type === "text" && free()) setMode({ editing: block.id });
    },
    /** Type over its Markdown, or over the text as it will look again. */
    markdown() {
      if (block?.type === "text" && !fresh && free()) setMode({ editing: block.id, source: !mode?.source });
    },
    lock: () => block && !fresh && desk.edit([{ do: block.locked ? "unlock" : "lock", ids: [block.id] }]),
    remove() {
      if (!block || !free()) return;
      const heir = blocks[at + 1] || blocks[at - 1];
      setMode(null);
      setChosen(heir?.id ?? null);
      const op = desk.edit([image ? { do: "remove_image", image: block.id } : { do: "delete_block", block: block.id }]);
      undoable(t(image ? "removed-image" : "removed-block"), op);
    },
    /** @param {1 | -1} by */
    move(by) {
      const target = row[here + by];
      if (!block || !free() || !target) return;
      if (image) desk.edit([{ do: "move_image", image: image.id, after: target.id }]);
      else desk.edit([{ do: "move_block", block: block.id, after: (by > 0 ? target : row[here - 2])?.id ?? null }]);
      speak(t("drag-dropped", said(desk.shown?.blocks ?? [], block)));
      soon(() => document.getElementById(`b-${block.id}`)?.scrollIntoView({ block: "nearest" }));
    },
    /** @param {1 | -1} by */
    insert(by) {
      const mine = texts.findIndex((one) => one.id === (image ? image.after : chosen));
      const after = chosen === null ? texts.at(-1)?.id ?? null : (by > 0 ? texts[mine] : texts[mine - 1])?.id ?? null;
      setMode({ inserting: { after, id: key(), text: "" } });
    },
    picture() {
      if (block?.type !== "text" || block.kind !== "paragraph" || fresh) return;
      setMode({ placing: block.id });
      setSheet(true);
    },
    merge() {
      if (!block || image || !free() || !place.mergeable) return;
      undoable(t("joined-blocks"), desk.edit([{ do: "merge_blocks", block: block.id }]));
    },
    async split() {
      if (!marked || marked.block !== chosen || !free()) return;
      setMode(null);
      await desk.idle();
      const now = desk.shown?.blocks.find((one) => one.id === marked.block);
      if (now?.type === "text" && same(now.text) === same(marked.text)) desk.edit([{ do: "split_block", block: now.id, at: points(marked.text, marked.from) }]);
      else say(t("split-hint"), true);
    },
    crop() { if (image && free()) setMode({ crop: image.id }); },
  };

  /** @param {1 | -1} by */
  const step = (by) => {
    const found = blocks[chosen === null ? (by > 0 ? 0 : blocks.length - 1) : Math.min(blocks.length - 1, Math.max(0, at + by))];
    setMode(null);
    setChosen(found?.id ?? null);
    blur(".margin *");
  };
  /** @param {number} n */
  const pick = (n) => {
    const one = offered.current[n];
    if (!one || (image && !free())) return;
    if (mode?.placing) {
      desk.edit([{ do: "place_image", after: mode.placing, image_id: one.image_id, library: one.library }]);
      setMode(null);
    } else if (image && one.image_id !== image.image_id) desk.edit([{ do: "swap_image", image: image.id, image_id: one.image_id, library: one.library }], { hint: one });
  };
  const leave = () => {
    if (document.activeElement?.matches("input, textarea, select")) blur("*");
    else if (mode) setMode(null);
    else act.nothing();
  };
  const open = () => {
    if (image) focus({ get current() { return document.getElementById("image-caption"); } });
    else act.edit();
  };
  /** @type {Binding[]} */
  const keys = [
    { key: "j", says: t("key-next"), run: () => step(1) },
    { key: "k", says: t("key-previous"), run: () => step(-1) },
    { key: "Enter", says: t("key-edit"), run: open },
    { key: "Escape", typed: true, says: t("key-escape"), run: leave },
    { key: "Mod+z", says: t("undo"), run: act.undo },
    { key: "Mod+Shift+z", shown: "Mod+Shift+Z", says: t("redo"), run: act.redo },
    { key: "Mod+y", run: act.redo },
    { key: "Alt+ArrowUp", says: t("move-up"), run: () => act.move(-1) },
    { key: "Alt+ArrowDown", says: t("move-down"), run: () => act.move(1) },
    { key: "Mod+Enter", says: t("insert-after"), run: () => act.insert(1) },
    { key: "Mod+Shift+Enter", says: t("insert-before"), run: () => act.insert(-1) },
    { key: "Mod+Backspace", says: t("delete"), run: act.remove },
    { key: "Mod+Delete", run: act.remove },
    { key: "/", says: t("instruct"), run: () => { act.nothing(); focus(boxes.whole); } },
    { key: "Mod+Shift+e", shown: "Mod+Shift+E", typed: true, says: t("edit-markdown"), run: act.markdown },
    { says: t("key-lock"), run: act.lock },
    { says: t("merge"), run: act.merge },
    { says: t("key-rewrite"), run: () => block && !image && focus(boxes.said) },
    { says: t("place-image"), run: act.picture },
    { says: t("crop"), run: act.crop },
    { says: t("key-candidates"), run: () => focus(boxes.search) },
    { says: t("history"), run: () => go("job", desk.job, "history") },
    { says: t("export"), run: () => setMode({ export: true }) },
    ...Array.from({ length: 9 }, (_, n) => ({ key: `Alt+${n + 1}`, shown: "Alt+1 … 9", says: n === 0 ? t("key-pick") : "", run: () => pick(n) })),
  ];
  return { ...act, keys };
}
