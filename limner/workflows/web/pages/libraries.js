/** Image libraries: which there are, and searching one. */
import { html, useEffect, useRef, useState } from "../lib/html.js";
import { get } from "../lib/api.js";
import { t } from "../lib/i18n.js";
import { useKeys } from "../lib/keys.js";
import { link } from "../lib/router.js";
import { Busy, Modal, Notice, Picture, lineOf } from "../lib/ui.js";

const PAUSE = 250; // ms of no typing before a search

/** Address of a thumbnail. */
export const thumbnail = (library, id, side = 256) => `/v1/libraries/${encodeURIComponent(library)}/images/${id}?side=${side}`;

export const LibrariesPage = ({ name }) => (name ? html`<${Library} name=${name} />` : html`<${Libraries} />`);

function Libraries() {
  const [found, setFound] = useState(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    get("/v1/libraries").then((list) => setFound(list.libraries), (error) => setProblem(lineOf(error)));
  }, []);
  return html`<div class="page">
    <div class="page-head"><h1>${t("nav-libraries")}</h1></div>
    ${problem ? html`<${Notice} problem text=${problem} />` : !found ? html`<${Busy} />` : found.length === 0
      ? html`<div class="empty"><p>${t("libraries-none")}</p><p><code>limner library add FOLDER --name NAME</code></p></div>`
      : html`<ul class="jobs">${found.map((one) => html`<li class="job" key=${one.name}>
          <a class="title" dir="auto" href=${link("libraries", one.name)}>${one.name}</a>
          <span class="state">${one.images === null ? "" : t("images-count", { n: one.images })}</span>
          ${one.problem && html`<div class="about"><span class="why">${one.problem}</span></div>`}</li>`)}</ul>`}
  </div>`;
}

const FITS = {
  described: (one) => one.described,
  licensed: (one) => one.licence !== "",
  landscape: (one) => one.width > one.height,
  portrait: (one) => one.width < one.height,
};

function Library({ name }) {
  const [whole, setWhole] = useState(null);
  const [query, setQuery] = useState("");
  const [found, setFound] = useState(null);
  const [filters, setFilters] = useState([]);
  const [problem, setProblem] = useState("");
  const [seen, setSeen] = useState(null);
  const box = useRef();
  const base = `/v1/libraries/${encodeURIComponent(name)}`;
  useEffect(() => {
    get(base).then(setWhole, (error) => setProblem(lineOf(error)));
    document.title = `${name} · limner`;
  }, [name]);
  useEffect(() => {
    if (!query.trim()) return setFound(null);
    const ended = new AbortController();
    const timer = setTimeout(() => {
      get(`${base}/search?q=${encodeURIComponent(query)}&k=60`, { signal: ended.signal })
        .then((answer) => { setFound(answer.images); setProblem(""); }, (error) => error.name !== "AbortError" && setProblem(lineOf(error)));
    }, PAUSE);
    return () => { clearTimeout(timer); ended.abort(); };
  }, [query]);
  useKeys([
    { key: "/", says: t("key-search"), run: () => box.current.focus() },
    { key: "Escape", typed: true, run: () => document.activeElement.blur() },
  ]);
  const flip = (filter) => setFilters(filters.includes(filter) ? filters.filter((one) => one !== filter) : [...filters, filter]);
  const shown = (found || []).filter((one) => filters.every((filter) => FITS[filter](one)));
  return html`<div class="page">
    <p class="crumbs"><a href=${link("libraries")}>${t("nav-libraries")}</a></p>
    <div class="page-head"><h1 dir="auto">${name}</h1>
      ${whole && html`<p class="quietly">${t("library-about", { n: whole.images, described: whole.described, licensed: whole.licensed })}</p>`}</div>
    <div class="filters wide">
      <input ref=${box} type="search" autofocus aria-label=${t("library-search")} placeholder=${t("library-search")} value=${query} onInput=${(e) => setQuery(e.target.value)} />
      <div class="tabs" role="group" aria-label=${t("filter")}>${Object.keys(FITS).map((filter) => html`
        <button type="button" aria-pressed=${filters.includes(filter)} onClick=${() => flip(filter)}>${t(`fits-${filter}`)}</button>`)}</div>
    </div>
    ${problem && html`<${Notice} problem text=${problem} />`}
    <p class="sr" role="status">${found && t("images-count", { n: shown.length })}</p>
    ${!found ? html`<p class="empty">${t("library-hint")}</p>` : shown.length === 0 ? html`<p class="empty">${t("found-none")}</p>`
      : html`<ul class="contact">${shown.map((one) => html`<li key=${one.image_id}>
          <button type="button" class="frame" aria-label=${one.caption} onClick=${() => setSeen(one)}><${Picture} src=${thumbnail(name, one.image_id)} alt="" /></button>
          <p class="caption" dir="auto">${one.caption}</p>
          ${one.credit && html`<p class="credit" dir="auto">${one.credit}</p>`}</li>`)}</ul>`}
    ${seen && html`<${Modal} wide title=${seen.caption} onClose=${() => setSeen(null)}>
      <${Picture} src=${thumbnail(name, seen.image_id, 1024)} alt=${seen.alt || seen.caption} />
      <dl class="facts"><div><dt>${t("alt")}</dt><dd dir="auto">${seen.alt || "–"}</dd></div><div><dt>${t("credit")}</dt><dd dir="auto">${seen.credit || "–"}</dd></div>
        <div><dt>${t("licence")}</dt><dd dir="auto">${seen.licence || "–"}</dd></div><div><dt>${t("size")}</dt><dd>${seen.width} × ${seen.height}</dd></div></dl>
    </${Modal}>`}
  </div>`;
}
