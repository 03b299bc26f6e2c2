/** Image libraries: which there are, and one of them: looking through it, searching it, changing pictures, one or many. */
import { html, useEffect, useLayoutEffect, useReducer, useRef, useState } from "../lib/html.js";
import { address, ask, get, isAbort } from "../lib/api.js";
import { number, server, t } from "../lib/i18n.js";
import { thumbnail, wordsOf } from "../lib/images.js";
import { useKeys } from "../lib/keys.js";
import { LimitFields, filtersOf } from "../lib/limits.js";
import { go, link } from "../lib/router.js";
import { Busy, Field, Grown, IconButton, Modal, Notice, Picture, lineOf, say } from "../lib/ui.js";
/** @import { InputOf, LibraryImage, Ref, Schemas, Words } from "../types.js" */
/** @import { Limits } from "../lib/limits.js" */
import { forget, keep, problemOf, save, typedOf } from "../lib/unsaved.js";
import { Captioning } from "./captioning.js";
import { Facts } from "./facts.js";
import { Gallery, SizeSlider, useRow } from "./gallery.js";
import { EditMany, RunMany, deleting, quietly } from "./many.js";
/** @import { Run } from "./many.js" */
import { SelectionBar, everyImage, useSelection } from "./selection.js";
import { MachineMade, Suggest } from "./suggestions.js";

const PAUSE = 250; // ms of no typing before a search

/** @param {{name?: string, part?: string}} props */
export const LibrariesPage = ({ name, part }) => (!name ? html`<${Libraries} />` : part === "captions" ? html`<${Captioning} name=${name} />` : html`<${Library} name=${name} />`);

function Libraries() {
  const [found, setFound] = useState(/** @type {Schemas["LibraryView"][] | null} */ (null));
  const [problem, setProblem] = useState("");
  useEffect(() => {
    get("/v1/libraries", {}).then((list) => setFound(list.libraries), (error) => setProblem(lineOf(error)));
  }, []);
  return html`<div class="page">
    <div class="page-head"><h1>${t("nav-libraries")}</h1></div>
    ${problem ? html`<${Notice} problem text=${problem} />` : !found ? html`<${Busy} />` : found.length === 0
      ? html`<div class="empty"><p>${t("libraries-none")}</p><p><code>limner library add FOLDER --name NAME</code></p></div>`
      : html`<ul class="jobs">${found.map((one) => html`<li class="job" key=${one.name}>
          <a class="title" dir="auto" href=${link("libraries", one.name)}>${one.name.startsWith("own.") ? t("own-library") : one.name}</a>
          <span class="state">${one.images === null ? "" : t("images-count", { n: one.images })}</span>
          ${one.problem && html`<div class="about"><span class="why">${server(one.problem, one)}</span></div>`}</li>`)}</ul>`}
  </div>`;
}

/** @typedef {keyof Words} Word */
/** An image of the list, or one that a search found, which knows less. @typedef {LibraryImage | Found} Shown */
/** @typedef {Schemas["Candidate"] & {described?: boolean, written?: undefined, file?: string, facts?: undefined, added?: undefined, in_time?: undefined, text_in_picture?: undefined}} Found */
/** @type {Word[]} */
const WORDS = ["caption", "alt", "credit", "licence"];
/** @type {Record<Word, (one: Shown) => boolean>} */
const LACKS = {
  caption: (one) => !one.described,
  alt: (one) => one.alt === "",
  credit: (one) => one.credit === "",
  licence: (one) => one.licence === "",
};
const IMAGES = 60; // of a page, and of a search

