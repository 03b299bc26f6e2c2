/**
 * A job that waits for a person. A question has one shape for all surfaces (see limner/workflows/review/protocol.py); here
 * each point has a form of its own, and a question of a graph that is not ours its JSON.
 */
import { html, useRef, useState } from "../lib/html.js";
import { Refused, post } from "../lib/api.js";
import { server, t } from "../lib/i18n.js";
import { keep } from "../lib/journal.js";
import { useKept } from "../lib/kept.js";
import { link } from "../lib/router.js";
import { Grown, Notice, Picture, lineOf } from "../lib/ui.js";
import { thumbnail } from "../lib/images.js";
/** @import { InputOf, JobWhole, Question, ReviewFigure, ReviewSpot, ReviewSpots, Schemas, Shown } from "../types.js" */
/** @template Args @typedef {{args: Args, set: (change: Partial<Args>) => void}} FormProps */

/** @param {FormProps<Schemas["ShownOutline"]>} props */
function Outline({ args, set }) {
  return html`<label class="sr" for="outline">${t("point-outline")}</label><${Grown} id="outline" class="typing" dir="auto" value=${args.outline} onInput=${(/** @type {InputOf} */ e) => set({ outline: e.target.value })} />`;
}

/** @param {{args: Schemas["ShownDraft"], set: (change: Pick<Schemas["ShownDraft"], "blocks">) => void}} props */
function Blocks({ args, set }) {
  /** @param {number} n @param {string} text */
  const change = (n, text) => set({ blocks: args.blocks.map((block, i) => (i === n ? { ...block, text } : block)) });
  /** @param {number} n */
  const drop = (n) => set({ blocks: args.blocks.filter((_, i) => i !== n) });
  return html`<div class="sheet form" lang=${args.language}>
    ${args.blocks.map((block, n) => html`<div class="block" key=${block.id || n}>
      <${Grown} class=${`typing ${block.kind}`} dir="auto" aria-label=${`${n + 1}. ${t(`kind-${block.kind}`)}`} value=${block.text} onInput=${(/** @type {InputOf} */ e) => change(n, e.target.value)} />
      <button type="button" class="quiet drop" aria-label=${t("remove-of", { name: `${n + 1}` })} onClick=${() => drop(n)}>×</button></div>`)}
  </div>`;
}

/** @param {FormProps<ReviewSpots>} props */
function Spots({ args, set }) {
  /** @param {number} n @param {Partial<ReviewSpot>} news */
  const change = (n, news) => set({ spots: args.spots.map((spot, i) => (i === n ? { ...spot, ...news } : spot)) });
  const free = args.paragraphs.filter((one) => !args.spots.some((spot) => spot.after === one.id));
  /** @param {string} id */
  const about = (id) => args.paragraphs.find((one) => one.id === id)?.text ?? "";
  return html`<ol class="spots">${args.spots.map((spot, n) => html`<li key=${spot.id || `new-${n}`}>
      <blockquote dir="auto">${about(spot.after)}</blockquote>
      <div class="field"><label for=${`spot-${n}`}>${t("spot-caption")}</label><div class="with">
        <input id=${`spot-${n}`} dir="auto" value=${spot.caption} onInput=${(/** @type {InputOf<HTMLInputElement>} */ e) => change(n, { caption: e.target.value })} />
        <button type="button" aria-label=${t("remove-of", { name: spot.caption })} onClick=${() => set({ spots: args.spots.filter((_, i) => i !== n) })}>${t("remove")}</button></div></div>
      <div class="field"><label for=${`search-${n}`}>${t("spot-search")}</label><input id=${`search-${n}`} value=${spot.search ?? ""} onInput=${(/** @type {InputOf<HTMLInputElement>} */ e) => change(n, { search: e.target.value })} /></div>
    </li>`)}</ol>
    ${free.length > 0 && html`<div class="field"><label for="spot-add">${t("spot-add")}</label>
      <select id="spot-add" value="" onChange=${(/** @type {InputOf<HTMLSelectElement>} */ e) => e.target.value && set({ spots: [...args.spots, { after: e.target.value, caption: "", search: "" }] })}>
        <option value=""></option>${free.map((one) => html`<option value=${one.id}>${one.text.slice(0, 80)}</option>`)}</select></div>`}`;
}

/** @param {FormProps<Schemas["ShownImages"]>} props */
function Images({ args, set }) {
  /** @param {number} n @param {string | null} chosen */
  const choose = (n, chosen) => set({ images: args.images.map((row, i) => (i === n ? { ...row, chosen } : row)) });
  return html`${args.images.map((row, n) => html`<fieldset class="choice" key=${row.spot}>
    <legend dir="auto">${row.caption}</legend>
    ${row.why && html`<p class="why-line" dir="auto">${server(row.why, row)}</p>`}
    <div class="candidates">
      <label class=${row.chosen === null ? "chosen" : ""}><input type="radio" name=${`spot-${row.spot}`} checked=${row.chosen === null} onChange=${() => choose(n, null)} /><span class="frame none">${t("no-image")}</span></label>
      ${row.generated && html`<label class=${row.chosen === row.generated ? "chosen" : ""}><input type="radio" name=${`spot-${row.spot}`} checked=${row.chosen === row.generated} onChange=${() => choose(n, row.generated ?? null)} /><span class="frame none">${t("generated")}</span></label>`}
      ${row.candidates.map((one) => html`<label key=${one.image_id} class=${row.chosen === one.image_id ? "chosen" : ""}>
        <input type="radio" name=${`spot-${row.spot}`} checked=${row.chosen === one.image_id} onChange=${() => choose(n, one.image_id)} />
        <span class="frame"><${Picture} src=${thumbnail(one.library, one.image_id)} alt="" /></span><span class="caption" dir="auto">${one.caption}</span></label>`)}
    </div></fieldset>`)}`;
}

