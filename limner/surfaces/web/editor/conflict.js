/** Two versions of the same words, side by side in the article: nobody's are lost, and nobody is stopped to decide. */
import { html } from "../lib/html.js";
import { t } from "../lib/i18n.js";
import { Difference } from "../lib/ui.js";
import { standing, wordsOf } from "./seen.js";
/** @import { Held } from "./changes.js" */
/** @import { Desk } from "./desk.js" */
/** @import { Revision } from "../types.js" */

/** What happened, in one line. @param {Desk} desk @param {Held} one */
function why(desk, one) {
  if (one.line) return t("held-refused", { line: one.line });
  const whose = !one.who ? "elsewhere" : one.who === desk.me ? "own-tab" : "other";
  return one.gone ? t(`gone-${whose}`, { who: one.who }) : t(`met-${whose}`, { who: one.who });
}

/** @param {{desk: Desk, one: Held, decided: () => void}} props */
export function Beside({ desk, one, decided }) {
  const mine = wordsOf(one.op.edits ?? []);
  const theirs = desk.confirmed && !one.gone ? standing(desk.confirmed, one.place) ?? "" : "";
  const isText = !one.place.includes(".") && one.place !== "title";
  /** @param {"mine" | "both" | "theirs"} how */
  const decide = (how) => {
    decided();
    desk.decide(one, how);
  };
  const button = (/** @type {"mine" | "both" | "theirs"} */ how, /** @type {string} */ name) => html`<button type="button" onClick=${() => decide(how)}>${name}</button>`;
  return html`<section class="beside" aria-label=${t("beside")} onClick=${(/** @type {Event} */ e) => e.stopPropagation()}>
    <p class="notice problem" role="status">${why(desk, one)}</p>
    ${mine ? html`<div class="pair">
      ${theirs && !one.line && html`<div><h3 class="label">${t("beside-theirs")}</h3><blockquote class="theirs" dir="auto">${theirs}</blockquote></div>`}
      <div><h3 class="label">${t("beside-mine")}</h3>${theirs && !one.line ? html`<blockquote class="own"><${Difference} before=${theirs} after=${mine} /></blockquote>` : html`<blockquote class="own" dir="auto">${mine}</blockquote>`}</div>
    </div>` : html`<p dir="auto">${one.op.what}</p>`}
    <div class="tools">
      ${button("mine", one.line ? t("held-again") : one.gone ? t("held-back") : mine ? t("held-mine") : t("met-anyway"))}
      ${isText && mine && !one.gone && !one.line && button("both", t("held-both"))}
      ${button("theirs", t("held-theirs"))}
    </div>
  </section>`;
}

/** The id of the block that words are shown at: their own, the nearest text before one that is gone, null for the top. @param {Revision} revision @param {Held} one */
export function beside(revision, one) {
  const ids = new Set(revision.blocks.map((block) => block.id));
  const own = one.place.split(".")[0] ?? "";
  return ids.has(own) ? own : one.op.trail?.find((id) => ids.has(id)) ?? null;
}
