/**
 * What can be written as rich text. Everything else stays Markdown: `kept` holds a piece of a line (a footnote's mark, a
 * formula, HTML), `source` a whole block (a table, code), each with its source, whole and seen.
 *
 * A document holds any number of blocks, and a top-level node knows nothing of its place: today there is one document a
 * block of the article, and one over all blocks needs an id per top-level node and nothing else of this.
 */
import { Schema } from "../../vendor/prosemirror.js";

/** @import { DOMOutputSpec, MarkSpec, Node, NodeSpec } from "../../vendor/prosemirror.js" */

const SAFE = /^(?:https?:|mailto:|[^:]*$|[./?#])/i;
/** Whether an address may be linked to; others are dropped, as the server does. @param {string} href */
export const safe = (href) => SAFE.test(href.trim());

/** @type {(name: string) => (node: Node) => DOMOutputSpec} */
const list = (name) => ({ attrs }) => [name, { class: attrs.tight ? "tight" : null, start: attrs.start && attrs.start !== 1 ? attrs.start : null }, 0];

/** @type {Record<string, NodeSpec>} */
const nodes = {
  doc: { content: "block+" },
  paragraph: { content: "inline*", group: "block", parseDOM: [{ tag: "p" }], toDOM: () => ["p", 0] },
  heading: {
    content: "inline*", group: "block", defining: true, attrs: { level: { default: 2 } },
    parseDOM: [1, 2, 3, 4, 5, 6].map((level) => ({ tag: `h${level}`, attrs: { level } })),
    toDOM: (node) => [`h${node.attrs.level}`, 0],
  },
  blockquote: { content: "block+", group: "block", defining: true, parseDOM: [{ tag: "blockquote" }], toDOM: () => ["blockquote", 0] },
  bullet_list: {
    content: "list_item+", group: "block", attrs: { mark: { default: "-" }, pad: { default: 1 }, tight: { default: true } },
    parseDOM: [{ tag: "ul" }], toDOM: list("ul"),
  },
  ordered_list: {
    content: "list_item+", group: "block", attrs: { mark: { default: "." }, pad: { default: 1 }, tight: { default: true }, start: { default: 1 } },
    parseDOM: [{ tag: "ol", getAttrs: (dom) => ({ start: Number(dom.getAttribute("start")) || 1 }) }], toDOM: list("ol"),
  },
  list_item: { content: "paragraph block*", defining: true, parseDOM: [{ tag: "li" }], toDOM: () => ["li", 0] },
  source: {
    group: "block", atom: true, attrs: { source: {} },
    parseDOM: [{ tag: "pre[data-source]", getAttrs: (dom) => ({ source: dom.getAttribute("data-source") }) }],
    toDOM: (node) => ["pre", { "data-source": node.attrs.source, contenteditable: "false" }, node.attrs.source],
  },
  text: { group: "inline" },
  soft_break: { group: "inline", leafText: () => " ", inline: true, selectable: false, parseDOM: [{ tag: "span[data-soft]" }], toDOM: () => ["span", { "data-soft": "" }, " "] },
  hard_break: { group: "inline", leafText: () => "\n", inline: true, selectable: false, attrs: { source: { default: "\\" } }, parseDOM: [{ tag: "br" }], toDOM: () => ["br"] },
  kept: {
    group: "inline", inline: true, atom: true, attrs: { source: {} }, leafText: (node) => node.attrs.source,
    parseDOM: [{ tag: "span[data-kept]", getAttrs: (dom) => ({ source: dom.getAttribute("data-kept") }) }],
    toDOM: (node) => ["span", { class: "kept", "data-kept": node.attrs.source, title: node.attrs.source }, node.attrs.source],
  },
};

/** Marks from the outermost to the innermost. @type {Record<string, MarkSpec>} */
const marks = {
  link: {
    attrs: { href: {}, tail: { default: null } }, inclusive: false,
    parseDOM: [{ tag: "a[href]", getAttrs: (dom) => safe(dom.getAttribute("href") ?? "") && /^(?:https?|mailto):/i.test(dom.getAttribute("href") ?? "") && { href: dom.getAttribute("href") } }],
    toDOM: (mark) => ["a", { href: safe(mark.attrs.href) ? mark.attrs.href : null, title: mark.attrs.href, rel: "noopener noreferrer nofollow" }, 0],
  },
  em: { attrs: { mark: { default: "*" } }, parseDOM: [{ tag: "i" }, { tag: "em" }], toDOM: () => ["em", 0] },
  strong: {
    attrs: { mark: { default: "**" } },
    parseDOM: [{ tag: "strong" }, { tag: "b" }], toDOM: () => ["strong", 0],
  },
  strike: { parseDOM: [{ tag: "s" }, { tag: "del" }, { tag: "strike" }], toDOM: () => ["s", 0] },
  code: { code: true, inclusive: false, parseDOM: [{ tag: "code" }, { tag: "kbd" }, { tag: "tt" }], toDOM: () => ["code", 0] },
  /** Written otherwise than it is read: an escape or an entity. Lost where its text is changed. */
  spelled: { attrs: { source: {}, shown: {} }, inclusive: false, toDOM: () => ["span", 0] },
};

export const schema = new Schema({ nodes, marks });