/** @param {FormProps<Schemas["ShownFinal"]>} props */
function Final({ args, set }) {
  /** @param {string} id @param {Partial<ReviewFigure>} news */
  const change = (id, news) => set({ images: args.images.map((one) => (one.id === id ? { ...one, ...news } : one)) });
  return html`<${Blocks} args=${args} set=${set} />
    <h2>${t("point-images")}</h2>
    <ul class="finals">${args.images.map((one) => html`<li key=${one.id}>
      <${Picture} src=${thumbnail(one.library, one.image_id)} alt=${one.alt || one.caption} />
      <div>${/** @type {("caption" | "alt" | "credit")[]} */ (["caption", "alt", "credit"]).map((name) => html`<div class="field"><label for=${`${one.id}-${name}`}>${t(name)}</label>
        <input id=${`${one.id}-${name}`} dir="auto" value=${one[name]} onInput=${(/** @type {InputOf<HTMLInputElement>} */ e) => change(one.id, { [name]: e.target.value })} /></div>`)}
        <button type="button" aria-label=${t("remove-of", { name: one.caption })} onClick=${() => set({ images: args.images.filter((other) => other.id !== one.id) })}>${t("remove")}</button></div>
    </li>`)}</ul>`;
}

/** @param {{args: unknown}} props */
function Foreign({ args }) {
  return html`<pre class="plan" tabindex="0">${JSON.stringify(args, null, 2)}</pre>`;
}

/** @type {Record<Question["point"], (props: never) => unknown>} */
const FORMS = { outline: Outline, draft: Blocks, spots: Spots, images: Images, final: Final };

/** What of a question was changed: whole fields, as they were shown. `blocks` and `text` are the same twice. @param {object} shown @param {object} now */
export function edited(shown, now) {
  const before = new Map(Object.entries(shown));
  const changed = Object.entries(now).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(before.get(name)));
  return Object.fromEntries(changed);
}

/** A question of limner's own graph, null for one of another's. @param {unknown} value @returns {Question | null} */
function ourQuestion(value) {
  if (typeof value !== "object" || value === null || !("action_request" in value) || !("point" in value)) return null;
  return String(value.point) in FORMS ? /** @type {Question} */ (value) : null;
}

/** @param {{job: JobWhole, changed: () => void}} props */
export function Review({ job, changed }) {
  const [first] = Array.isArray(job.question) ? job.question : [];
  const asked = first?.value;
  const ours = ourQuestion(asked);
  const shown = ours?.action_request.args;
  const rows = `review/${job.id}/${ours?.version ?? ""}/`; // of the journal
  const [args, setArgs] = useKept(`${rows}args`, shown);
  const [said, setSaid] = useKept(`${rows}said`, "");
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const box = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  const config = ours?.config ?? { allow_respond: true, allow_accept: false, allow_edit: false };
  const Form = ours && FORMS[ours.point];
  const news = shown && args ? edited(shown, args) : {};
  const dirty = Object.keys(news).length > 0;
  /** @param {unknown} value */
  const answer = async (value) => {
    setBusy(true);
    setProblem("");
    try {
      await post("/v1/jobs/{job}/answer", { value }, { path: { job: job.id } });
      keep({ [`${rows}args`]: undefined, [`${rows}said`]: undefined });
      changed();
    } catch (error) {
      setProblem(lineOf(error));
      if (error instanceof Refused && error.status === 409) changed();
      setBusy(false);
    }
  };
  /** @param {"accept" | "edit" | "response"} type @param {unknown} given */
  const ready = (type, given = null) => answer({ type, args: given, version: ours?.version });
  const send = () => ready("edit", { action: ours?.action_request.action, args: news });
  /** @param {Event} event */
  const respond = (event) => {
    event.preventDefault();
    if (said.trim()) (ours ? ready("response", said.trim()) : answer(said.trim()));
  };
  return html`
    <div class="page narrow review">
      <p class="crumbs"><a href=${link()}>${t("nav-jobs")}</a></p>
      <p class="label">${ours ? t(`review-${ours.point}`) : t("state-waiting")}</p>
      <h1 dir="auto">${job.title}</h1>
      ${ours?.description && html`<p class="says" dir="auto">${server(ours.description, ours)}</p>`}
      ${Form && args ? html`<${Form} args=${args} set=${(/** @type {Partial<Shown>} */ change) => setArgs(/** @type {Shown} */ ({ ...args, ...change }))} />` : html`<${Foreign} args=${asked} />`}
      ${problem && html`<${Notice} problem text=${problem} />`}
      <div class="answer">
        ${config.allow_respond && html`<form onSubmit=${respond}><label for="respond">${t("respond")}</label>
          <div class="with"><${Grown} id="respond" area=${box} dir="auto" value=${said} placeholder=${t("respond-example")} onInput=${(/** @type {InputOf} */ e) => setSaid(e.target.value)} /><button disabled=${busy || !said.trim()}>${t("respond-send")}</button></div></form>`}
        <div class="actions">
          ${dirty && html`<button type="button" onClick=${() => setArgs(shown)}>${t("reset")}</button>`}
          ${config.allow_edit && dirty && html`<button type="button" class="primary" disabled=${busy} onClick=${send}>${t("answer-edit")}</button>`}
          ${config.allow_accept && !dirty && html`<button type="button" class="primary" disabled=${busy} onClick=${() => ready("accept")}>${t("answer-accept")}</button>`}
        </div>
      </div>
    </div>`;
}
