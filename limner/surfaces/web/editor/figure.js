/** An image in the article, and in the margin everything about it: other candidates, its words, its crop. */
import { html, useEffect, useLayoutEffect, useRef, useState } from "../lib/html.js";
import { address, ask as request, get, isAbort } from "../lib/api.js";
import { server, t } from "../lib/i18n.js";
import { Busy, Field, Grown, Icon, IconButton, Notice, Picture, lineOf, say } from "../lib/ui.js";

import { MachineMade } from "../pages/suggestions.js";
/** @import { Candidate, ImageBlock, InputOf, OwnImage, Ref, TextBlock } from "../types.js" */
/** @import { Act, Place } from "./actions.js" */
/** @import { Desk } from "./desk.js" */
/** @typedef {Ref<(Candidate | null)[]> & {current: (Candidate | null)[]}} Offered */

/** As published. @param {{block: ImageBlock}} props */
export function Figure({ block }) {
  return html`<figure>
    <${Picture} src=${block.src} alt=${block.alt} width=${block.width} height=${block.height} crop=${block.crop} />
    ${(block.caption || block.credit) && html`<figcaption><bdi>${block.caption}</bdi> <${MachineMade} of=${block} />${block.credit && html` <span class="credit"><bdi>${block.credit}</bdi></span>`}</figcaption>`}
  </figure>`;
}

/** @typedef {"caption" | "alt" | "credit"} Field_ */
/** @type {Field_[]} */
const FIELDS = ["caption", "alt", "credit"];

/** The words of an image; each field is saved when it is left. @param {{block: ImageBlock, desk: Desk}} props */
function Words({ block, desk }) {
  const [words, setWords] = useState(/** @type {Partial<Record<Field_, string>>} */ ({}));
  const latest = useRef(words);
  latest.current = words;
  const place = (/** @type {Field_} */ name) => `${block.id}.${name}`;
  /** @param {Field_} name @param {string} value */
  const type = (name, value) => {
    desk.type(place(name), value, block[name]);
    setWords((now) => ({ ...now, [name]: value }));
  };
  /** @param {Field_} name */
  const save = (name) => {
    desk.leave(place(name));
    setWords(({ [name]: _, ...others }) => others); // what is typed in the other fields stays
  };
  useLayoutEffect(() => () => { for (const name of FIELDS) if (latest.current[name] !== undefined) desk.leave(place(name)); }, []);
  return html`${FIELDS.map((name) => html`
    <${Field} key=${name} id=${`image-${name}`} label=${t(name)}>
      <${Grown} id=${`image-${name}`} dir="auto" disabled=${block.locked} value=${words[name] ?? block[name]} onInput=${(/** @type {InputOf} */ e) => type(name, e.target.value.replace(/\n/g, " "))}
        onBlur=${() => save(name)} onKeyDown=${(/** @type {KeyboardEvent} */ e) => { if (e.key === "Enter" && !e.isComposing) { e.preventDefault(); save(name); } }} />
      <${MachineMade} of=${block} field=${name} />
    </${Field}>`)}
    ${block.licence && html`<p class="quietly">${t("licence")}: <bdi>${block.licence}</bdi></p>`}`;
}

/** @typedef {{image?: string, caption?: string, like?: string, but?: string}} Wanted */
/**
 * @typedef {object} CandidatesProps
 * @property {Desk} desk
 * @property {Wanted} first
 * @property {(one: Candidate) => void} choose
 * @property {string} [chosen]
 * @property {ImageBlock} [like]
 * @property {Ref<HTMLInputElement>} box
 * @property {Offered} offered
 * @property {boolean} [off]
 */

/**
 * Images to choose from: those found for the image, those for a caption, those like another one.
 * first: what is looked for before anything is typed, e.g. {image: "f-s1"}. choose: called with the candidate taken.
 * @param {CandidatesProps} props
 */
