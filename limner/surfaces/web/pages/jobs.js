/** The list of jobs: what they do, and what can be done about them. */
import { html, useEffect, useRef, useState } from "../lib/html.js";
import { address, ask, get, key, post } from "../lib/api.js";
import { known, moment, server, span, t } from "../lib/i18n.js";
import { useKeys } from "../lib/keys.js";
import { go, link } from "../lib/router.js";
import { Busy, Modal, Notice, lineOf, say } from "../lib/ui.js";
/** @import { InputOf, Job } from "../types.js" */

const EVERY = 2000; // ms between two looks
/** @typedef {"all" | "going" | "waiting" | "done" | "ended"} Filter */
/** @typedef {"cancel" | "retry"} Doing */
/** @type {Record<Filter, Job["state"][]>} */
const FILTERS = {
  all: [],
  going: ["queued", "running", "parked"],
  waiting: ["waiting"],
  done: ["done"],
  ended: ["failed", "set_aside", "cancelled"],
};

/** @param {Filter} filter @param {string} search */
function useJobs(filter, search) {
  const [found, setFound] = useState(/** @type {{jobs: Job[], next: string | null} | null} */ (null));
  const [problem, setProblem] = useState("");
  const [more, setMore] = useState(1);
  const look = useRef(async () => {});
  useEffect(() => {
    let current = true, timer = 0;
    const query = { state: FILTERS[filter], search, limit: 50 };
    look.current = async () => {
      clearTimeout(timer);
      try {
        let page = await get("/v1/jobs", { query });
        const jobs = page.jobs;
        for (let n = 1; n < more && page.next; n++) {
          page = await get("/v1/jobs", { query: { ...query, cursor: page.next } });
          jobs.push(...page.jobs);
        }
        if (current) { setFound({ jobs, next: page.next }); setProblem(""); }
      } catch (error) {
        if (current) setProblem(lineOf(error));
      }
      if (current) wait();
    };
    const wait = () => { timer = setTimeout(() => (document.hidden ? wait() : look.current()), EVERY); };
    look.current();
    return () => { current = false; clearTimeout(timer); };
  }, [filter, search, more]);
  return { jobs: found?.jobs ?? [], next: found?.next ?? null, ready: found !== null, problem, look: () => look.current(), turn: () => setMore(more + 1) };
}

/** What a state is called. @param {Job} job */
export const stateName = (job) => (job.stuck ? t("state-stuck") : t(`state-${job.state.replace("_", "-")}`));

/** What a step is called: a graph of one's own may have others. @param {string} step */
export const stepName = (step) => {
  const id = `step-${step.startsWith("review_") ? "review" : step}`;
  return known(id) ? t(id) : step;
};

/** Bar, step and time of a job that runs. @param {{job: Job}} props */
export function Progress({ job }) {
  const share = job.of ? job.done / job.of : undefined;
  return html`<div class="progress">
    <progress max="1" value=${share} aria-label=${t("progress-of", { title: job.title })}></progress>
    <span>${stepName(job.step || "none")}${job.of ? ` ${job.done}/${job.of}` : ""}
    ${job.remaining !== null && html` · ${t("to-go", { time: span(job.remaining) })}`}</span>
  </div>`;
}

/** @param {{job: Job, act: (job: Job, what: Doing) => void, forget: (job: Job) => void}} props */
function Row({ job, act, forget }) {
  return html`
    <li class="job" data-state=${job.state}>
      <a class="title" href=${link("job", job.id)} dir="auto">${job.title}</a>
      <span class=${`state ${job.stuck ? "failed" : job.state}`}>${stateName(job)}</span>
      <div class="about">
        ${["running", "queued", "parked"].includes(job.state) && job.started ? html`<${Progress} job=${job} />` : html`<span>${moment(job.finished || job.created)}</span>`}
        ${job.error && html`<span class="why">${server(job.error, job)}</span>`}
      </div>
      <div class="actions">
        ${job.state === "waiting" && html`<a class="button primary" href=${link("job", job.id)}>${t("answer")}</a>`}
        ${!job.ended && html`<button type="button" onClick=${() => act(job, "cancel")} aria-label=${t("cancel-of", { title: job.title })}>${t("cancel")}</button>`}
        ${["failed", "set_aside", "cancelled", "parked"].includes(job.state) && html`<button type="button" onClick=${() => act(job, "retry")} aria-label=${t("retry-of", { title: job.title })}>${t("retry")}</button>`}
        ${job.ended && html`<button type="button" class="quiet" onClick=${() => forget(job)} aria-label=${t("delete-of", { title: job.title })}>${t("delete")}</button>`}
      </div>
    </li>`;
}

