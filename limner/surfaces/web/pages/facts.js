/** What a file, its folder and the library know of an image. */
import { html } from "../lib/html.js";
import { t } from "../lib/i18n.js";
/** @import { Shown } from "./libraries.js" */

/** Facts by the names of the filters. @param {{image: Shown}} props */
export function Facts({ image }) {
  const others = [["added", image.added ? [image.added] : []], ["text", image.text_in_picture ? [image.text_in_picture] : []]];
  const known = [...Object.entries(image.facts ?? {}), ...others].filter(([, values]) => values?.length);
  return known.length > 0 && html`<dl class="facts small">${known.map(([name, values]) => html`<div key=${name}><dt>${t(`fact-${name}`)}</dt><dd dir="auto">${/** @type {string[]} */ (values).join(", ")}</dd></div>`)}</dl>`;
}
