/** One job: written live, waiting for an answer, ended without an article, or an article to work on. */
import { html, useEffect, useState } from "../lib/html.js";
import { Refused, get, post } from "../lib/api.js";
import { server, t } from "../lib/i18n.js";
import { link } from "../lib/router.js";
import { Busy, Field, Notice, lineOf, say } from "../lib/ui.js";
import { Live } from "./live.js";
import { Review } from "./review.js";
import { History } from "./history.js";
import { Editor } from "../editor/editor.js";
import { stateName } from "./jobs.js";
/** @import { JobWhole } from "../types.js" */

/** @param {{job: string, part?: string}} props */
export function JobPage({ job: id, part }) {
  const [job, setJob] = useState(/** @type {JobWhole | null} */ (null));
  const [problem, setProblem] = useState("");
  const look = async () => {
    try {
      setJob(await get("/v1/jobs/{job}", { path: { job: id } }));
      setProblem("");
    } catch (error) {
      setProblem(lineOf(error));
      if (error instanceof Refused && error.status === 0) setTimeout(look, 2000);
    }
  };
  useEffect(() => { look(); }, [id]);
  useEffect(() => { if (job) document.title = `${job.title} · limner`; }, [job, part]);
  if (problem && !job) return html`<div class="page narrow"><${Notice} problem text=${problem} /><p><a href="#/">${t("nav-jobs")}</a></p></div>`;
  if (!job) return html`<${Busy} />`;
  if (job.state === "done" && part === "history") return html`<${History} job=${job} />`;
  if (job.state === "done") return html`<${Editor} job=${job} />`;
  if (job.state === "waiting") return html`<${Review} key=${JSON.stringify(job.question)} job=${job} changed=${look} />`;
  if (job.ended) return html`<${Ended} job=${job} changed=${look} />`;
  return html`<${Live} job=${job} changed=${look} />`;
}

/** The limit that stopped a job, by the code of its error.
 * @type {Record<string, "max_cost" | "max_tokens">} */
const LIMITS = { "cost-budget": "max_cost", "token-budget": "max_tokens" };

/** @param {{job: JobWhole, changed: () => void}} props */
function Ended({ job, changed }) {
  const limit = LIMITS[job.code];
  /** @param {SubmitEvent} event */
  const retry = (event) => {
    event.preventDefault();
    const given = limit && /** @type {HTMLFormElement} */ (event.target).elements.namedItem("limit");
    const limits = limit && given instanceof HTMLInputElement ? { [limit]: given.valueAsNumber } : {};
    post("/v1/jobs/{job}/retry", limits, { path: { job: job.id } }).then(changed, (error) => say(lineOf(error), true));
  };
  return html`<div class="page narrow">
    <p class="crumbs"><a href=${link()}>${t("nav-jobs")}</a></p>
    <h1 dir="auto">${job.title}</h1>
    <p><span class=${`state ${job.state}`}>${stateName(job)}</span></p>
    ${job.error && html`<${Notice} problem=${job.state !== "cancelled"} text=${server(job.error, job)} />`}
    <form onSubmit=${retry}>
      ${limit && html`<${Field} id="limit" label=${t(`new-${limit}`)}><input id="limit" name="limit" type="number" required step=${limit === "max_cost" ? "any" : 1} min=${limit === "max_cost" ? job.cost : job.spent + 1} /></${Field}>`}
      <p class="actions"><button type="submit" class="primary">${t("retry")}</button></p>
    </form>
  </div>`;
}
