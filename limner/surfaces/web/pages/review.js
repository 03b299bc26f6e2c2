/**
 * A job that waits for a person. A question has one shape for all surfaces (see limner/workflows/review/answers.py); here each
 * point has a form of its own, and a question of a graph that is not ours its JSON.
 */
import { html, useRef, useState } from "../lib/html.js";
import { at, post } from "../lib/api.js";
import { server, t } from "../lib/i18n.js";
import { link } from "../lib/router.js";
import { Grown, Notice, Picture, lineOf } from "../lib/ui.js";
import { thumbnail } from "./libraries.js";

function Outline({ args, set }) {
  return html`<label class="sr" for="outline">${t("point-outline")}</label><${Grown} id="outline" class="typing" dir="auto" value=${args.outline} onInput=${(e) => set({ outline: e.target.value })} />`;
}

function Blocks({ args, set }) {
  const change = (n, text) => set({ blocks: args.blocks.map((block, i) => (i === n ? { ...block, text } : block)) });
  const drop = (n) => set({ blocks: args.blocks.filter((_, i) => i !== n) });
  return html`<div class="sheet form" lang=${args.language}>
    ${args.blocks.map((block, n) => html`<div class="block" key=${block.id || n}>
      <${Grown} class=${`typing ${block.kind}`} dir="auto" aria-label=${`${n + 1}. ${t(`kind-${block.kind}`)}`} value=${block.text} onInput=${(e) => change(n, e.target.value)} />
      <button type="button" class="quiet drop" aria-label=${t("remove-of", { name: `${n + 1}` })} onClick=${() => drop(n)}>×</button></div>`)}
  </div>`;
}

function Spots({ args, set }) {
  const change = (n, news) => set({ spots: args.spots.map((spot, i) => (i === n ? { ...spot, ...news } : spot)) });
  const free = args.paragraphs.filter((one) => !args.spots.some((spot) => spot.after === one.id));
  const about = (id) => args.paragraphs.find((one) => one.id === id)?.text ?? "";
  return html`<ol class="spots">${args.spots.map((spot, n) => html`<li key=${spot.id || `new-${n}`}>
      <blockquote dir="auto">${about(spot.after)}</blockquote>
      <div class="field"><label for=${`spot-${n}`}>${t("spot-caption")}</label><div class="with">
        <input id=${`spot-${n}`} dir="auto" value=${spot.caption} onInput=${(e) => change(n, { caption: e.target.value })} />
        <button type="button" aria-label=${t("remove-of", { name: spot.caption })} onClick=${() => set({ spots: args.spots.filter((_, i) => i !== n) })}>${t("remove")}</button></div></div>
      <div class="field"><label for=${`search-${n}`}>${t("spot-search")}</label><input id=${`search-${n}`} value=${spot.search ?? ""} onInput=${(e) => change(n, { search: e.target.value })} /></div>
    </li>`)}</ol>
    ${free.length > 0 && html`<div class="field"><label for="spot-add">${t("spot-add")}</label>
      <select id="spot-add" value="" onChange=${(e) => e.target.value && set({ spots: [...args.spots, { after: e.target.value, caption: "", search: "" }] })}>
        <option value=""></option>${free.map((one) => html`<option value=${one.id}>${one.text.slice(0, 80)}</option>`)}</select></div>`}`;
}

function Images({ args, set }) {
  const choose = (n, chosen) => set({ images: args.images.map((row, i) => (i === n ? { ...row, chosen } : row)) });
  return html`${args.images.map((row, n) => html`<fieldset class="choice" key=${row.spot}>
    <legend dir="auto">${row.caption}</legend>
    ${row.why && html`<p class="why-line" dir="auto">${server(row.why)}</p>`}
    <div class="candidates">
      <label class=${row.chosen === null ? "chosen" : ""}><input type="radio" name=${`spot-${row.spot}`} checked=${row.chosen === null} onChange=${() => choose(n, null)} /><span class="frame none">${t("no-image")}</span></label>
      ${row.generated && html`<label class=${row.chosen === row.generated ? "chosen" : ""}><input type="radio" name=${`spot-${row.spot}`} checked=${row.chosen === row.generated} onChange=${() => choose(n, row.generated)} /><span class="frame none">${t("generated")}</span></label>`}
      ${row.candidates.map((one) => html`<label key=${one.image_id} class=${row.chosen === one.image_id ? "chosen" : ""}>
        <input type="radio" name=${`spot-${row.spot}`} checked=${row.chosen === one.image_id} onChange=${() => choose(n, one.image_id)} />
        <span class="frame"><${Picture} src=${thumbnail(one.library, one.image_id)} alt="" /></span><span class="caption" dir="auto">${one.caption}</span></label>`)}
    </div></fieldset>`)}`;
}