/** What is shown of a library: all of it page by page, or what a search finds. @param {string} library @param {string} query @param {string} like an image's id, or "" @param {Word | ""} without @param {string[]} only */
function useImages(library, query, like, without, only) {
  const [found, setFound] = useState(/** @type {{images: Shown[], total?: number, next?: string | null} | null} */ (null));
  const [problem, setProblem] = useState("");
  const path = { name: library };
  /** @param {Promise<{images: Shown[], total?: number, next?: string | null}>} asked @param {Shown[]} before */
  const show = async (asked, before = []) => {
    try {
      const answer = await asked;
      setFound({ ...answer, images: [...before, ...answer.images] });
      setProblem("");
    } catch (error) {
      if (!isAbort(error)) setProblem(lineOf(error));
    }
  };
  /** @param {string} after @param {AbortSignal} [signal] */
  const page = (after, signal) => get("/v1/libraries/{name}/images", { path, query: { limit: IMAGES, without: without || undefined, after, only }, signal });
  useEffect(() => {
    const q = query.trim();
    const ended = new AbortController();
    const { signal } = ended;
    const look = () => show(q || like ? get("/v1/libraries/{name}/search", { path, query: { q, k: IMAGES, only, like: like ? [like] : undefined }, signal }) : page("", signal));
    const timer = setTimeout(look, q || only.length ? PAUSE : 0);
    return () => { clearTimeout(timer); ended.abort(); };
  }, [library, query, like, without, only.join("\n")]);
  const again = () => { if (!query.trim() && !like) show(page("")); };
  const turn = () => found?.next && show(page(found.next), found.images);
  /** @param {LibraryImage} image */
  const change = (image) => setFound((now) => now && { ...now, images: now.images.map((one) => (one.image_id === image.image_id ? { ...one, ...image } : one)) });
  /** @param {string} id */
  const removed = (id) => setFound((now) => now && { ...now, total: (now.total ?? 1) - 1, images: now.images.filter((one) => one.image_id !== id) });
  return { found, problem, turn, again, change, removed };
}

/** The words of an image, each saved when its field is left; what is typed is kept while saving fails. @param {{image: Shown, address: string, next: () => void, box: Ref<HTMLTextAreaElement>}} props */
function Words({ image, address, next, box }) {
  const [state, setState] = useState(""); // "", saving, saved
  const [trouble, setTrouble] = useState(""); // of taking the folder's words again, where nothing is typed
  const [, draw] = useReducer((/** @type {number} */ n) => n + 1, 0); // something typed
  const here = useRef(true);
  const underway = useRef(/** @type {Words} */ ({}));
  useLayoutEffect(() => () => { here.current = false; }, []); // an effect's end would come too late
  const typed = typedOf(address);
  const problem = problemOf(address) || trouble;
  /** @param {Words} words */
  const send = async (words) => {
    Object.assign(underway.current, words);
    setState("saving");
    const why = await save(address, words);
    for (const name of /** @type {Word[]} */ (Object.keys(words))) delete underway.current[name];
    setState(why ? "" : "saved");
    setTrouble(Object.keys(typedOf(address)).length ? "" : why);
    if (why && !here.current) say(t("words-refused", { why }), true);
  };
  /** @param {Word} name @param {string} value */
  const type = (name, value) => {
    setState("");
    keep(address, { [name]: value === image[name] ? undefined : value });
    draw(undefined);
  };
  /** @param {Word} name */
  const leave = (name) => {
    const value = typedOf(address)[name]?.trim();
    if (value === undefined) return;
    if (value === image[name]) type(name, value);
    else if (value !== underway.current[name]) send({ [name]: value }); // a field gone with its panel was left, too
  };
  /** @param {KeyboardEvent} event @param {Word} name */
  const keys = (event, name) => {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    leave(name);
    if (name === "caption") next();
  };
  return html`
    ${WORDS.map((name) => html`<${Field} key=${name} id=${`words-${name}`} label=${t(name)}>
      <${Grown} id=${`words-${name}`} area=${name === "caption" ? box : undefined} dir="auto" value=${typed[name] ?? image[name]} aria-describedby=${name === "caption" && !image.described ? "words-bare" : undefined}
        onInput=${(/** @type {InputOf} */ e) => type(name, e.target.value.replace(/\n/g, " "))} onBlur=${() => leave(name)} onKeyDown=${(/** @type {KeyboardEvent} */ e) => keys(e, name)} />
      ${name === "caption" && !image.described && html`<small id="words-bare">${t("words-bare")}</small>`}
      ${image.machine_made?.some((made) => made === name) && html`<small><${MachineMade} of=${image} field=${name} /> <button type="button" class="link" onClick=${() => send({ [name]: image[name] })}>${t("machine-made-keep")}</button></small>`}
      ${image.written?.includes(name) && html`<small>${t("words-written")} <button type="button" class="link" onClick=${() => send({ [name]: null })}>${t("words-reset")}</button></small>`}
    </${Field}>`)}
    <p class="saved" role="status">${state && t(state === "saving" ? "saved-saving" : "saved-saved")}</p>
    ${problem && html`<${Notice} problem text=${problem} />`}`;
}