export function Candidates({ desk, first, choose, chosen, like, box, offered, off }) {
  const [wanted, setWanted] = useState(first);
  const [text, setText] = useState("");
  const [but, setBut] = useState("");
  const [found, setFound] = useState(/** @type {Candidate[] | null} */ (null));
  const [problem, setProblem] = useState("");
  const [all, setAll] = useState(false);
  const origin = JSON.stringify(first);
  useEffect(() => { setWanted(first); setText(""); setBut(""); }, [origin]);
  const asked = JSON.stringify(wanted);
  useEffect(() => {
    setProblem("");
    setAll(false);
    const ended = new AbortController();
    setFound(null);
    get("/v1/jobs/{job}/candidates", { path: { job: desk.job }, query: wanted, signal: ended.signal }).then((answer) => setFound(answer.candidates), (error) => {
      if (isAbort(error)) return;
      setFound([]);
      setProblem(lineOf(error));
    });
    return () => ended.abort();
  }, [asked]);
  useEffect(() => { if (offered) offered.current = off ? [] : (found || []).map((one) => (used(one, chosen) ? null : one)); }, [found, off]);
  /** @param {Event} event */
  const search = (event) => {
    event.preventDefault();
    if (text.trim()) setWanted({ caption: text.trim() });
  };
  /** @param {Event} event */
  const alike = (event) => {
    event.preventDefault();
    if (like) setWanted({ like: like.image_id, but: but.trim() });
  };
  const taken = found?.find((one) => one.image_id === chosen);
  return html`
    ${taken?.why && html`<p class="why-line"><span class="label">${t("why")}</span> <bdi>${server(taken.why, taken)}</bdi></p>`}
    ${problem && html`<${Notice} problem text=${problem} />`}
    ${!found ? html`<${Busy} />` : found.length === 0 ? !problem && html`<p class="quietly">${t("found-none")}</p>` : html`
      <ol class="candidates">${found.slice(0, all || found.length < FIRST + 3 ? found.length : FIRST).map((one) => html`
        <li key=${`${one.library}/${one.image_id}`} class=${one.image_id === chosen ? "chosen" : one.chosen ? "used" : ""}>
          <button type="button" disabled=${off || used(one, chosen)} aria-pressed=${one.image_id === chosen} title=${server(one.why, one) || one.caption} onClick=${() => choose(one)}>
            <span class="frame"><${Picture} src=${one.thumbnail} alt="" /></span>
            <span class="score">${used(one, chosen) ? t("used") : html`<span class="sr">${t("score")} </span>${score(one)}`}</span>
            <span class="caption" dir="auto">${one.caption}</span> <${MachineMade} of=${one} />
          </button>
        </li>`)}</ol>
      ${!all && found.length >= FIRST + 3 && html`<p><button type="button" class="quiet" onClick=${() => setAll(true)}>${t("more")} (${found.length - FIRST})</button></p>`}`}
    <form class="with" onSubmit=${search}><input ref=${box} type="search" aria-label=${t("search-caption")} placeholder=${t("search-caption")} value=${text} onInput=${(/** @type {InputOf<HTMLInputElement>} */ e) => setText(e.target.value)} /><button disabled=${!text.trim()}>${t("search")}</button></form>
    ${like && html`<form class="with" onSubmit=${alike}><input aria-label=${t("like-but")} placeholder=${t("like-but")} value=${but} onInput=${(/** @type {InputOf<HTMLInputElement>} */ e) => setBut(e.target.value)} /><button>${t("like")}</button></form>`}`;
}

const FIRST = 6; // candidates shown before more are asked for
/** @param {Candidate} one */
const score = (one) => one.score.toFixed(2);
/** Whether it stands elsewhere in the article: an image is shown once. @param {Candidate} one @param {string} [chosen] */
const used = (one, chosen) => one.chosen && one.image_id !== chosen;

