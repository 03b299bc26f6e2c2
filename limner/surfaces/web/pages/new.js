/** A new article: what it is about or the text to illustrate, and what that will cost, before anything begins. */
import { html, useEffect, useRef, useState } from "../lib/html.js";
import { ask, get, key, post } from "../lib/api.js";
/** @import { InputOf, OwnImage, Schemas } from "../types.js" */
import { number, server, span, t } from "../lib/i18n.js";
import { keep } from "../lib/journal.js";
import { useKept } from "../lib/kept.js";
import { LimitFields, filtersOf } from "../lib/limits.js";
import { stepName } from "./jobs.js";
import { go } from "../lib/router.js";
import { Busy, Field, Grown, Modal, Notice, lineOf } from "../lib/ui.js";

/** @typedef {"outline" | "draft" | "spots" | "images" | "final"} Point */
/** @type {Point[]} */
const POINTS = ["outline", "draft", "spots", "images", "final"];
const KEPT = "new"; // in the journal

/** @import { Limits } from "../lib/limits.js" */
/** @typedef {Pick<OwnImage, "image_id" | "caption">} Reference */
/**
 * @typedef {object} Form
 * @property {"brief" | "draft"} kind
 * @property {string} text
 * @property {string[]} library
 * @property {"auto" | number | string} images
 * @property {string} language
 * @property {Point[]} review
 * @property {{name: string, text: string}[]} sources
 * @property {Reference[]} references
 * @property {Limits} limits
 * @property {boolean} batch
 */
/** @typedef {Partial<Form> | ((now: Form) => Partial<Form>)} Change */
/** @typedef {(change: Change) => void} Setter */

/** @type {Form} */
const EMPTY = { kind: "brief", text: "", library: [], images: "auto", language: "", review: [], sources: [], references: [], limits: {}, batch: false };

/** The JobRequest that a form stands for. @param {Form} form */
export function request(form) {
  const draft = form.kind === "draft";
  /** @type {Schemas["JobRequest"]} */
  const asked = { [form.kind]: form.text, images: form.images === "auto" ? "auto" : Number(form.images) };
  if (form.library.length) asked.library = form.library;
  const only = filtersOf(form.limits);
  if (only.length) asked.only = only;
  if (form.review.length) asked.review = form.review.filter((point) => !(draft && point === "outline"));
  if (form.batch) asked.queue = "batch";
  if (!draft && form.language.trim()) asked.language = form.language.trim();
  if (!draft && form.sources.length) asked.sources = form.sources;
  if (!draft && form.references.length) asked.references = form.references.map((one) => one.image_id);
  return asked;
}

/** @param {{plan?: Schemas["Plan"], problem?: string}} props */
function Plan({ plan, problem }) {
  if (problem) return html`<${Notice} problem text=${problem} />`;
  if (!plan) return html`<${Busy} text=${t("plan-busy")} />`;
  const facts = [[t("plan-tokens"), number(plan.tokens)]];
  if (plan.seconds !== null) facts.push([t("plan-time"), span(plan.seconds)]);
  if (plan.left_today !== null) facts.push([t("plan-left"), number(plan.left_today)]);
  return html`
    <dl class="facts">${facts.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
    <dl class="plan">${plan.steps.map((step) => html`<div><dt>${stepName(step.name)}</dt><dd>${server(step.line, step)}</dd></div>`)}</dl>`;
}

/** @param {{form: Form, set: Setter}} props */
function Materials({ form, set }) {
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  /** @param {FileList | null} files */
  const read = async (files) => {
    const added = await Promise.all([...(files ?? [])].map(async (file) => ({ name: file.name.slice(0, 200), text: await file.text() })));
    set((now) => ({ sources: [...now.sources, ...added.filter((one) => one.text.trim())].slice(0, 20) }));
    if (input.current) input.current.value = "";
  };
  return html`<div class="field">
    <label for="materials">${t("materials")}</label>
    <input id="materials" ref=${input} type="file" multiple accept=".txt,.md,text/*" onChange=${(/** @type {InputOf<HTMLInputElement>} */ e) => read(e.target.files)} />
    <small>${t("materials-hint")}</small>
    ${form.sources.length > 0 && html`<ul class="chips">${form.sources.map((one, n) => html`<li><span dir="auto">${one.name}</span>
      <button type="button" class="quiet" aria-label=${t("remove-of", { name: one.name })} onClick=${() => set({ sources: form.sources.filter((_, i) => i !== n) })}>×</button></li>`)}</ul>`}
  </div>`;
}

