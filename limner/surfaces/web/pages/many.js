/**
 * One change of many pictures: a request each, two at a time. What is refused is listed with its reason and can be sent
 * again; what was changed can be undone.
 */
import { html, useEffect, useRef, useState } from "../lib/html.js";
import { Refused, address, ask, get } from "../lib/api.js";
import { number, t } from "../lib/i18n.js";
import { thumbnail, wordsOf } from "../lib/images.js";
import { Modal, Notice, Picture, lineOf, say } from "../lib/ui.js";
import { forget, patch } from "../lib/unsaved.js";
/** @import { InputOf, LibraryImage, Words } from "../types.js" */
/** @import { Action } from "../lib/ui.js" */
/** @import { Shown } from "./libraries.js" */
/** @typedef {"caption" | "credit" | "licence"} Field */
/** @typedef {{words: Words, wrote: Words}} Back what an image said before, null for the folder's, and what it says now */
/** @typedef {{image: Shown, run: () => Promise<Back | null>}} Task */
/** @typedef {{image: Shown, back: Back}} Before */
/** @typedef {{done: number, of: number, failed: {task: Task, why: string}[], left: Task[], before: Before[]}} Progress */
/** @typedef {"change" | "undo" | "delete"} Kind */
/** @typedef {{kind: Kind, library: string, tasks: Task[], before?: Before[]}} Run before: what a try before this one changed */

const AT_ONCE = 2; // requests: the server has a share for each owner, and thumbnails want some of it
/** @type {Field[]} */
const FIELDS = ["caption", "credit", "licence"];

/**
 * Run tasks until all are done, `going` says no, or the server cannot be reached. Nothing is tried twice.
 * @param {Task[]} tasks @param {() => boolean} going @param {(now: Progress) => void} told @returns {Promise<Progress>}
 */
