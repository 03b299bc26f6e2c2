/**
 * Captioning: one large picture after the other, its words beside it. Enter saves and shows the next.
 *
 * What is typed is kept on this device with every letter (lib/unsaved.js) until the server has it.
 */
import { html, useEffect, useLayoutEffect, useReducer, useRef, useState } from "../lib/html.js";
import { blobUrl, get, hasToken } from "../lib/api.js";
import { number, t } from "../lib/i18n.js";
import { thumbnail, wordsOf } from "../lib/images.js";
import { howKept } from "../lib/journal.js";
import { useKeys } from "../lib/keys.js";
import { go, link } from "../lib/router.js";
import { Busy, Field, Grown, Notice, Picture, lineOf } from "../lib/ui.js";
import { keep, problemOf, save, typedOf } from "../lib/unsaved.js";
import { Facts } from "./facts.js";
import { MachineMade } from "./suggestions.js";
/** @import { InputOf, LibraryImage, Words } from "../types.js" */
/** @typedef {keyof Words} Word */

/** @type {Word[]} */
const WORDS = ["caption", "alt", "credit", "licence"];
/** @type {Word[]} */
const CARRIED = ["credit", "licence"]; // alike for many pictures of a folder
const PAGE = 60; // pictures asked for at once
const AHEAD = 10; // pictures before the end of what is loaded

/** What is saved of a field; a file's name is no caption. @param {LibraryImage} image @param {Word} name */
const stored = (image, name) => (name === "caption" && !image.described ? "" : image[name]);

/** @typedef {{images: LibraryImage[], next: string | null, total: number}} Row total: as it was when the first were asked for */

/** The pictures in their order, more of them as the end comes near. What was filled in stays, so that one can go back. @param {string} name @param {Word | ""} without @param {number} at */
function useQueue(name, without, at) {
  const [row, setRow] = useState(/** @type {Row | null} */ (null));
  const [problem, setProblem] = useState("");
  const asking = useRef(/** @type {string | null} */ (null));
  /** @param {string} after */
  const page = async (after) => {
    const asked = `${name}\n${without}\n${after}`;
    if (asking.current === asked) return;
    asking.current = asked;
    try {
      const got = await get("/v1/libraries/{name}/images", { path: { name }, query: { limit: PAGE, without: without || undefined, after } });
      if (asking.current !== asked) return; // something else is wanted by now
      setRow((now) => (after && now ? { ...now, images: [...now.images, ...got.images], next: got.next } : { images: got.images, next: got.next, total: got.total }));
      setProblem("");
    } catch (error) {
      setProblem(lineOf(error));
    }
    if (asking.current === asked) asking.current = null;
  };
  useEffect(() => { setRow(null); page(""); }, [name, without]);
  useEffect(() => { if (row?.next && at >= row.images.length - AHEAD) page(row.next); }, [row, at]);
  /** @param {LibraryImage} image */
  const change = (image) => setRow((now) => now && { ...now, images: now.images.map((one) => (one.image_id === image.image_id ? image : one)) });
  return { row, problem, change };
}

/** Fetch the next picture before it is asked for. @param {string | undefined} src */
function useAhead(src) {
  useEffect(() => {
    if (!src) return;
    if (hasToken()) blobUrl(src).catch(() => {}); // shown as broken when its turn comes
    else new Image().src = src;
  }, [src]);
}

/** Saving, as it stands: nothing is called saved that the server does not have. @param {{going: number, saved: boolean, open: boolean, waiting: LibraryImage[], show: (image: LibraryImage) => void}} props */
function Saved({ going, saved, open, waiting, show }) {
  const kept = howKept();
  const state = going || kept === "keeping" ? "saved-saving" : kept === "not" && (open || waiting.length) ? "saved-not" : open ? "saved-kept" : saved && !waiting.length ? "saved-saved" : "";
  return html`<p class="saved" role="status">${state && t(state)}
    ${waiting.length > 0 && html`<button type="button" class="link" onClick=${() => show(waiting[0])}>${t("captioning-waiting", { n: number(waiting.length), count: waiting.length })}</button>`}</p>`;
}