/** Images that the article should use; they are kept in the owner's own library as soon as they are chosen. @param {{form: Form, set: Setter, fail: (line: string) => void}} props */
function References({ form, set, fail }) {
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  const [busy, setBusy] = useState(false);
  /** @param {FileList | null} files */
  const hand = async (files) => {
    setBusy(true);
    /** @type {Reference[]} */
    const added = [];
    try {
      for (const file of [...(files ?? [])].slice(0, 10)) {
        const body = new FormData();
        body.append("file", file);
        const { image_id, caption } = await (await ask("/v1/images", { method: "POST", body })).json();
        added.push({ image_id, caption });
      }
    } catch (error) {
      fail(lineOf(error));
    }
    set((now) => ({ references: [...new Map([...now.references, ...added].map((one) => [one.image_id, one])).values()].slice(0, 10) }));
    if (input.current) input.current.value = "";
    setBusy(false);
  };
  return html`<div class="field">
    <label for="references">${t("references")}</label>
    <input id="references" ref=${input} type="file" multiple accept="image/*" disabled=${busy} onChange=${(/** @type {InputOf<HTMLInputElement>} */ e) => hand(e.target.files)} />
    <small>${t("references-hint")}</small>
    ${form.references.length > 0 && html`<ul class="chips">${form.references.map((one) => html`<li key=${one.image_id}><span dir="auto">${one.caption}</span>
      <button type="button" class="quiet" aria-label=${t("remove-of", { name: one.caption })} onClick=${() => set({ references: form.references.filter((other) => other !== one) })}>×</button></li>`)}</ul>`}
  </div>`;
}