async function each(tasks, going, told) {
  const left = [...tasks];
  /** @type {Progress} */
  const now = { done: 0, of: tasks.length, failed: [], left, before: [] };
  let lost = false;
  const work = async () => {
    while (!lost && going()) {
      const task = left.shift();
      if (!task) return;
      try {
        const back = await task.run();
        now.done++;
        if (back) now.before.push({ image: task.image, back });
      } catch (error) {
        lost ||= error instanceof Refused && error.status === 0;
        if (lost) left.unshift(task);
        else now.failed.push({ task, why: lineOf(error) });
      }
      told({ ...now });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return now;
}

/** Tasks that write words. @param {string} library @param {Shown[]} images @param {(image: LibraryImage) => Words} wanted of an image as it is now @returns {Task[]} */
const writing = (library, images, wanted) => images.map((image) => ({
  image,
  run: async () => {
    const path = { name: library, image_id: image.image_id };
    const now = await get("/v1/libraries/{name}/images/{image_id}/words", { path });
    const words = wanted(now);
    const names = /** @type {(keyof Words)[]} */ (Object.keys(words)).filter((name) => words[name] !== now[name] || !now.written.includes(name));
    if (!names.length) return null;
    /** @param {(name: keyof Words) => string | null | undefined} value @returns {Words} */
    const of = (value) => Object.fromEntries(names.map((name) => [name, value(name)]));
    const made = await patch(wordsOf(library, image.image_id), of((name) => words[name]));
    return { words: of((name) => (now.written.includes(name) ? now[name] : null)), wrote: of((name) => made[name]) };
  },
}));

/** Tasks that take back what was written, where nobody wrote something else since. @param {string} library @param {Before[]} before */
const undoing = (library, before) => before.flatMap(({ image, back }) => writing(library, [image], (now) =>
  Object.fromEntries(Object.entries(back.words).filter(([name]) => now[/** @type {keyof Words} */ (name)] === back.wrote[/** @type {keyof Words} */ (name)]))));

/** Tasks that delete images of one's own. @param {string} library @param {Shown[]} images @param {(id: string) => void} removed @returns {Task[]} */
export const deleting = (library, images, removed) => images.map((image) => ({
  image,
  run: async () => {
    await ask(address("/v1/images/{id}", { id: image.image_id }), { method: "DELETE" });
    forget(wordsOf(library, image.image_id));
    removed(image.image_id);
    return null;
  },
}));

/** @param {LibraryImage} image @param {Field} name */
const lacks = (image, name) => (name === "caption" ? !image.described : image[name] === "");

/** What the pictures say in a field: one text for all of them, "" where none says anything, null where they differ. @param {Shown[]} images @param {Field} name */
function common(images, name) {
  const said = new Set(images.map((one) => (name === "caption" && !one.described ? "" : one[name])));
  return said.size === 1 ? [...said][0] : null;
}

/** The form: which words all of them get. @param {{library: string, images: Shown[], start: (run: Run) => void, close: () => void}} props */
export function EditMany({ library, images, start, close }) {
  const [words, setWords] = useState(/** @type {Partial<Record<Field, string>>} */ ({}));
  const [empty, setEmpty] = useState(false);
  const given = FIELDS.filter((name) => words[name] !== undefined);
  const ready = given.length > 0 && words.caption?.trim() !== "";
  /** @param {Field} name @param {string | undefined} text */
  const set = (name, text) => setWords((now) => ({ ...now, [name]: text }));
  /** @param {Event} event */
  const send = (event) => {
    event.preventDefault();
    if (!ready) return;
    /** @param {LibraryImage} image */
    const wanted = (image) => Object.fromEntries(given.filter((name) => !empty || lacks(image, name)).map((name) => [name, words[name]?.trim()]));
    start({ kind: "change", library, tasks: writing(library, images, wanted) });
  };
  return html`<${Modal} title=${t("many-title", { n: number(images.length), count: images.length })} onClose=${close} actions=${html`<button type="button" onClick=${close}>${t("close")}</button>
      <button form="many" class="primary" disabled=${!ready}>${t("many-start", { n: number(images.length), count: images.length })}</button>`}>
    <form id="many" class="many" onSubmit=${send}>
      ${FIELDS.map((name) => {
        const now = common(images, name);
        const on = words[name] !== undefined;
        return html`<div class="field" key=${name}>
          <label class="check"><input type="checkbox" checked=${on} onChange=${() => set(name, on ? undefined : now ?? "")} /> ${t(name)}</label>
          <input aria-label=${t(name)} id=${`many-${name}`} dir="auto" value=${words[name] ?? ""} placeholder=${now === null ? t("many-different") : now} onInput=${(/** @type {InputOf<HTMLInputElement>} */ e) => set(name, e.target.value)} />
          ${on && !words[name]?.trim() && html`<small>${t(name === "caption" ? "many-caption-empty" : "many-empty")}</small>`}</div>`;
      })}
      <label class="check"><input type="checkbox" checked=${empty} onChange=${() => setEmpty(!empty)} /> ${t("many-only-empty")}</label>
    </form>
  </${Modal}>`;
}

/** @type {Progress} */
const NOTHING = { done: 0, of: 0, failed: [], left: [], before: [] };

/** What came of a run, in a line. @param {Kind} kind @param {Progress} end */
function told(kind, end) {
  const done = t(`many-${kind}-done`, { n: number(end.done), count: end.done });
  return end.done === end.of ? done : `${done} ${t("many-not", { n: number(end.of - end.done), count: end.of - end.done })}`;
}

/** Run without a dialog, for a page that is gone. @param {Run} run */
export const quietly = ({ kind, tasks }) => each(tasks, () => true, () => {}).then((end) => say(told(kind, end), end.done < end.of));

/** A run, from its first request to what came of it. over: with what would undo it. @param {{given: Run, again: (run: Run) => void, over: () => void}} props */
export function RunMany({ given, again, over }) {
  const { kind, library, tasks } = given;
  const [now, setNow] = useState(/** @type {Progress} */ ({ ...NOTHING, of: tasks.length }));
  const [ended, setEnded] = useState(false);
  const going = useRef(true);
  /** @param {Progress} end @returns {Action | undefined} */
  const undo = (end) => {
    const before = [...(given.before ?? []), ...end.before];
    return kind === "change" && before.length ? { name: t("undo"), run: () => again({ kind: "undo", library, tasks: undoing(library, before) }) } : undefined;
  };
  useEffect(() => {
    let here = true;
    going.current = true;
    setNow({ ...NOTHING, of: tasks.length });
    setEnded(false);
    const stay = (/** @type {Event} */ event) => event.preventDefault();
    addEventListener("beforeunload", stay);
    each(tasks, () => going.current, (progress) => here && setNow(progress)).then((end) => {
      removeEventListener("beforeunload", stay);
      const well = end.done === end.of;
      if (well || !here) say(told(kind, end), !well, undo(end));
      if (!here) return;
      if (well) return over();
      setNow({ ...end });
      setEnded(true);
    });
    return () => { here = false; going.current = false; }; // what is under way is finished, no more begins
  }, [given]);
  const stop = () => { if (ended) over(); else going.current = false; };
  const rest = [...now.failed.map((one) => one.task), ...now.left];
  const back = undo(now);
  return html`<${Modal} title=${t(`many-${kind}-title`)} onClose=${stop} actions=${ended ? html`
      ${back && html`<button type="button" onClick=${back.run}>${t("undo")}</button>`}<button type="button" onClick=${over}>${t("close")}</button>
      <button type="button" class="primary" onClick=${() => again({ kind, library, tasks: rest, before: [...(given.before ?? []), ...now.before] })}>${t("held-again")}</button>`
    : html`<button type="button" onClick=${stop}>${t("cancel")}</button>`}>
    ${ended ? html`<${Notice} problem text=${told(kind, now)} />
        <ul class="failed">${now.failed.map(({ task, why }) => html`<li key=${task.image.image_id}><${Picture} src=${thumbnail(library, task.image.image_id, 128)} alt="" /><div><bdi>${task.image.caption}</bdi><p class="unsaved">${why}</p></div></li>`)}</ul>
        ${now.left.length > 0 && html`<p>${t("many-left", { n: number(now.left.length), count: now.left.length })}</p>`}`
      : html`<p role="status">${t("many-going", { n: number(now.done + now.failed.length), of: number(now.of) })}</p>
        <progress max=${now.of} value=${now.done + now.failed.length} aria-label=${t(`many-${kind}-title`)}></progress>`}
  </${Modal}>`;
}
