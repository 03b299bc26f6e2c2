/** What can be done in the editor, once: buttons and keys both call these. */
import { t } from "../lib/i18n.js";
import { go } from "../lib/router.js";
import { say } from "../lib/ui.js";
import { said } from "./drag.js";
import { points } from "./text.js";

const soon = (run) => requestAnimationFrame(() => requestAnimationFrame(run)); // once what was chosen is drawn

export function actions({ desk, revision, block, chosen, setChosen, mode, setMode, setWish, setSheet, marked, boxes, offered, speak }) {
  const { blocks } = revision;
  const texts = blocks.filter((one) => one.type === "text");
  const at = blocks.findIndex((one) => one.id === chosen);
  const image = block?.type === "image";
  const row = image ? texts.filter((one) => one.kind === "paragraph") : texts;
  const here = image ? row.findIndex((one) => one.id === block.after) : row.findIndex((one) => one.id === chosen);
  const next = texts[texts.findIndex((one) => one.id === chosen) + 1];
  const place = {
    first: here <= 0,
    last: here === row.length - 1,
    mergeable: !!next && !next.locked,
  };
  const free = () => {
    if (!block) return false;
    if (block.locked) say(t("is-locked"), true);
    return !block.locked;
  };
  const focus = (box) => { setSheet(true); soon(() => box.current?.focus()); };

  const act = {
    place,
    ask: setWish,
    nothing() { setChosen(null); setMode(null); setSheet(false); },
    undo: async () => { document.activeElement?.matches?.(".typing") && document.activeElement.blur(); await desk.undo(); },
    redo: () => desk.redo(),
    edit: () => free() && setMode({ editing: chosen }),
    lock: () => block && desk.edit([{ do: block.locked ? "unlock" : "lock", ids: [chosen] }]),
    remove() {
      if (!free()) return;
      const heir = blocks[at + 1] || blocks[at - 1];
      setMode(null);
      setChosen(heir?.id ?? null);
      desk.edit([image ? { do: "remove_image", image: chosen } : { do: "delete_block", block: chosen }]);
    },
    move(by) {
      if (!free()) return;
      const target = row[here + by];
      if (!target) return;
      if (image) desk.edit([{ do: "move_image", image: chosen, after: target.id }]);
      else desk.edit([{ do: "move_block", block: chosen, after: (by > 0 ? target : row[here - 2])?.id ?? null }]);
      speak(t("drag-dropped", said(desk.shown.blocks, desk.shown.blocks.find((one) => one.id === chosen))));
      soon(() => document.getElementById(`b-${chosen}`)?.scrollIntoView({ block: "nearest" }));
    },
    insert(by) {
      const mine = image ? texts.findIndex((one) => one.id === block.after) : texts.findIndex((one) => one.id === chosen);
      const after = chosen === null ? texts.at(-1)?.id ?? null : (by > 0 ? texts[mine] : texts[mine - 1])?.id ?? null;
      setMode({ inserting: { after } });
    },
    picture() { setMode({ placing: chosen }); setSheet(true); },
    merge: () => free() && place.mergeable && desk.edit([{ do: "merge_blocks", block: chosen }]),
    async split() {
      const { block: id, text, from } = marked || {};
      if (id !== chosen || !free()) return;
      setMode(null);
      await desk.idle();
      const now = desk.shown.blocks.find((one) => one.id === id);
      if (now?.text.replace(/\r\n?/g, "\n") === text) desk.edit([{ do: "split_block", block: id, at: points(text, from) }]);
      else say(t("split-hint"), true);
    },
    crop: () => image && free() && setMode({ crop: chosen }),
  };

  const step = (by) => {
    const found = blocks[chosen === null ? (by > 0 ? 0 : blocks.length - 1) : Math.min(blocks.length - 1, Math.max(0, at + by))];
    setMode(null);
    setChosen(found?.id ?? null);
    document.activeElement?.closest?.(".margin") && document.activeElement.blur();
  };
  const pick = (n) => {
    const one = offered.current[n];
    if (!one || !free() && image) return;
    if (mode?.placing) {
      desk.edit([{ do: "place_image", after: mode.placing, image_id: one.image_id, library: one.library }]);
      setMode(null);
    } else if (image && one.image_id !== block.image_id) desk.edit([{ do: "swap_image", image: chosen, image_id: one.image_id, library: one.library }], { hint: one });
  };
  const escape = () => {
    if (document.activeElement?.matches?.("input, textarea, select")) document.activeElement.blur();
    else if (mode) setMode(null);
    else act.nothing();
  };
  const open = () => {
    if (image) focus({ get current() { return document.getElementById("image-caption"); } });
    else act.edit();
  };
  act.keys = [
    { key: "j", says: t("key-next"), run: () => step(1) },
    { key: "k", says: t("key-previous"), run: () => step(-1) },
    { key: "e", run: open },
    { key: "Enter", shown: "Enter e", says: t("key-edit"), run: open },
    { key: "Escape", typed: true, says: t("key-escape"), run: escape },
    { key: "u", says: t("undo"), run: act.undo },
    { key: "Mod+z", run: act.undo },
    { key: "Shift+u", says: t("redo"), run: act.redo },
    { key: "Mod+Shift+z", run: act.redo },
    { key: "l", says: t("key-lock"), run: act.lock },
    { key: "Alt+ArrowUp", says: t("move-up"), run: () => act.move(-1) },
    { key: "Alt+ArrowDown", says: t("move-down"), run: () => act.move(1) },
    { key: "i", says: t("insert-after"), run: () => act.insert(1) },
    { key: "Shift+i", says: t("insert-before"), run: () => act.insert(-1) },
    { key: "m", says: t("merge"), run: () => block && !image && act.merge() },
    { key: "d", says: t("delete"), run: act.remove },
    { key: "Delete", run: act.remove },
    { key: "r", says: t("key-rewrite"), run: () => block && !image && focus(boxes.said) },
    { key: "p", says: t("place-image"), run: () => block?.kind === "paragraph" && act.picture() },
    { key: "c", says: t("crop"), run: act.crop },
    { key: "s", says: t("key-candidates"), run: () => focus(boxes.search) },
    ...Array.from({ length: 9 }, (_, n) => ({ key: String(n + 1), shown: "1 … 9", says: n === 0 ? t("key-pick") : "", run: () => pick(n) })),
    { key: "/", says: t("instruct"), run: () => { act.nothing(); focus(boxes.whole); } },
    { key: "h", says: t("history"), run: () => go("job", desk.job, "history") },
    { key: "x", says: t("export"), run: () => setMode({ export: true }) },
  ];
  return act;
}
