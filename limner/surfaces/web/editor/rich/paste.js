/** What is pasted, as far as the schema has it: ProseMirror drops every element and attribute that no rule of it names. */
import { Fragment, Slice } from "../../vendor/prosemirror.js";
import { read } from "./read.js";
import { schema } from "./schema.js";

const IGNORED = "style, script, meta, link, title, img, svg, video, audio, iframe, object, form, input, button, o\\:p, [data-style*='mso-list:Ignore'], [data-style*='display:none']";

/** The page's policy forbids styles and handlers in any HTML that is read, so they are renamed before. @param {string} html */
const inert = (html) => html.replace(/<!--[\s\S]*?-->|<!\[[^\]]*\]>|<style[\s\S]*?<\/style\s*>/gi, "")
  .replace(/<[a-z][^>]*>/gi, (tag) => tag.replace(/([\s"'/])style\s*=/gi, "$1data-style=").replace(/([\s"'/])on\w+\s*=/gi, "$1data-on="));

/** The HTML of Word, Docs and pages, with what they mean by it: emphasis by style, Word's paragraphs that are a list, code as it is. @param {string} html */
export function cleaned(html) {
  const page = new DOMParser().parseFromString(inert(html), "text/html");
  for (const item of page.querySelectorAll("p[class^='MsoListParagraph'], p[data-style*='mso-list:l']")) listed(page, item);
  for (const one of page.body.querySelectorAll(IGNORED)) one.remove();
  for (const one of page.querySelectorAll("[data-style]")) emphasised(page, one);
  for (const code of page.querySelectorAll("pre:not([data-source])")) {
    const text = (code.textContent ?? "").replace(/\n$/, "");
    const fence = /```/.test(text) ? "~~~~~~" : "```";
    code.setAttribute("data-source", `${fence}\n${text}\n${fence}`);
    code.replaceChildren();
  }
  return new XMLSerializer().serializeToString(page.body);
}

const EMPHASIS = /** @type {const} */ ([["strong", /font-weight:(?:bold|[6-9]00)/], ["em", /font-style:italic/], ["s", /text-decoration[^;]*line-through/]]);

/** Emphasis that is a style, as an element; and the `b` that Docs wraps everything in taken away. @param {Document} page @param {Element} one */
function emphasised(page, one) {
  const style = (one.getAttribute("data-style") ?? "").toLowerCase().replace(/\s+/g, "");
  if (/^(?:b|strong)$/.test(one.localName) && /font-weight:(?:normal|[1-4]00)/.test(style)) one.replaceWith(...one.childNodes);
  else if (/^(?:span|a|font|p|li)$/.test(one.localName)) {
    for (const [name, match] of EMPHASIS) {
      if (!match.test(style)) continue;
      const made = page.createElement(name);
      made.append(...one.childNodes);
      one.append(made);
    }
  }
}

/** @param {Document} page @param {Element} item a paragraph of Word's that is an item of a list */
function listed(page, item) {
  const sign = item.querySelector("[data-style*='mso-list:Ignore']")?.textContent?.trim() ?? "";
  const name = /^\(?[\da-z]{1,3}[.)]/i.test(sign) ? "ol" : "ul";
  const before = item.previousElementSibling;
  const list = before?.localName === name && before.hasAttribute("data-word") ? before : page.createElement(name);
  if (list !== before) {
    list.setAttribute("data-word", "");
    item.before(list);
  }
  const entry = page.createElement("li");
  entry.append(...item.childNodes);
  list.append(entry);
  item.remove();
}

/** Plain text that is pasted is Markdown, unless it is taken as it is: then each line is a paragraph. @param {string} text @param {boolean} plain */
export function pasted(text, plain) {
  const clean = text.replace(/\r\n?/g, "\n");
  if (!plain) return Slice.maxOpen(read(clean.replace(/^\n+|\s+$/g, "")).content);
  const lines = clean.split(/\n+/).filter((line) => line.trim());
  return Slice.maxOpen(Fragment.from(lines.map((line) => schema.nodes.paragraph.create(null, schema.text(line)))));
}