/**
 * @typedef {object} PanelProps
 * @property {string} library
 * @property {Shown} image
 * @property {boolean} [editable]
 * @property {(image: LibraryImage) => void} change
 * @property {(id: string) => void} removed
 * @property {() => void} alike
 * @property {(by: number) => void} step
 * @property {() => void} close
 * @property {Ref<HTMLTextAreaElement>} box
 */

/** One image beside the others: large, with its words to be read or written. @param {PanelProps} props */
function Panel({ library, image, editable, change, removed, alike, step, close, box }) {
  const [doomed, setDoomed] = useState(false);
  const where = wordsOf(library, image.image_id);
  useEffect(() => { // a search says nothing of the file and of what was written here
    if (image.written) return;
    const ended = new AbortController();
    const path = { name: library, image_id: image.image_id };
    get("/v1/libraries/{name}/images/{image_id}/words", { path, signal: ended.signal }).then(change, (error) => { if (!isAbort(error)) say(lineOf(error), true); });
    return () => ended.abort();
  }, [where]);
  const remove = async () => {
    setDoomed(false);
    try {
      await ask(address("/v1/images/{id}", { id: image.image_id }), { method: "DELETE" });
      forget(where);
      removed(image.image_id);
    } catch (error) {
      say(lineOf(error), true);
    }
  };
  return html`<aside class="panel" aria-label=${t("words-of")}>
    <header><${IconButton} icon="up" name=${t("key-previous")} keys="k" onClick=${() => step(-1)} /><${IconButton} icon="down" name=${t("key-next")} keys="j" onClick=${() => step(1)} />
      <span class="fill"></span><${IconButton} icon="close" name=${t("close")} keys="Esc" onClick=${close} /></header>
    <div class="frame"><${Picture} key=${image.image_id} src=${thumbnail(library, image.image_id, 1024)} alt=${image.alt || image.caption} /></div>
    <p class="quietly file"><bdi>${image.file}</bdi> <span>${image.width} × ${image.height}</span></p>
    ${image.in_time === false && html`<${Notice} text=${t("limit-outside")} />`}
    ${editable ? html`<${Words} key=${image.image_id} image=${image} address=${where} next=${() => step(1)} box=${box} />`
      : html`<dl class="facts small">${WORDS.map((name) => html`<div><dt>${t(name)}</dt><dd dir="auto">${image[name] || "–"} <${MachineMade} of=${image} field=${name} /></dd></div>`)}</dl>`}
    <p><button type="button" onClick=${alike}>${t("like")}</button></p>
    <${Facts} image=${image} />
    ${library.startsWith("own.") && html`<p><button type="button" class="danger" onClick=${() => setDoomed(true)}>${t("own-delete")}</button></p>`}
    ${doomed && html`<${Modal} title=${t("own-delete-title")} onClose=${() => setDoomed(false)}
      actions=${html`<button type="button" onClick=${() => setDoomed(false)}>${t("keep")}</button><button type="button" class="danger" onClick=${remove}>${t("delete-for-good")}</button>`}>
      <p dir="auto">${image.caption}</p></${Modal}>`}
  </aside>`;
}

