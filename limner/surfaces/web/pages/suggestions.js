/** Captions by a model: what they would cost, having them written some at a time, and deleting them again. */
import { html, useEffect, useRef, useState } from "../lib/html.js";
import { address, ask, get, isAbort, post } from "../lib/api.js";
import { number, server, t } from "../lib/i18n.js";
import { Busy, Modal, Notice, lineOf, say } from "../lib/ui.js";
/** @import { LibraryImage, Schemas } from "../types.js" */

const AT_ONCE = 8; // pictures of a request: some seconds, after which they show

/** Marks words that a model wrote. @param {{of?: {machine_made?: string[]}, field?: string}} props */
export const MachineMade = ({ of, field = "caption" }) => (of?.machine_made?.includes(field) ? html`<span class="badge">${t("machine-made")}</span>` : null);

/**
 * @typedef {object} SuggestProps
 * @property {Schemas["LibraryWhole"]} library
 * @property {(image: LibraryImage) => void} change
 * @property {() => void} changed
 */

/** The buttons, for a library whose captions may be written. @param {SuggestProps} props */
export function Suggest({ library, change, changed }) {
  const [plan, setPlan] = useState(/** @type {Schemas["CaptionsPlan"] | null} */ (null));
  const [open, setOpen] = useState(/** @type {"" | "ask" | "delete"} */ (""));
  const [problem, setProblem] = useState("");
  const [done, setDone] = useState(/** @type {{tried: number, of: number} | null} */ (null));
  const going = useRef(false);
  useEffect(() => () => { going.current = false; }, []); // leaving the page ends it after the pictures in flight
  const path = { name: library.name };
  const look = async () => {
    setOpen("ask");
    setPlan(null);
    setProblem("");
    try {
      setPlan(await get("/v1/libraries/{name}/captions", { path }));
    } catch (error) {
      if (!isAbort(error)) setProblem(lineOf(error));
    }
  };
  const run = async () => {
    setOpen("");
    going.current = true;
    let after = "";
    let tried = 0;
    let written = 0;
    setDone({ tried, of: plan?.images ?? 0 });
    try {
      do {
        const made = await post("/v1/libraries/{name}/captions", { limit: AT_ONCE, after }, { path });
        made.images.forEach(change);
        tried += made.images.length + made.left_out.length;
        written += made.images.length;
        setDone({ tried, of: tried + made.left });
        after = made.next ?? "";
      } while (going.current && after);
      say(t("suggested", { n: written, left: tried - written }));
    } catch (error) {
      say(lineOf(error), true);
    }
    going.current = false;
    setDone(null);
    changed();
  };
  const withdraw = async () => {
    setOpen("");
    try {
      await ask(address("/v1/libraries/{name}/captions", path), { method: "DELETE" });
    } catch (error) {
      say(lineOf(error), true);
    }
    changed();
  };
  const close = () => setOpen("");
  return html`
    ${done ? html`<span class="quietly" role="status">${t("suggesting", { n: number(done.tried), of: number(done.of) })}</span> <button type="button" onClick=${() => { going.current = false; }}>${t("cancel")}</button>`
      : library.suggests && html`<button type="button" onClick=${look}>${t("suggest")}</button>`}
    ${!done && library.machine_made > 0 && html`<button type="button" class="link" onClick=${() => setOpen("delete")}>${t("suggested-delete")}</button>`}
    ${open === "ask" && html`<${Modal} title=${t("suggest")} onClose=${close} actions=${html`<button type="button" onClick=${close}>${t("close")}</button>
      <button type="button" class="primary" disabled=${!plan?.images} onClick=${run}>${t("suggest-start")}</button>`}>
      <p>${t("suggest-about")}</p>
      ${problem ? html`<${Notice} problem text=${problem} />` : !plan ? html`<${Busy} />` : html`<p>${plan.images ? server(plan.line, plan) : t("suggest-none")}</p>`}
    </${Modal}>`}
    ${open === "delete" && html`<${Modal} title=${t("suggested-delete")} onClose=${close} actions=${html`<button type="button" onClick=${close}>${t("keep")}</button>
      <button type="button" class="danger" onClick=${withdraw}>${t("delete-for-good")}</button>`}>
      <p>${t("suggested-delete-about", { n: number(library.machine_made) })}</p></${Modal}>`}`;
}
