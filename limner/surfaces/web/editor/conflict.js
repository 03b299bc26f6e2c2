/** Somebody else changed the article meanwhile: what they did, what you did, and three ways on. */
import { html } from "../lib/html.js";
import { server, t } from "../lib/i18n.js";
import { Difference, Modal } from "../lib/ui.js";

const textOf = (revision, id) => {
  const found = revision.blocks.find((block) => block.id === id);
  return found ? found.text ?? found.caption : "";
};

/** What an edit of ours says, to be read beside theirs. */
const ours = (edit) => edit.text ?? edit.caption ?? edit.title ?? "";

export function Conflict({ conflict }) {
  const { edits, before, head, changed, conflicts, decide, tried } = conflict;
  const rows = tried && conflicts.length ? conflicts : changed;
  const own = edits.map(ours).filter(Boolean);
  return html`
    <${Modal} wide title=${t("conflict-title")} onClose=${() => decide("theirs")} actions=${html`
      <button type="button" onClick=${() => decide("theirs")}>${t("conflict-theirs")}</button>
      ${tried ? html`<button type="button" class="primary" onClick=${() => decide("mine")}>${t("conflict-mine")}</button>`
        : html`<button type="button" class="primary" autofocus onClick=${() => decide("merge")}>${t("conflict-merge")}</button>`}`}>
      <p>${tried ? t("conflict-cannot") : t("conflict-about")}</p>
      <h3>${t("conflict-changed")}</h3>
      <ul class="changes">${rows.map((row) => html`<li>
        <p><strong>${row.who}</strong> · ${server(row.what)} <small>${t(`kind-${row.kind}`)}</small></p>
        <${Difference} before=${row.kind === "title" ? before.title : textOf(before, row.block)} after=${row.kind === "title" ? head.title : textOf(head, row.block)} /></li>`)}</ul>
      ${own.length > 0 && html`<h3>${t("conflict-own")}</h3>${own.map((text) => html`<blockquote class="own" dir="auto">${text}</blockquote>`)}`}
    </${Modal}>`;
}
