/** The studio: a page per address, a header, and what every page shares (token, connection, help). */
import { html, render, useEffect, useState } from "./lib/html.js";
import { get, hasToken, onState, setToken } from "./lib/api.js";
import { LANGUAGES, language, loadWords, setLanguage, t } from "./lib/i18n.js";
import { openJournal } from "./lib/journal.js";
import { restoreWords } from "./lib/unsaved.js";
import { bindings, useKeys } from "./lib/keys.js";
import { Palette, Shown, nice } from "./lib/palette.js";
import { go, link, useRoute } from "./lib/router.js";
import { THEMES, ThemeButton, setTheme } from "./lib/theme.js";
import { IconButton, Modal, Toasts } from "./lib/ui.js";
import { JobsPage } from "./pages/jobs.js";
import { NewPage } from "./pages/new.js";
import { JobPage } from "./pages/job.js";
import { LibrariesPage } from "./pages/libraries.js";
/** @import { InputOf } from "./types.js" */

/** @param {{route: string[]}} props */
function Page({ route }) {
  const [first, ...rest] = route;
  if (!first) return html`<${JobsPage} />`;
  if (first === "new") return html`<${NewPage} key=${rest[0]} kind=${rest[0]} />`;
  if (first === "job" && rest[0]) return html`<${JobPage} key=${rest[0]} job=${rest[0]} part=${rest[1]} />`;
  if (first === "libraries") return html`<${LibrariesPage} key=${rest.join("/")} name=${rest[0]} part=${rest[1]} />`;
  return html`<div class="page narrow"><h1>${t("nowhere")}</h1><p><a href="#/">${t("nav-jobs")}</a></p></div>`;
}

/** @param {{route: string[], help: () => void, find: () => void}} props */
function Header({ route, help, find }) {
  const here = route[0] || "";
  /** @param {string} name @param {string} text @param {string[]} where */
  const item = (name, text, ...where) => html`
    <a href=${link(...where)} aria-current=${here === name ? "page" : undefined}>${text}</a>`;
  return html`
    <header class="top">
      <a class="brand" href="#/" aria-label=${t("home")}><img src="/static/icon.svg" alt="" width="22" height="22" />limner</a>
      <nav aria-label=${t("nav")}>${item("", t("nav-jobs"))}${item("libraries", t("nav-libraries"), "libraries")}</nav>
      <span class="fill"></span>
      <${IconButton} icon="search" name=${t("palette")} keys=${`${nice("Mod")} K`} onClick=${find} />
      <label class="sr" for="language">${t("language")}</label>
      <select id="language" class="quiet" value=${language} onChange=${(/** @type {InputOf<HTMLSelectElement>} */ e) => setLanguage(e.target.value)}>
        ${Object.entries(LANGUAGES).map(([code, name]) => html`<option value=${code} lang=${code}>${name}</option>`)}
      </select>
      <${ThemeButton} />
      <button type="button" class="quiet square help" aria-label=${t("keys-title")} title=${`${t("keys-title")} (?)`} onClick=${help}>?</button>
      <a class="button primary" href="#/new">${t("nav-new")}</a>
    </header>`;
}

/** @param {{onClose: () => void}} props */
function Help({ onClose }) {
  const shown = bindings().filter((one) => one.says && one.key);
  return html`<${Modal} title=${t("keys-title")} onClose=${onClose}>
    <dl class="keys">${shown.map((one) => html`
      <div><dt><${Shown} binding=${one} /></dt><dd>${one.says}</dd></div>`)}
    </dl>
  </${Modal}>`;
}

/** The control under the pointer when a double click began. @type {Element | null} */
let first = null;
const control = (/** @type {Event} */ event) => (event.target instanceof Element ? event.target.closest("button, a, label, summary, input, select") : null);

// The second click of two is for what was there at the first: not for what came under the pointer in between.
addEventListener("click", (event) => {
  const now = control(event);
  if (event.detail < 2) first = now;
  else if (now && now !== first) {
    event.preventDefault();
    event.stopPropagation();
  }
}, { capture: true });

function Token() {
  const [value, setValue] = useState("");
  /** @param {SubmitEvent} event */
  const use = (event) => {
    event.preventDefault();
    setToken(value.trim());
  };
  return html`
    <form class="page narrow token" onSubmit=${use}>
      <h1>${t("token-title")}</h1>
      <p>${t("token-about")}</p>
      <div class="field"><label for="token">${t("token")}</label>
        <input id="token" type="password" autocomplete="off" required autofocus value=${value} onInput=${(/** @type {InputOf<HTMLInputElement>} */ e) => setValue(e.target.value)} /></div>
      <button class="primary">${t("token-use")}</button>
    </form>`;
}

function Studio() {
  const route = useRoute();
  const [offline, setOffline] = useState(!navigator.onLine);
  const [locked, setLocked] = useState(false);
  const [helping, setHelping] = useState(false);
  const [finding, setFinding] = useState(false);
  useEffect(() => {
    const gone = () => setOffline(true);
    const back = () => get("/health", {}).catch(() => {});
    addEventListener("offline", gone);
    addEventListener("online", back);
    const end = onState((news) => {
      if (news.offline !== undefined) setOffline(news.offline);
      if (news.locked !== undefined) setLocked(news.locked);
    });
    return () => { end(); removeEventListener("offline", gone); removeEventListener("online", back); };
  }, []);
  useEffect(() => {
    if (!offline) return;
    const timer = setInterval(() => get("/health", {}).catch(() => {}), 2000);
    return () => clearInterval(timer);
  }, [offline]);
  useEffect(() => {
    scrollTo(0, 0);
    document.title = "limner";
  }, [route.join("/")]);
  useKeys([
    { key: "?", says: t("key-help"), run: () => setHelping(true) },
    { key: "Mod+k", typed: true, says: t("palette"), run: () => setFinding(true) },
    { says: t("nav-new"), kind: "go", run: () => go("new") },
    { says: t("nav-jobs"), kind: "go", run: () => go() },
    { says: t("nav-libraries"), kind: "go", run: () => go("libraries") },
    ...THEMES.map((theme) => ({ says: t(`theme-${theme}`), kind: /** @type {const} */ ("look"), run: () => setTheme(theme) })),
    ...Object.entries(LANGUAGES).filter(([code]) => code !== language).map(([code, name]) => ({ says: `${t("language")}: ${name}`, kind: /** @type {const} */ ("look"), run: () => setLanguage(code) })),
  ]);
  return html`
    <a class="skip" href="#main" onClick=${(/** @type {MouseEvent} */ e) => { e.preventDefault(); document.getElementById("main")?.focus(); }}>${t("skip")}</a>
    <${Header} route=${route} help=${() => setHelping(true)} find=${() => setFinding(true)} />
    ${offline && html`<p class="banner" role="alert">${t("offline-banner")}</p>`}
    <main id="main" tabindex="-1">${locked ? html`<${Token} />` : html`<${Page} key=${hasToken()} route=${route} />`}</main>
    <${Toasts} />
    ${finding && html`<${Palette} onClose=${() => setFinding(false)} />`}
    ${helping && html`<${Help} onClose=${() => setHelping(false)} />`}`;
}

await Promise.all([loadWords(), openJournal()]);
restoreWords();
const root = document.getElementById("studio");
if (root) {
  root.replaceChildren();
  render(html`<${Studio} />`, root);
}