/**
 * @typedef {object} FieldsProps
 * @property {LibraryImage} image
 * @property {(name: Word) => string} value
 * @property {(name: Word, text: string) => void} type
 * @property {(by: number) => void} step
 */

/** @param {FieldsProps} props */
function Fields({ image, value, type, step }) {
  const box = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  useLayoutEffect(() => { box.current?.focus({ preventScroll: true }); box.current?.select(); }, []);
  /** @param {KeyboardEvent} event */
  const keys = (event) => {
    if (event.key !== "Enter" || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    step(event.shiftKey ? -1 : 1);
  };
  return html`${WORDS.map((name) => html`<${Field} key=${name} id=${`one-${name}`} label=${t(name)} hint=${name === "alt" ? t("captioning-alt-hint") : undefined}>
    <${Grown} id=${`one-${name}`} area=${name === "caption" ? box : undefined} dir="auto" value=${value(name)} placeholder=${name === "caption" ? t("captioning-example") : undefined}
      onInput=${(/** @type {InputOf} */ e) => type(name, e.target.value.replace(/\n/g, " "))} onKeyDown=${keys} /> <${MachineMade} of=${image} field=${name} />
  </${Field}>`)}`;
}

/** @param {{name: string}} props */
export function Captioning({ name }) {
  const [without, setWithout] = useState(/** @type {Word | ""} */ ("caption"));
  const [at, setAt] = useState(0);
  const { row, problem, change } = useQueue(name, without, at);
  const [carry, setCarry] = useState(false);
  const carried = useRef(/** @type {Words} */ ({}));
  const line = useRef(Promise.resolve());
  const [going, setGoing] = useState(0);
  const [saved, setSaved] = useState(false);
  const [, draw] = useReducer((/** @type {number} */ n) => n + 1, 0); // something typed, kept, or refused
  const images = row?.images ?? [];
  const image = images[at];
  const where = (/** @type {LibraryImage} */ one) => wordsOf(name, one.image_id);
  /** @param {Word} word */
  const value = (word) => {
    if (!image) return "";
    return typedOf(where(image))[word] ?? (stored(image, word) || (carry && CARRIED.includes(word) && carried.current[word]) || "");
  };
  /** @param {Word} word @param {string} text */
  const type = (word, text) => {
    keep(where(image), { [word]: text === stored(image, word) && !carry ? undefined : text });
    draw(undefined);
  };
  /** Send what is typed, or all that the fields say, where that is new. @param {boolean} [all] */
  const send = (all = false) => {
    if (!image) return;
    const typed = typedOf(where(image));
    const told = WORDS.filter((word) => all || typed[word] !== undefined).map((word) => [word, value(word).trim()]);
    const words = Object.fromEntries(told.filter(([word, text]) => text !== stored(image, /** @type {Word} */ (word))));
    if (all) carried.current = Object.fromEntries(told.filter(([word]) => CARRIED.includes(/** @type {Word} */ (word))));
    keep(where(image), Object.fromEntries(told.map(([word]) => [word, words[word]]))); // also what was carried over; what is as it was needs no keeping
    if (!Object.keys(words).length) return;
    setGoing((n) => n + 1);
    line.current = line.current.then(async () => { // one after the other: of two about one picture the second must be the last
      await save(where(image), words);
      setGoing((n) => n - 1);
    });
  };
  /** @param {number} to @param {boolean} [all] */
  const show = (to, all) => {
    send(all);
    setAt(Math.max(0, Math.min(images.length, to)));
  };
  const step = (/** @type {number} */ by) => show(at + by, by > 0);
  const latest = useRef(send);
  latest.current = send;
  useLayoutEffect(() => () => { latest.current(); }, []); // leaving saves, too
  useEffect(() => {
    /** @param {Event} event */
    const hear = (event) => {
      if (!(event instanceof CustomEvent) || event.detail.address !== wordsOf(name, event.detail.image.image_id)) return;
      change(event.detail.image);
      setSaved(true);
    };
    const redraw = () => draw(undefined);
    addEventListener("limner-words", hear);
    for (const event of ["limner-unsaved", "limner-kept"]) addEventListener(event, redraw);
    return () => { removeEventListener("limner-words", hear); for (const event of ["limner-unsaved", "limner-kept"]) removeEventListener(event, redraw); };
  }, [name]);
  useEffect(() => { document.title = `${t("captioning")} · limner`; }, []);
  useKeys([
    { key: "Enter", says: t("captioning-next"), run: () => step(1) },
    { key: "Shift+Enter", says: t("captioning-previous"), run: () => step(-1) },
    { key: "Escape", typed: true, says: t("captioning-end"), run: () => go("libraries", name) },
  ]);
  useAhead(images[at + 1] && thumbnail(name, images[at + 1].image_id, 1024));
  const total = row ? (row.next ? Math.max(row.total, images.length) : images.length) : 0;
  const waiting = images.filter((one) => problemOf(where(one)));
  const open = image !== undefined && Object.keys(typedOf(where(image))).length > 0;
  return html`<div class="captioning">
    <header>
      <p class="crumbs"><a href=${link("libraries", name)}>${name.startsWith("own.") ? t("own-library") : name}</a></p>
      <h1 class="sr">${t("captioning")}</h1>
      <select aria-label=${t("filter")} value=${without} onChange=${(/** @type {InputOf<HTMLSelectElement>} */ e) => { send(); setAt(0); setWithout(/** @type {Word | ""} */ (e.target.value)); }}>
        ${WORDS.map((word) => html`<option value=${word}>${t(`without-${word}`)}</option>`)}<option value="">${t("without-none")}</option></select>
      <span class="fill"></span>
      ${total > 0 && html`<p class="counter" role="status">${image ? t(`captioning-of-${without || "all"}`, { n: number(at + 1), of: number(total) }) : t("captioning-over")}</p>`}
    </header>
    ${total > 0 && html`<progress max=${total} value=${at} aria-label=${t("captioning")}></progress>`}
    ${problem && html`<${Notice} problem text=${problem} />`}
    ${!row ? !problem && html`<${Busy} />` : !image ? html`<div class="empty"><p>${row.next ? t("loading") : images.length ? t("captioning-over") : t("without-all")}</p>
        <p class="actions">${images.length > 0 && html`<button type="button" onClick=${() => show(images.length - 1)}>${t("captioning-previous")}</button>`}<a class="button primary" href=${link("libraries", name)}>${t("captioning-end")}</a></p>
        <${Saved} going=${going} saved=${saved} open=${false} waiting=${waiting} show=${(/** @type {LibraryImage} */ one) => show(images.indexOf(one))} /></div>`
      : html`<div class="easel">
        <div class="frame"><${Picture} key=${image.image_id} src=${thumbnail(name, image.image_id, 1024)} alt=${image.alt || image.caption} /></div>
        <form onSubmit=${(/** @type {Event} */ e) => { e.preventDefault(); step(1); }}>
          <p class="quietly file"><bdi>${image.file}</bdi> <span>${image.width} × ${image.height}</span></p>
          <${Fields} key=${image.image_id} image=${image} value=${value} type=${type} step=${step} />
          <label class="check"><input type="checkbox" checked=${carry} onChange=${() => setCarry(!carry)} /> ${t("captioning-carry")}</label>
          ${problemOf(where(image)) && html`<${Notice} problem text=${problemOf(where(image))} />`}
          <div class="actions"><button type="button" disabled=${at === 0} title="Shift+Enter" onClick=${() => step(-1)}>${t("key-previous")}</button><button class="primary" title="Enter">${t("captioning-next")}</button></div>
          <${Saved} going=${going} saved=${saved} open=${open} waiting=${waiting.filter((one) => one !== image)} show=${(/** @type {LibraryImage} */ one) => show(images.indexOf(one))} />
          <${Facts} image=${image} />
        </form>
      </div>`}
  </div>`;
}
