/** The history of an article: who did what, what it changed, and the way back. Going back and editing makes a branch. */
import { html, useEffect, useState } from "../lib/html.js";
import { get, isAbort, post } from "../lib/api.js";
import { moment, server, t } from "../lib/i18n.js";
import { useKeys } from "../lib/keys.js";
import { go, link } from "../lib/router.js";
import { Busy, Difference, Notice, Picture, lineOf, say } from "../lib/ui.js";
import { thumbnail } from "../lib/images.js";
/** @import { InputOf, JobWhole, Schemas } from "../types.js" */

/** Versions as a tree drawn in columns: each branch that leaves a line stands one column further in. @param {Schemas["Version"][]} versions */
export function columns(versions) {
  /** @type {Map<number, number>} */
  const column = new Map();
  /** @type {Map<number | null, number>} */
  const taken = new Map();
  for (const { number, parent } of versions) {
    const base = parent === null ? 0 : column.get(parent) ?? 0;
    const before = taken.get(parent) ?? 0;
    column.set(number, base + before);
    taken.set(parent, before + 1);
  }
  return column;
}

/** @param {{found: Schemas["Comparison"]}} props */
function Comparison({ found }) {
  const blocks = found.blocks.filter((one) => one.change !== "same");
  const images = found.images.filter((one) => one.change !== "same");
  /** @param {Schemas["Illustration"] | null | undefined} one */
  const picture = (one) => one && html`<${Picture} src=${thumbnail(one.library ?? "", one.image_id)} alt=${one.alt || one.caption} />`;
  const titled = found.title.some((word) => word.op !== "same");
  if (!blocks.length && !images.length && !titled) return html`<p class="quietly">${t("change-none")}</p>`;
  return html`<ul class="changes">
    ${titled && html`<li class="changed"><p class="label">${t("kind-title")}</p><${Difference} words=${found.title} /></li>`}
    ${blocks.map((one) => html`<li key=${one.id} class=${one.change}><p class="label">${t(`change-${one.change}`)} <small>${t(`kind-${one.kind}`)}</small></p>
      ${one.change === "moved" ? html`<p class="difference" dir="auto">${(one.after || "").slice(0, 160)}</p>` : html`<${Difference} before=${one.before || ""} after=${one.after || ""} />`}</li>`)}
    ${images.map((one) => html`<li key=${one.id} class=${one.change}><p class="label">${t(`change-${one.change}`)} <small>${t("kind-image")}</small></p>
      <div class="pair">${picture(one.before)}${one.before?.image_id !== one.after?.image_id && picture(one.after)}</div>
      <${Difference} before=${one.before?.caption || ""} after=${one.after?.caption || ""} /></li>`)}
  </ul>`;
}

/** @param {{job: JobWhole}} props */
export function History({ job }) {
  const [list, setList] = useState(/** @type {Schemas["VersionList"] | null} */ (null));
  const [pair, setPair] = useState(/** @type {[number, number] | null} */ (null));
  const [found, setFound] = useState(/** @type {Schemas["Comparison"] | null} */ (null));
  const [problem, setProblem] = useState("");
  const load = async () => {
    try {
      const made = await get("/v1/jobs/{job}/versions", { path: { job: job.id } });
      setList(made);
      const head = made.versions.find((one) => one.number === made.head);
      if (head) setPair((now) => now || [head.parent ?? head.number, head.number]);
    } catch (error) {
      setProblem(lineOf(error));
    }
  };
  useEffect(() => { load(); }, []);
  useEffect(() => {
    if (!pair) return;
    const ended = new AbortController();
    const asked = { path: { job: job.id }, query: { a: pair[0], b: pair[1] }, signal: ended.signal };
    get("/v1/jobs/{job}/compare", asked).then((made) => { setFound(made); setProblem(""); }, (error) => { if (!isAbort(error)) setProblem(lineOf(error)); });
    return () => ended.abort();
  }, [pair?.join()]);
  useKeys([{ key: "Escape", typed: true, says: t("back-to-article"), run: () => go("job", job.id) }]);
  /** @param {number} number */
  const back = async (number) => {
    if (!list) return;
    try {
      await post("/v1/jobs/{job}/go", { version: list.head, to: number }, { path: { job: job.id } });
      go("job", job.id);
    } catch (error) {
      say(lineOf(error), true);
      load();
    }
  };
  if (!list) return problem ? html`<div class="page"><${Notice} problem text=${problem} /></div>` : html`<${Busy} />`;
  const indent = columns(list.versions);
  /** @param {[number, number]} pair @param {0 | 1} n @param {string} side */
  const choice = (pair, n, side) => html`<select aria-label=${t(side)} value=${pair[n]}
    onChange=${(/** @type {InputOf<HTMLSelectElement>} */ e) => setPair(n ? [pair[0], Number(e.target.value)] : [Number(e.target.value), pair[1]])}>
    ${list.versions.map((one) => html`<option value=${one.number}>${one.number}</option>`)}</select>`;
  return html`
    <div class="page history">
      <section aria-labelledby="history-title">
        <p class="crumbs"><a href=${link("job", job.id)}>${t("back-to-article")}</a></p>
        <h1 id="history-title">${t("history")}</h1>
        <ol class="versions">${[...list.versions].reverse().map((one) => html`
          <li key=${one.number} class=${one.number === list.head ? "head" : ""} style=${`--column:${indent.get(one.number)}`} aria-current=${one.number === list.head ? "true" : undefined}>
            <button type="button" class="quiet" aria-pressed=${pair?.[1] === one.number && pair?.[0] === (one.parent ?? one.number)} onClick=${() => setPair([one.parent ?? one.number, one.number])}>
              <span class="number">${one.number}</span><span class="what" dir="auto">${server(one.what, one)}</span>
              <span class="who">${one.by === "model" ? t("by-model") : one.who} · ${moment(one.at)}</span></button>
            ${one.number === list.head ? html`<span class="state">${t("head")}</span>` : html`<button type="button" aria-label=${t("go-to", { n: one.number })} onClick=${() => back(one.number)}>${t("go-back")}</button>`}
          </li>`)}</ol>
      </section>
      <section aria-labelledby="compare-title">
        <h2 id="compare-title">${t("compare")}</h2>
        ${pair && html`<p class="with fit">${choice(pair, 0, "compare-from")}<span aria-hidden="true">→</span>${choice(pair, 1, "compare-to")}</p>`}
        ${problem && html`<${Notice} problem text=${problem} />`}
        ${found ? html`<${Comparison} found=${found} />` : html`<${Busy} />`}
      </section>
    </div>`;
}
