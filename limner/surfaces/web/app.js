/** The studio: a page per address, a header, and what every page shares (token, connection, help). */
import { html, render, useEffect, useState } from "./lib/html.js";
import { get, hasToken, onState, setToken } from "./lib/api.js";
import { LANGUAGES, language, loadWords, setLanguage, t } from "./lib/i18n.js";
import { bindings, useKeys } from "./lib/keys.js";
import { go, link, useRoute } from "./lib/router.js";
import { Modal, Toasts } from "./lib/ui.js";
import { JobsPage } from "./pages/jobs.js";
import { NewPage } from "./pages/new.js";
import { JobPage } from "./pages/job.js";
import { LibrariesPage } from "./pages/libraries.js";

function Page({ route }) {
  const [first, ...rest] = route;
  if (!first) return html`<${JobsPage} />`;
  if (first === "new") return html`<${NewPage} />`;
  if (first === "job" && rest[0]) return html`<${JobPage} key=${rest[0]} job=${rest[0]} part=${rest[1]} />`;
  if (first === "libraries") return html`<${LibrariesPage} key=${rest[0]} name=${rest[0]} />`;
  return html`<div class="page narrow"><h1>${t("nowhere")}</h1><p><a href="#/">${t("nav-jobs")}</a></p></div>`;
}

function Header({ route, help }) {
  const here = route[0] || "";
  const item = (name, text, ...where) => html`
    <a href=${link(...where)} aria-current=${here === name ? "page" : undefined}>${text}</a>`;
  return html`
    <header class="top">
      <a class="brand" href="#/" aria-label=${t("home")}><img src="/static/icon.svg" alt="" width="22" height="22" />limner</a>
      <nav aria-label=${t("nav")}>${item("", t("nav-jobs"))}${item("libraries", t("nav-libraries"), "libraries")}</nav>
      <span class="fill"></span>
      <label class="sr" for="language">${t("language")}</label>
      <select id="language" class="quiet" value=${language} onChange=${(e) => setLanguage(e.target.value)}>
        ${Object.entries(LANGUAGES).map(([code, name]) => html`<option value=${code} lang=${code}>${name}</option>`)}
      </select>
      <button type="button" class="quiet square" aria-label=${t("keys-title")} title=${`${t("keys-title")} (?)`} onClick=${help}>?</button>
      <a class="button primary" href="#/new">${t("nav-new")}</a>
    </header>`;
}

function Help({ onClose }) {
  const shown = bindings().filter((one) => one.says);
  return html`<${Modal} title=${t("keys-title")} onClose=${onClose}>
    <dl class="keys">${shown.map((one) => html`
      <div><dt>${(one.shown || one.key).split(" ").map((key) => html`<kbd>${nice(key)}</kbd> `)}</dt><dd>${one.says}</dd></div>`)}
    </dl>
  </${Modal}>`;
}

const NICE = { ArrowUp: "↑", ArrowDown: "↓", Enter: "⏎", Escape: "Esc", Mod: /Mac/.test(navigator.platform) ? "⌘" : "Ctrl" };
const nice = (key) => key.split("+").map((part) => NICE[part] || part).join(" ");

function Token() {
  const [value, setValue] = useState("");
  const use = (event) => {
    event.preventDefault();
    setToken(value.trim());
  };
  return html`
    <form class="page narrow token" onSubmit=${use}>
      <h1>${t("token-title")}</h1>
      <p>${t("token-about")}</p>
      <div class="field"><label for="token">${t("token")}</label>
        <input id="token" type="password" autocomplete="off" required autofocus value=${value} onInput=${(e) => setValue(e.target.value)} /></div>
      <button class="primary">${t("token-use")}</button>
    </form>`;
}

function Studio() {
  const route = useRoute();
  const [offline, setOffline] = useState(!navigator.onLine);
  const [locked, setLocked] = useState(false);
  const [helping, setHelping] = useState(false);
  useEffect(() => {
    const gone = () => setOffline(true);
    const back = () => get("/health").catch(() => {});
    addEventListener("offline", gone);
    addEventListener("online", back);
    const end = onState((news) => {
      if ("offline" in news) setOffline(news.offline);
      if ("locked" in news) setLocked(news.locked);
    });
    return () => { end(); removeEventListener("offline", gone); removeEventListener("online", back); };
  }, []);
  useEffect(() => {
    if (!offline) return;
    const timer = setInterval(() => get("/health").catch(() => {}), 2000);
    return () => clearInterval(timer);
  }, [offline]);
  useEffect(() => {
    scrollTo(0, 0);
    document.title = "limner";
  }, [route.join("/")]);
  useKeys([
    { key: "?", says: t("key-help"), run: () => setHelping(true) },
    { key: "n", says: t("nav-new"), run: () => go("new") },
  ]);
  return html`
    <a class="skip" href="#main" onClick=${(e) => { e.preventDefault(); document.getElementById("main").focus(); }}>${t("skip")}</a>
    <${Header} route=${route} help=${() => setHelping(true)} />
    ${offline && html`<p class="banner" role="alert">${t("offline-banner")}</p>`}
    <main id="main" tabindex="-1">${locked ? html`<${Token} />` : html`<${Page} key=${hasToken()} route=${route} />`}</main>
    <${Toasts} />
    ${helping && html`<${Help} onClose=${() => setHelping(false)} />`}`;
}

await loadWords();
const root = document.getElementById("studio");
root.replaceChildren();
render(html`<${Studio} />`, root);