/** What a first visit offers: a draft to illustrate, an article to be written, or the sample at once. */
function Doors() {
  const [busy, setBusy] = useState(false);
  const submission = useRef(key()); // sent twice it is one job
  const sample = async () => {
    setBusy(true);
    try {
      const { draft, library } = await get("/v1/sample", {});
      const job = await post("/v1/jobs", { draft, library: [library], images: "auto" }, { headers: { "Idempotency-Key": submission.current } });
      go("job", job.id);
    } catch (error) {
      say(lineOf(error), true);
      setBusy(false);
    }
  };
  /** @param {"draft" | "brief"} kind */
  const door = (kind) => html`<li><a href=${link("new", kind)}><strong>${t(`door-${kind}`)}</strong><small>${t(`door-${kind}-hint`)}</small></a></li>`;
  return html`<section class="doors" aria-label=${t("doors")}><p>${t("jobs-none")}</p>
    <ul>${door("draft")}${door("brief")}
      <li><button type="button" disabled=${busy} onClick=${sample}><strong>${t("try-sample")}</strong><small>${t("try-sample-hint")}</small></button></li></ul></section>`;
}

export function JobsPage() {
  const [filter, setFilter] = useState(/** @type {Filter} */ ("all"));
  const [search, setSearch] = useState("");
  const [doomed, setDoomed] = useState(/** @type {Job | null} */ (null));
  const box = useRef(/** @type {HTMLInputElement | null} */ (null));
  const found = useJobs(filter, search);
  /** @param {Job} job @param {Doing} what */
  const act = async (job, what) => {
    try {
      await post(`/v1/jobs/{job}/${what}`, null, { path: { job: job.id } });
      found.look();
    } catch (error) {
      say(lineOf(error), true);
    }
  };
  /** @param {Job} job */
  const remove = async (job) => {
    try {
      await ask(address("/v1/jobs/{job}", { job: job.id }), { method: "DELETE" });
      found.look();
    } catch (error) {
      say(lineOf(error), true);
    }
    setDoomed(null);
  };
  /** @param {number} by */
  const step = (by) => {
    const rows = [.../** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".job a.title"))];
    const at = document.activeElement instanceof HTMLElement ? rows.indexOf(document.activeElement) : -1;
    rows[Math.min(rows.length - 1, Math.max(0, at + by))]?.focus();
  };
  useKeys([
    { key: "j", says: t("key-next"), run: () => step(1) },
    { key: "k", says: t("key-previous"), run: () => step(-1) },
    { key: "/", says: t("key-search"), run: () => box.current?.focus() },
    { key: "Escape", typed: true, run: () => document.activeElement instanceof HTMLElement && document.activeElement.blur() },
  ]);
  const first = found.ready && found.jobs.length === 0 && !search && filter === "all"; // nothing to filter yet
  return html`
    <div class="page">
      <div class="page-head"><h1>${t("jobs-title")}</h1>
        ${!first && html`<div class="filters">
          <div class="tabs" role="group" aria-label=${t("filter")}>${/** @type {Filter[]} */ (Object.keys(FILTERS)).map((name) => html`
            <button type="button" aria-pressed=${filter === name} onClick=${() => setFilter(name)}>${t(`filter-${name}`)}</button>`)}
          </div>
          <input ref=${box} type="search" aria-label=${t("search-jobs")} placeholder=${t("search-jobs")} value=${search} onInput=${(/** @type {InputOf<HTMLInputElement>} */ e) => setSearch(e.target.value)} />
        </div>`}
      </div>
      ${found.problem && html`<${Notice} problem text=${found.problem} />`}
      ${!found.ready ? html`<${Busy} />` : found.jobs.length === 0
        ? first ? html`<${Doors} />` : html`<div class="empty"><p>${t("jobs-none-found")}</p></div>`
        : html`<ol class="jobs">${found.jobs.map((job) => html`<${Row} key=${job.id} job=${job} act=${act} forget=${setDoomed} />`)}</ol>`}
      ${found.next && html`<p><button type="button" onClick=${found.turn}>${t("more")}</button></p>`}
      ${doomed && html`<${Modal} title=${t("delete-title")} onClose=${() => setDoomed(null)}
        actions=${html`<button type="button" onClick=${() => setDoomed(null)}>${t("keep")}</button><button type="button" class="danger" onClick=${() => remove(doomed)}>${t("delete-for-good")}</button>`}>
        <p>${t("delete-about", { title: doomed.title })}</p></${Modal}>`}
    </div>`;
}
