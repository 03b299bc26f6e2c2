/** Taking the article along: each format with a look at it first. */
import { html, useEffect, useState } from "../lib/html.js";
import { address, ask, download, hasToken, isAbort } from "../lib/api.js";
import { t } from "../lib/i18n.js";
import { Busy, Modal, Notice, lineOf, say } from "../lib/ui.js";
import { Figure } from "./figure.js";
import { Reading } from "./text.js";
/** @import { Desk } from "./desk.js" */

const FORMATS = ["html", "pdf", "docx", "epub", "md", "zip", "json"];
const MOST = 60_000; // characters of a file that are shown

/** @param {{path: string}} props */
function Text({ path }) {
  const [text, setText] = useState(/** @type {string | null} */ (null));
  const [problem, setProblem] = useState("");
  useEffect(() => {
    const ended = new AbortController();
    setText(null);
    ask(path, { signal: ended.signal }).then((answer) => answer.text()).then((whole) => setText(whole), (error) => { if (!isAbort(error)) setProblem(lineOf(error)); });
    return () => ended.abort();
  }, [path]);
  if (problem) return html`<${Notice} problem text=${problem} />`;
  return text === null ? html`<${Busy} />` : html`<pre class="plan preview" tabindex="0" dir="auto">${text.slice(0, MOST)}${text.length > MOST ? "\n…" : ""}</pre>`;
}

/** @param {{desk: Desk, onClose: () => void}} props */
export function ExportDialog({ desk, onClose }) {
  const [format, setFormat] = useState("html");
  const [ready, setReady] = useState(false);
  const path = address("/v1/jobs/{job}/article", { job: desk.job }, { format });
  useEffect(() => { desk.idle().then(() => setReady(true)); }, []);
  const save = () => download(path, `${desk.job}.${format}`).catch((error) => say(lineOf(error), true));
  return html`
    <${Modal} wide title=${t("export-title")} onClose=${onClose} actions=${html`
      ${format === "html" && !hasToken() && html`<a class="button" href=${path} target="_blank" rel="noopener">${t("export-open")}</a>`}
      <button type="button" class="primary" disabled=${!ready} onClick=${save}>${t("export-save", { format: t(`format-${format}`) })}</button>`}>
      <div class="tabs" role="group" aria-label=${t("export-format")}>${FORMATS.map((one) => html`
        <button type="button" aria-pressed=${format === one} onClick=${() => setFormat(one)}>${t(`format-${one}`)}</button>`)}</div>
      <p class="quietly">${t(`format-${format}-about`)}</p>
      ${!ready ? html`<${Busy} />` : format === "md" || format === "json" ? html`<${Text} key=${format} path=${path} />` : html`
        <div class="preview sheet" tabindex="0" role="group" aria-label=${t("preview")} lang=${desk.confirmed?.language}>${desk.confirmed?.blocks.map((block) => (block.type === "image" ? html`<${Figure} key=${block.id} block=${block} />` : html`<${Reading} key=${block.id} block=${block} />`))}</div>`}
    </${Modal}>`;
}