/** @param {{name: string}} props */
function Library({ name }) {
  const own = name.startsWith("own.");
  const [whole, setWhole] = useState(/** @type {Schemas["LibraryWhole"] | null} */ (null));
  const [query, setQuery] = useState("");
  const [without, setWithout] = useState(/** @type {Word | ""} */ (""));
  const [limits, setLimits] = useState(/** @type {Limits} */ ({}));
  const only = filtersOf(limits);
  const [chosen, setChosen] = useState(/** @type {string | null} */ (null));
  const [trouble, setTrouble] = useState("");
  const [, draw] = useReducer((/** @type {number} */ n) => n + 1, 0); // something could not be saved, or was after all
  const box = useRef(/** @type {HTMLInputElement | null} */ (null));
  const caption = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  const [like, setLike] = useState(/** @type {Shown | null} */ (null));
  const { found, problem, turn, again, change, removed } = useImages(name, query, like?.image_id ?? "", without, only);
  const selection = useSelection();
  const { size } = selection.picked;
  const [row, setRow] = useRow();
  const [doing, setDoing] = useState(/** @type {"" | "edit" | "delete"} */ (""));
  const [run, setRun] = useState(/** @type {Run | null} */ (null));
  const here = useRef(true);
  useLayoutEffect(() => () => { here.current = false; }, []);
  const counting = useRef(0);
  const look = () => get("/v1/libraries/{name}", { path: { name } }).then(setWhole, (error) => setTrouble(lineOf(error)));
  const count = () => { // many pictures change at once, and are counted once
    clearTimeout(counting.current);
    counting.current = setTimeout(look, PAUSE);
  };
  /** @param {string} id */
  const gone = (id) => { setChosen(null); removed(id); selection.drop(id); count(); };
  /** @param {Run} asked */
  const start = (asked) => {
    setDoing("");
    if (here.current) setRun(asked);
    else quietly(asked);
  };
  useEffect(() => {
    /** @param {Event} event */
    const saved = (event) => {
      if (!(event instanceof CustomEvent)) return;
      const { address: where, image: one } = event.detail;
      if (where !== wordsOf(name, one.image_id)) return; // the same file in another library
      change(one);
      selection.change(one);
      count();
    };
    addEventListener("limner-words", saved);
    const redraw = () => draw(undefined);
    addEventListener("limner-unsaved", redraw);
    return () => { removeEventListener("limner-words", saved); removeEventListener("limner-unsaved", redraw); };
  }, [name]);
  useEffect(() => {
    look();
    document.title = `${own ? t("own-library") : name} · limner`;
  }, [name]);
  useEffect(selection.clear, [query, like, without, only.join("\n")]); // what is not seen must not be changed
  useEffect(() => { if (size) setChosen(null); }, [size > 0]);
  const searching = query.trim() !== "" || like !== null;
  /** @param {Shown} one */
  const fits = (one) => !searching || !without || one.image_id === chosen || LACKS[without](one);
  const shown = (found?.images || []).filter(fits);
  const image = shown.find((one) => one.image_id === chosen);
  /** @param {() => void} run */
  const soon = (run) => requestAnimationFrame(() => requestAnimationFrame(run)); // once the panel is drawn
  /** @param {string | null} id @param {"focus" | "scrollIntoView"} how */
  const reach = (id, how) => {
    const before = document.activeElement;
    soon(() => {
      const one = document.getElementById(`i-${id}`);
      if (how !== "focus") one?.parentElement?.[how]({ block: "nearest" });
      else if (document.activeElement === before || document.activeElement === document.body) one?.focus({ preventScroll: true }); // fast hands went on
    });
  };
  /** @param {string} id */
  const choose = (id) => { setChosen(id); reach(id, "scrollIntoView"); };
  /** @param {number} by */
  const step = (by) => {
    const at = shown.findIndex((one) => one.image_id === chosen);
    const next = shown[at < 0 ? 0 : Math.min(shown.length - 1, Math.max(0, at + by))];
    if (!next) return;
    const writing = document.activeElement === caption.current;
    choose(next.image_id);
    if (writing) soon(() => { caption.current?.focus({ preventScroll: true }); caption.current?.select(); });
    else reach(next.image_id, "focus");
  };
  const total = searching ? shown.length : found?.total ?? 0;
  const every = async () => (searching ? shown : everyImage(name, { without: without || undefined, only }));
  const pick = () => {
    const at = shown.find((one) => document.activeElement?.id === `i-${one.image_id}`) ?? image;
    if (at) selection.toggle(at);
  };
  const many = Boolean(whole?.editable) || own;
  const close = () => { const id = chosen; setChosen(null); reach(id, "focus"); };
  useKeys([
    { key: "j", says: t("key-next"), run: () => step(1) },
    { key: "k", says: t("key-previous"), run: () => step(-1) },
    { key: "e", says: t("words-edit"), run: () => caption.current?.focus() },
    { key: "/", says: t("key-search"), run: () => box.current?.focus() },
    ...(many ? [
      { key: "x", says: t("key-select"), run: pick },
      { key: "Mod+a", says: t("key-select-all"), run: () => selection.add(shown) },
    ] : []),
    ...(many && size ? [{ says: t("words"), run: () => setDoing("edit") }] : []),
    ...(whole?.editable ? [{ key: "c", says: t("captioning"), run: () => go("libraries", name, "captions") }] : []),
    { key: "Escape", typed: true, says: t("key-escape"), run: () => {
      if (document.activeElement instanceof HTMLElement && document.activeElement.matches("input:not([type=checkbox]), textarea")) document.activeElement.blur();
      else if (size) selection.clear();
      else if (chosen) close();
    } },
  ]);
  return html`<div class=${`page library ${image ? "with-panel" : ""}`}>
    <p class="crumbs"><a href=${link("libraries")}>${t("nav-libraries")}</a></p>
    <div class="page-head"><h1 dir="auto">${own ? t("own-library") : name}</h1>
      ${whole && html`<p class="quietly">${t("library-about", { n: number(whole.images ?? 0), described: number(whole.described), licensed: number(whole.licensed) })}</p>`}</div>
    <div class="filters wide">
      <input ref=${box} type="search" aria-label=${t("library-search")} placeholder=${t("library-search")} value=${query} onInput=${(/** @type {InputOf<HTMLInputElement>} */ e) => setQuery(e.target.value)} />
      <select aria-label=${t("filter")} value=${without} onChange=${(/** @type {InputOf<HTMLSelectElement>} */ e) => { setWithout(/** @type {Word | ""} */ (e.target.value)); setChosen(null); }}>
        <option value="">${t("without-none")}</option>${WORDS.map((word) => html`<option value=${word}>${t(`without-${word}`)}</option>`)}</select>
      <${LimitFields} limits=${limits} set=${(/** @type {Limits} */ now) => { setLimits(now); setChosen(null); }} />
      ${whole?.editable && html`<a class="button" href=${link("libraries", name, "captions")}>${t("captioning")}</a><${Suggest} library=${whole} change=${change} changed=${() => { count(); again(); }} />`}
    </div>
    ${like && html`<p class="quietly"><bdi>${t("like-of", { caption: like.caption })}</bdi> <button type="button" class="link" onClick=${() => { setLike(null); box.current?.focus(); }}>${t("like-end")}</button></p>`}
    ${(problem || trouble) && html`<${Notice} problem text=${problem || trouble} />`}
    <div class="shelf-head"><p class="quietly" role="status">${found && (searching || !without ? t("images-count", { n: total }) : t("without-count", { n: total }))}</p><${SizeSlider} row=${row} set=${setRow} /></div>
    <div class="shelf">
      <div>${!found ? html`<${Busy} />` : shown.length === 0 ? html`<p class="empty">${only.length ? t("limit-none") : searching ? t("found-none") : without ? t("without-all") : t("library-empty")}</p>`
        : html`<${Gallery} library=${name} images=${shown} chosen=${chosen} row=${row} selection=${many ? selection : null} choose=${choose} />`}
        ${found?.next && !searching && html`<p class="more"><button type="button" onClick=${turn}>${t("more")}</button></p>`}</div>
      ${image && html`<${Panel} library=${name} image=${image} editable=${whole?.editable} change=${change} removed=${gone} alike=${() => { setLike(image); setChosen(null); box.current?.focus(); }} step=${step} close=${close} box=${caption} />`}
    </div>
    ${size > 0 && html`<${SelectionBar} selection=${selection} total=${total} every=${every} edit=${whole?.editable ? () => setDoing("edit") : null} remove=${own ? () => setDoing("delete") : null} />`}
    ${doing === "edit" && html`<${EditMany} library=${name} images=${[...selection.picked.values()]} start=${start} close=${() => setDoing("")} />`}
    ${doing === "delete" && html`<${Modal} title=${t("own-delete-many", { n: number(size), count: size })} onClose=${() => setDoing("")}
      actions=${html`<button type="button" onClick=${() => setDoing("")}>${t("keep")}</button><button type="button" class="danger" onClick=${() => start({ kind: "delete", library: name, tasks: deleting(name, [...selection.picked.values()], gone) })}>${t("delete-for-good")}</button>`}>
      <p>${t("own-delete-about")}</p></${Modal}>`}
    ${run && html`<${RunMany} given=${run} again=${start} over=${() => { setRun(null); if (run.kind === "delete") again(); }} />`}
  </div>`;
}