/** Hand in an image of one's own. taken: called with what the server made of it. @param {{desk: Desk, taken: (own: OwnImage) => void, off?: boolean}} props */
export function Upload({ desk, taken, off }) {
  const [busy, setBusy] = useState(false);
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  /** @param {File | undefined} file */
  const send = async (file) => {
    if (!file) return;
    setBusy(true);
    try {
      const body = new FormData();
      body.set("file", file);
      taken(await (await request(address("/v1/jobs/{job}/images", { job: desk.job }), { method: "POST", body })).json());
    } catch (error) {
      say(lineOf(error), true);
    }
    setBusy(false);
    if (input.current) input.current.value = "";
  };
  return html`<label class=${`button upload ${off ? "off" : ""}`}><${Icon} name="plus" />${busy ? t("uploading") : t("upload")}
    <input ref=${input} class="sr" type="file" disabled=${off || busy} accept="image/*,.svg,.heic,.avif" onChange=${(/** @type {InputOf<HTMLInputElement>} */ e) => send(e.target.files?.[0])} /></label>`;
}

/** Everything about an image that stands in the article. @param {{block: ImageBlock, place: Place, desk: Desk, act: Act, box: Ref<HTMLInputElement>, offered: Offered}} props */
export function ImageTools({ block, place, desk, act, box, offered }) {
  const off = block.locked;
  /** @param {Candidate | OwnImage} one */
  const swap = (one) => one.image_id !== block.image_id && desk.edit([{ do: "swap_image", image: block.id, image_id: one.image_id, library: one.library }], { hint: one });
  /** @param {string} name @param {() => void} run @param {{icon: string, keys: string, disabled?: boolean}} how */
  const icon = (name, run, { icon, keys, disabled = off }) => html`<${IconButton} icon=${icon} name=${name} keys=${keys} disabled=${disabled} onClick=${run} />`;
  return html`
    <div class="tools row-of-icons">
      <h2 class="label">${t("kind-image")}${off ? ` · ${t("locked")}` : ""}</h2><span class="fill"></span>
      ${icon(off ? t("unlock") : t("lock"), act.lock, { icon: off ? "unlock" : "lock", keys: "", disabled: false })}
      ${icon(t("move-up"), () => act.move(-1), { icon: "up", keys: "Alt+↑", disabled: off || place.first })}
      ${icon(t("move-down"), () => act.move(1), { icon: "down", keys: "Alt+↓", disabled: off || place.last })}
      ${icon(t("crop"), act.crop, { icon: "crop", keys: "" })}
      ${icon(t("remove"), act.remove, { icon: "trash", keys: "Ctrl+⌫" })}
    </div>
    <h3 class="sr">${t("candidates")}</h3>
    <${Candidates} desk=${desk} first=${{ image: block.id }} chosen=${block.image_id} like=${block} choose=${swap} box=${box} offered=${offered} off=${off} />
    <div class="tools"><${Upload} desk=${desk} off=${off} taken=${swap} /></div>
    <h3 class="label">${t("words")}</h3>
    <${Words} block=${block} desk=${desk} />`;
}

/** A new image after a paragraph. @param {{block: TextBlock, desk: Desk, done: () => void, box: Ref<HTMLInputElement>, offered: Offered}} props */
export function PlaceTools({ block, desk, done, box, offered }) {
  /** @param {Candidate | OwnImage} one */
  const place = (one) => {
    desk.edit([{ do: "place_image", after: block.id, image_id: one.image_id, library: one.library }]);
    done();
  };
  return html`
    <h2 class="label">${t("place-image")}</h2>
    <div class="tools"><${Upload} desk=${desk} taken=${place} /><button type="button" onClick=${done}>${t("back")}</button></div>
    <${Candidates} desk=${desk} first=${{ caption: plain(block.text).slice(0, 300) }} choose=${place} box=${box} offered=${offered} />`;
}

/** Words without the commonest marks of Markdown: a first search, not a rendering. @param {string} text */
const plain = (text) => text.replace(/[*_`#>[\]]|\(https?:[^)]*\)/g, " ").replace(/\s+/g, " ").trim();