function Final({ args, set }) {
  const change = (id, news) => set({ images: args.images.map((one) => (one.id === id ? { ...one, ...news } : one)) });
  return html`<${Blocks} args=${args} set=${set} />
    <h2>${t("point-images")}</h2>
    <ul class="finals">${args.images.map((one) => html`<li key=${one.id}>
      <${Picture} src=${thumbnail(one.library, one.image_id)} alt=${one.alt || one.caption} />
      <div>${["caption", "alt", "credit"].map((name) => html`<div class="field"><label for=${`${one.id}-${name}`}>${t(name)}</label>
        <input id=${`${one.id}-${name}`} dir="auto" value=${one[name]} onInput=${(e) => change(one.id, { [name]: e.target.value })} /></div>`)}
        <button type="button" aria-label=${t("remove-of", { name: one.caption })} onClick=${() => set({ images: args.images.filter((other) => other.id !== one.id) })}>${t("remove")}</button></div>
    </li>`)}</ul>`;
}

function Foreign({ args }) {
  return html`<pre class="plan" tabindex="0">${JSON.stringify(args, null, 2)}</pre>`;
}

const FORMS = { outline: Outline, draft: Blocks, spots: Spots, images: Images, final: Final };

/** What of a question was changed: whole fields, as they were shown. `blocks` and `text` are the same twice. */
export function edited(shown, now) {
  const changed = Object.entries(now).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(shown[name]));
  return Object.fromEntries(changed);
}

export function Review({ job, changed }) {
  const asked = (job.question || [])[0]?.value;
  const ours = asked && typeof asked === "object" && asked.action_request;
  const shown = ours ? asked.action_request.args : asked;
  const [args, setArgs] = useState(shown);
  const [said, setSaid] = useState("");
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const box = useRef();
  const config = ours ? asked.config : { allow_respond: true, allow_accept: false };
  const Form = (ours && FORMS[asked.point]) || Foreign;
  const news = ours && asked.point in FORMS ? edited(shown, args) : {};
  const dirty = Object.keys(news).length > 0;
  const answer = async (value) => {
    setBusy(true);
    setProblem("");
    try {
      await post(at(job.id, "answer"), { value });
      changed();
    } catch (error) {
      setProblem(lineOf(error));
      if (error.status === 409) changed();
      setBusy(false);
    }
  };
  const ready = (type, given = null) => answer({ type, args: given, version: asked.version });
  const send = () => ready("edit", { action: asked.action_request.action, args: news });
  const respond = (event) => {
    event.preventDefault();
    if (said.trim()) (ours ? ready("response", said.trim()) : answer(said.trim()));
  };
  return html`
    <div class="page narrow review">
      <p class="crumbs"><a href=${link()}>${t("nav-jobs")}</a></p>
      <p class="label">${ours && asked.point in FORMS ? t(`review-${asked.point}`) : t("state-waiting")}</p>
      <h1 dir="auto">${job.title}</h1>
      ${ours && asked.description && html`<p class="says" dir="auto">${server(asked.description)}</p>`}
      <${Form} args=${args} set=${(change) => setArgs({ ...args, ...change })} />
      ${problem && html`<${Notice} problem text=${problem} />`}
      <div class="answer">
        ${config.allow_respond && html`<form onSubmit=${respond}><label for="respond">${t("respond")}</label>
          <div class="with"><${Grown} id="respond" area=${box} dir="auto" value=${said} placeholder=${t("respond-example")} onInput=${(e) => setSaid(e.target.value)} /><button disabled=${busy || !said.trim()}>${t("respond-send")}</button></div></form>`}
        <div class="actions">
          ${dirty && html`<button type="button" onClick=${() => setArgs(shown)}>${t("reset")}</button>`}
          ${config.allow_edit && dirty && html`<button type="button" class="primary" disabled=${busy} onClick=${send}>${t("answer-edit")}</button>`}
          ${config.allow_accept && !dirty && html`<button type="button" class="primary" disabled=${busy} onClick=${() => ready("accept")}>${t("answer-accept")}</button>`}
        </div>
      </div>
    </div>`;
}
