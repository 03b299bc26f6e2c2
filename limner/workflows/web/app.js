// The plain list of jobs. Everything shown is set as text, never as markup.
"use strict";

const $ = (id) => document.getElementById(id);
const KEY = "limner-token"; // kept for this tab only
const EVERY = 2000; // ms between two looks

async function ask(path, options = {}) {
  const token = sessionStorage.getItem(KEY);
  const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  const answer = await fetch(path, { ...options, headers });
  if (answer.ok) return answer;
  if (answer.status === 401) askForToken(token !== null);
  let detail = `${answer.status} ${answer.statusText}`;
  if ((answer.headers.get("content-type") || "").includes("json")) detail = (await answer.json()).detail || detail;
  throw new Error(detail);
}

function askForToken(wrong) {
  if (wrong) sessionStorage.removeItem(KEY);
  if ($("token-form").hidden) {
    $("token-form").hidden = false;
    $("token").focus();
  }
}

function say(text, problem = false) {
  if ($("notice").textContent !== text) $("notice").textContent = text;
  $("notice").className = problem ? "problem" : "";
}

function seconds(value) {
  const whole = Math.round(value);
  if (whole < 60) return `${whole} s`;
  return whole < 3600 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

function element(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

function time(job) {
  if (!job.started) return "";
  const left = job.remaining === null ? "" : `, about ${seconds(job.remaining)} to go`;
  return seconds(job.elapsed) + left;
}

function articleLink(job) {
  const link = element("a", "read");
  link.href = `${job.links.article}?format=html`;
  link.target = "_blank";
  link.rel = "noopener";
  if (sessionStorage.getItem(KEY)) { // a plain link would go without the token
    link.textContent = "download";
    link.removeAttribute("target");
    link.addEventListener("click", (event) => {
      event.preventDefault();
      download(link.href, `${job.id}.html`).catch((error) => say(error.message, true));
    });
  }
  return link;
}

async function download(path, name) {
  const url = URL.createObjectURL(await (await ask(path)).blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}

function row(job) {
  const made = document.createElement("tr");
  const state = job.state.replace("_", " ");
  made.append(
    element("td", job.title),
    element("td", job.stuck ? `${state} (stuck?)` : state, job.stuck ? "stuck" : job.state),
    element("td", job.progress),
    element("td", time(job)),
    element("td", ""),
  );
  if (job.links.article) made.lastChild.append(articleLink(job));
  return made;
}

let shown = "";
async function refresh() {
  try {
    const page = await (await ask("/v1/jobs?limit=100")).json();
    const fresh = JSON.stringify(page.jobs);
    if (fresh !== shown) {
      shown = fresh;
      $("jobs").replaceChildren(...page.jobs.map(row));
    }
    $("none").hidden = page.jobs.length > 0;
    $("token-form").hidden = true;
    if ($("notice").className === "problem") say("");
  } catch (error) {
    say(error.message, true);
  }
}

async function loop() {
  if (!document.hidden && ($("token-form").hidden || sessionStorage.getItem(KEY))) await refresh();
  setTimeout(loop, EVERY);
}

$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, $("token").value.trim());
  $("token").value = "";
  refresh();
});

$("brief-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const body = JSON.stringify({ brief: $("brief").value });
    const headers = { "Content-Type": "application/json", "Idempotency-Key": key() };
    await ask("/v1/jobs", { method: "POST", headers, body });
    $("brief").value = "";
    say("It is queued.");
    refresh();
  } catch (error) {
    say(error.message, true);
  }
});

function key() { // crypto.randomUUID is not there on pages that came over plain HTTP from another machine
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (n) => n.toString(16).padStart(2, "0")).join("");
}

loop();
