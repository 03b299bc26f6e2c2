/** Words of the studio, by Project Fluent: one .ftl file per language, English where a language lacks a message. */
import { FluentBundle, FluentResource } from "../vendor/fluent/index.js";
/** @typedef {NonNullable<FluentResource["body"][number]["value"]>} Pattern */

/** @type {Record<string, string>} */
export const LANGUAGES = { en: "English", zh: "中文" };
const KEY = "limner-language";
/** @type {FluentBundle[]} */
const bundles = [];
/** @type {[string, RegExp][]} */
const said = []; // [name of a message, what the server's English lines of it look like]

/** The language asked for, kept, or the browser's; one that we have. */
function chosen() {
  const wanted = [localStorage.getItem(KEY), ...navigator.languages];
  return wanted.map((code) => (code || "").slice(0, 2).toLowerCase()).find((code) => code in LANGUAGES) || "en";
}

export const language = chosen();

/** @param {string} code */
export function setLanguage(code) {
  localStorage.setItem(KEY, code);
  location.reload();
}

/** Load the words; to be awaited before anything is shown. */
export async function loadWords() {
  const wanted = language === "en" ? ["en"] : [language, "en"];
  const files = language === "en" ? wanted : [...wanted, `said.${language}`, "said.en"];
  const texts = await Promise.all(files.map(async (name) => {
    const answer = await fetch(new URL(`../locales/${name}.ftl`, import.meta.url));
    if (!answer.ok) throw new Error(`The words of ${name} are not there (${answer.status}). Load the page again.`);
    return answer.text();
  }));
  /** @param {string} code @param {string} text */
  const bundle = (code, text) => {
    const made = new FluentBundle(code, { useIsolating: false });
    made.addResource(new FluentResource(text));
    return made;
  };
  for (const [n, code] of wanted.entries()) bundles.push(bundle(code, texts[n]));
  if (language !== "en") {
    bundles[0].addResource(new FluentResource(texts[2]));
    for (const { id, value } of new FluentResource(texts[3]).body) if (value) said.push([id, pattern(value)]);
  }
  document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
}

/**
 * A message in the chosen language; its name where there is none, which the tests look for.
 * @param {string} id @param {Record<string, string | number>} [args]
 */
export function t(id, args) {
  for (const bundle of bundles) {
    const message = bundle.getMessage(id);
    if (message?.value) return bundle.formatPattern(message.value, args);
  }
  return id;
}

/** What matches the lines that a Fluent pattern makes, its variables named. @param {Pattern} value */
function pattern(value) {
  /** @param {string} text */
  const plain = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const parts = typeof value === "string" ? [value] : value;
  const matched = parts.map((part) => (typeof part === "string" ? plain(part) : part.type === "var" ? `(?<${part.name}>.+?)` : part.type === "str" ? plain(part.value) : ""));
  return new RegExp(`^${matched.join("")}$`, "s");
}

/**
 * A line of the server's in the chosen language; as it came where it is English, or not known in said.*.ftl.
 * @param {string} line @returns {string}
 */
export function server(line) {
  if (!said.length || !line) return line;
  for (const [id, known] of said) {
    const args = line.match(known)?.groups;
    if (!args && !known.test(line)) continue;
    return t(id, Object.fromEntries(Object.entries(args || {}).map(([name, value]) => [name, name === "line" ? server(value) : value])));
  }
  const parts = line.split(", ");
  const made = parts.length > 1 ? parts.map(server) : [];
  return made.length && made.every((part, n) => part !== parts[n]) ? made.join("，") : line;
}

/** Whether there is such a message. @param {string} id */
export const known = (id) => bundles.some((bundle) => bundle.getMessage(id)?.value);

/** "3 min 20 s", in the chosen language. @param {number} seconds */
export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return t("span-seconds", { s });
  if (s < 3600) return t("span-minutes", { m: Math.floor(s / 60), s: s % 60 });
  return t("span-hours", { h: Math.floor(s / 3600), m: Math.floor((s % 3600) / 60) });
}

/** A moment, as people say it: today with the time, else with the date. @param {number} at seconds since 1970 */
export function moment(at) {
  const date = new Date(at * 1000);
  const today = date.toDateString() === new Date().toDateString();
  /** @type {Intl.DateTimeFormatOptions} */
  const style = today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" };
  return new Intl.DateTimeFormat(document.documentElement.lang, style).format(date);
}

/** @param {number} n */
export const number = (n) => new Intl.NumberFormat(document.documentElement.lang).format(n);
