/** Words of the studio, by Project Fluent: one .ftl file per language, English where a language lacks a message. */
import { FluentBundle, FluentResource } from "../vendor/fluent/index.js";
/** @import { Coded } from "../types.js" */

/** @type {Record<string, string>} */
export const LANGUAGES = { en: "English", zh: "中文" };
const KEY = "limner-language";
/** @type {FluentBundle[]} */
const bundles = [];

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
  const files = language === "en" ? wanted : [...wanted, `notes.${language}`];
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
  for (const text of texts.slice(wanted.length)) bundles[0]?.addResource(new FluentResource(text));
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

/**
 * A sentence of the server's in the chosen language, by its code; as it came where it has none, or none that is known.
 * about: what carries its `code` and `params`: a problem, a job, an event, a version.
 * @param {string} line @param {Coded} [about] @returns {string}
 */
export function server(line, about) {
  const id = `note-${about?.code}`;
  if (!about?.code || !known(id)) return line;
  return t(id, Object.fromEntries(Object.entries(about.params ?? {}).map(([name, value]) => [name, shown(value)])));
}

/** A parameter as Fluent takes it: sentences and lists of them as text. @param {unknown} value @returns {string | number} */
function shown(value) {
  if (Array.isArray(value)) return value.map(shown).join(t("list-comma"));
  if (value && typeof value === "object" && "text" in value) return server(String(value.text), /** @type {Coded} */ (value));
  return typeof value === "number" ? value : String(value ?? "");
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
