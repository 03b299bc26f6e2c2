/** Limits of pictures by their facts, as fields of a form; the server takes them as filters ("licence=CC BY"). */
import { html } from "./html.js";
import { t } from "./i18n.js";
/** @import { InputOf } from "../types.js" */

/** @typedef {"licence" | "tag" | "from" | "to" | "orientation" | "folder"} Limit */
/** @typedef {Partial<Record<Limit, string>>} Limits */

/** @type {Record<Limit, string>} */
const SIGNS = { licence: "licence=", tag: "tag=", from: "date>=", to: "date<=", orientation: "orientation=", folder: "folder=" };
const SHAPES = ["landscape", "portrait", "square"];
const DAY = "\\d{4}(-\\d{2}(-\\d{2})?)?";

/** The filters that the fields stand for; a date that is not typed to its end counts for nothing yet. @param {Limits} limits */
export const filtersOf = (limits) => /** @type {Limit[]} */ (Object.keys(SIGNS)).flatMap((name) => {
  const value = limits[name]?.trim();
  if (!value || ((name === "from" || name === "to") && !new RegExp(`^${DAY}$`).test(value))) return [];
  return [`${SIGNS[name]}${value}`];
});

/** The fields in a row. @param {{limits: Limits, set: (limits: Limits) => void}} props */
export function LimitFields({ limits, set }) {
  /** @param {Limit} name @param {string} value */
  const change = (name, value) => set({ ...limits, [name]: value });
  /** @param {Limit} name @param {string} example */
  const text = (name, example) => html`<label class="limit"><span>${t(`limit-${name}`)}</span>
    <input value=${limits[name] ?? ""} placeholder=${example} dir="auto" maxlength="100" pattern=${name === "from" || name === "to" ? DAY : undefined}
      onInput=${(/** @type {InputOf<HTMLInputElement>} */ e) => change(name, e.target.value)} /></label>`;
  return html`<div class="limits" role="group" aria-label=${t("limits")}>
    ${text("licence", "CC BY")}${text("tag", t("limit-tag-example"))}${text("from", "2020")}${text("to", "2024-06")}
    <label class="limit"><span>${t("shape")}</span>
      <select value=${limits.orientation ?? ""} onChange=${(/** @type {InputOf<HTMLSelectElement>} */ e) => change("orientation", e.target.value)}>
        <option value="">${t("limit-any")}</option>${SHAPES.map((shape) => html`<option value=${shape}>${t(`fits-${shape}`)}</option>`)}</select></label>
    ${text("folder", "2023")}</div>`;
}
