/** A job while it is worked on: the text as it is written, each step, and what was noted. */
import { html, useEffect, useReducer, useRef, useState } from "../lib/html.js";
import { address, get, post } from "../lib/api.js";
import { server, t } from "../lib/i18n.js";
import { link } from "../lib/router.js";
import { lineOf, say } from "../lib/ui.js";
import { watch } from "../lib/stream.js";
import { Progress } from "./jobs.js";
/** @import { JobEvent, JobWhole } from "../types.js" */

const STEPS = ["outline", "write", "spot", "retrieve", "select", "arrange"];
const CHANGES = new Set(["done", "failed", "cancelled", "set_aside", "waiting"]);
const NOTES = new Set(["parked", "put_back", "lapsed", "retried", "answered"]);
/** @typedef {{text: string, step: string, steps: Record<string, {done: number, of: number}>, notes: string[], seen: number}} Heard */
/** @type {Heard} */
const START = { text: "", step: "", steps: {}, notes: [], seen: 0 };

/** What is known after one more event. Pure: the same events give the same page. @param {Heard} now @param {JobEvent} event @returns {Heard} */
export function heard(now, event) {
  const next = { ...now, seen: event.seq };
  if (event.kind === "text") return { ...next, text: now.text + event.data.text, step: event.step || now.step };
  if (event.kind === "again") return { ...next, text: event.data.text };
  if (event.kind === "step") return { ...next, step: event.step, steps: { ...now.steps, [event.step]: event.data } };
  if (event.kind === "note") return { ...next, notes: [...now.notes, server(event.data.text, event.data)] };
  const why = "why" in event.data ? server(event.data.why, event.data) : "";
  if (NOTES.has(event.kind)) return { ...next, notes: [...now.notes, `${t(`event-${event.kind.replace("_", "-")}`)} ${why}`.trim()] };
  return next;
}

/** Markdown that is not finished yet, as text: headings and paragraphs only. @param {{text: string, writing: boolean}} props */
function Writing({ text, writing }) {
  const blocks = text.split(/\n{2,}/).filter((block) => block.trim());
  return html`<article class="sheet" dir="auto" aria-label=${t("live-text")}>
    ${blocks.map((block, n) => {
      const [, marks, words] = block.match(/^(#{1,6})\s+(.*)$/s) || [];
      const last = writing && n === blocks.length - 1 ? "last" : "";
      if (marks) return marks.length === 1 ? html`<h1 class=${last}>${words}</h1>` : html`<h2 class=${last}>${words}</h2>`;
      return html`<p class=${last}>${block}</p>`;
    })}
    ${blocks.length === 0 && html`<p class="quietly">${t("live-nothing")}</p>`}
  </article>`;
}

/** @param {{job: JobWhole, changed: () => void}} props */
export function Live({ job: first, changed }) {
  const [job, setJob] = useState(first);
  const [there, setThere] = useState(true);
  const [now, hear] = useReducer(heard, START);
  const latest = useRef(changed);
  latest.current = changed;
  useEffect(() => {
    let looking = 0;
    const asked = { path: { job: first.id } };
    // Whatever is missed while there is no connection is seen by the next look.
    const look = () => get("/v1/jobs/{job}", asked).then((found) => (found.ended || found.state === "waiting" ? latest.current() : setJob(found)), () => {});
    /** @param {JobEvent} event */
    const see = (event) => {
      hear(event);
      if (CHANGES.has(event.kind)) {
        clearTimeout(looking);
        looking = setTimeout(look, 50);
      } else if (event.kind === "step") look();
    };
    const end = watch(address("/v1/jobs/{job}/events", { job: first.id }), see, setThere, () => latest.current());
    const timer = setInterval(() => !document.hidden && look(), 5000);
    return () => { end(); clearInterval(timer); clearTimeout(looking); };
  }, [first.id]);
  const cancel = () => post("/v1/jobs/{job}/cancel", null, { path: { job: job.id } }).then(() => latest.current(), (error) => say(lineOf(error), true));
  const known = STEPS.filter((step) => step !== "outline" || now.steps.outline || job.request?.review?.includes("outline"));
  const current = known.indexOf(now.step || job.step);
  return html`
    <div class="page live">
      <aside class="steps">
        <p class="crumbs"><a href=${link()}>${t("nav-jobs")}</a></p>
        <ol>${known.map((step, n) => {
          const data = now.steps[step];
          const state = n < current ? "past" : n === current ? "now" : "";
          return html`<li class=${state} aria-current=${state === "now" ? "step" : undefined}>${t(`step-${step}`)}${data?.of ? html` <small>${data.done}/${data.of}</small>` : ""}</li>`;
        })}</ol>
        <${Progress} job=${job} />
        ${!there && html`<p class="notice problem" role="alert">${t("live-lost")}</p>`}
        ${now.notes.length > 0 && html`<ul class="notes" aria-live="polite">${now.notes.slice(-6).map((note) => html`<li dir="auto">${note}</li>`)}</ul>`}
        <p><button type="button" onClick=${cancel}>${t("cancel")}</button></p>
      </aside>
      <${Writing} text=${now.text} writing=${now.step === "write"} />
    </div>`;
}