/** @param {{kind?: string}} props kind: what the page was opened for; none leaves it as it was */
export function NewPage({ kind }) {
  const [given, setForm] = useKept(KEPT, EMPTY);
  const form = { ...EMPTY, ...given }; // of an older studio, perhaps
  const [libraries, setLibraries] = useState(/** @type {Schemas["LibraryView"][]} */ ([]));
  const [plan, setPlan] = useState(/** @type {{plan?: Schemas["Plan"], problem?: string} | null} */ (null)); // null: not asked; {plan} or {problem}
  const [problem, setProblem] = useState("");
  const [sending, setSending] = useState(false);
  const submission = useRef(key()); // sent twice it is one job
  /** @type {Setter} */
  const set = (change) => setForm((now) => ({ ...now, ...(typeof change === "function" ? change(now) : change) }));
  useEffect(() => {
    if (kind === "brief" || kind === "draft") set({ kind });
    get("/v1/libraries", {}).then((found) => setLibraries(found.libraries), (error) => setProblem(lineOf(error)));
  }, []);

  /** @param {SubmitEvent} event */
  const estimate = async (event) => {
    event.preventDefault();
    setProblem("");
    submission.current = key();
    setPlan({});
    try {
      setPlan({ plan: await post("/v1/plan", request(form), {}) });
    } catch (error) {
      setPlan({ problem: lineOf(error) });
    }
  };
  const send = async () => {
    setSending(true);
    try {
      const job = await post("/v1/jobs", request(form), { headers: { "Idempotency-Key": submission.current } });
      keep({ [KEPT]: undefined });
      go("job", job.id);
    } catch (error) {
      setPlan(null);
      setProblem(lineOf(error));
      setSending(false);
    }
  };
  /** @template T @param {T[]} list @param {T} one */
  const flipped = (list, one) => (list.includes(one) ? list.filter((other) => other !== one) : [...list, one]);
  return html`
    <form class="page narrow new" onSubmit=${estimate}>
      <h1>${t("new-title")}</h1>
      <div class="tabs" role="group" aria-label=${t("new-kind")}>${/** @type {Form["kind"][]} */ (["brief", "draft"]).map((kind) => html`
        <button type="button" aria-pressed=${form.kind === kind} onClick=${() => set({ kind })}>${t(`kind-${kind}`)}</button>`)}</div>
      <${Field} id="text" label=${t(`text-${form.kind}`)} hint=${t(`text-${form.kind}-hint`)}>
        <${Grown} id="text" class="brief" required autofocus dir="auto" aria-describedby="text-hint" value=${form.text}
          placeholder=${t(`text-${form.kind}-example`)} onInput=${(/** @type {InputOf} */ e) => set({ text: e.target.value })} />
      </${Field}>
      ${form.kind === "brief" && html`<${Materials} form=${form} set=${set} /><${References} form=${form} set=${set} fail=${setProblem} />`}
      <fieldset><legend>${t("new-libraries")}</legend>
        <div class="choices">${libraries.map((one) => html`<label key=${one.name}><input type="checkbox" disabled=${one.problem !== ""} checked=${form.library.includes(one.name)} onChange=${() => set({ library: flipped(form.library, one.name) })} />
          <span dir="auto">${one.name}</span> <small>${server(one.problem, one) || t("images-count", { n: one.images ?? 0 })}</small></label>`)}</div>
        <small>${t("new-libraries-hint")}</small>
        <details open=${filtersOf(form.limits).length > 0}><summary>${t("limits")}</summary><${LimitFields} limits=${form.limits} set=${(/** @type {Limits} */ limits) => set({ limits })} /></details>
      </fieldset>
      <div class="row">
        <${Field} id="images" label=${t("new-images")}>
          <select id="images" value=${form.images} onChange=${(/** @type {InputOf<HTMLSelectElement>} */ e) => set({ images: e.target.value })}>
            <option value="auto">${t("images-auto")}</option>
            ${[0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20].map((n) => html`<option value=${n}>${n}</option>`)}
          </select>
        </${Field}>
        ${form.kind === "brief" && html`<${Field} id="lang" label=${t("new-language")}>
          <input id="lang" list="languages" value=${form.language} placeholder=${t("new-language-auto")} pattern="[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*" onInput=${(/** @type {InputOf<HTMLInputElement>} */ e) => set({ language: e.target.value })} />
          <datalist id="languages">${["en", "zh", "de", "fr", "es", "it", "ja", "pt", "ru", "ar"].map((code) => html`<option value=${code}></option>`)}</datalist>
        </${Field}>`}
      </div>
      <fieldset><legend>${t("new-review")}</legend>
        <div class="choices">${POINTS.filter((point) => !(point === "outline" && form.kind === "draft")).map((point) => html`
          <label key=${point}><input type="checkbox" checked=${form.review.includes(point)} onChange=${() => set({ review: flipped(form.review, point) })} /> ${t(`point-${point}`)}</label>`)}</div>
        <small>${t("new-review-hint")}</small>
      </fieldset>
      <div class="choices"><label><input type="checkbox" checked=${form.batch} onChange=${(/** @type {InputOf<HTMLInputElement>} */ e) => set({ batch: e.target.checked })} /> ${t("new-batch")}</label></div>
      ${problem && html`<${Notice} problem text=${problem} />`}
      <p class="actions"><button class="primary">${t("estimate")}</button></p>
      ${plan && html`<${Modal} title=${t("plan-title")} onClose=${() => setPlan(null)}
        actions=${html`<button type="button" onClick=${() => setPlan(null)}>${t("back")}</button>
          <button type="button" class="primary" autofocus disabled=${sending || plan.problem !== undefined} onClick=${send}>${t("begin")}</button>`}>
        <${Plan} ...${plan} /></${Modal}>`}
    </form>`;
}
