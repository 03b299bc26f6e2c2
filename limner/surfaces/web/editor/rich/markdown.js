/** Markdown into the nodes of a document, with the server's dialect: CommonMark, tables, strikethrough. */
import { Fragment, MarkdownIt } from "../../vendor/prosemirror.js";
import { schema } from "./schema.js";
/** @import { Mark, Node } from "../../vendor/prosemirror.js" */
/** @typedef {ReturnType<InstanceType<typeof MarkdownIt>["parse"]>[number]} Token */

const { nodes, marks } = schema;

/** Pieces of a line that are the dialects' own: footnotes, citations, wiki links, formulas, templates, attributes, roles. */
const OWN = new RegExp([
  /\[\^[^\]\s]+\]/, /\^\[[^\]\n]+\]/, /\[-?@[^\]\n]+\]/, /!?\[\[[^\]\n]+\]\]/, /\[[^[\]\n]+\]\[[^[\]\n]*\]/,
  /\$\$[^$\n]+\$\$/, /\$(?![\s$])[^$\n]*[^\s$\\]\$(?!\d)/, /\{\{[^\n]*?\}\}/, /\{%[^\n]*?%\}/, /\{[.#:][^}\n]*\}/, /\{[\w:-]+\}(`+)[^`\n]+\1/,
].map((one) => one.source).join("|"), "y");
const FIRST = /[[^!$\\{]/;

/** @typedef {Parameters<Parameters<InstanceType<typeof MarkdownIt>["inline"]["ruler"]["push"]>[1]>[0]} State */

/** @param {State} state @param {boolean} silent */
function own(state, silent) {
  if (!FIRST.test(state.src[state.pos] ?? "")) return false;
  OWN.lastIndex = state.pos;
  const found = OWN.exec(state.src);
  if (!found || state.pos + found[0].length > state.posMax || linked(state, found[0])) return false;
  if (!silent) state.push("kept", "", 0).content = found[0];
  state.pos += found[0].length;
  return true;
}
/** Whether what looks like a dialect's own is a link with a target. @param {State} state @param {string} text */
const linked = (state, text) => text.startsWith("[") && state.src[state.pos + text.length] === "(" && !/^\[[@^-]/.test(text);

function parser() {
  const made = new MarkdownIt("commonmark", { html: true }).enable(["table", "strikethrough"]);
  made.core.ruler.disable("text_join"); // escapes and entities stay apart from other text
  for (const name of ["link", "image", "backticks", "autolink", "newline", "escape"]) {
    const rule = rules(made).find((one) => one.name === name)?.fn;
    if (rule) made.inline.ruler.at(name, (state, silent) => noted(rule, state, silent));
  }
  made.inline.ruler.before("escape", "own", own);
  return made;
}
/** Its inline rules, which it has no public list of. @param {InstanceType<typeof MarkdownIt>} made @returns {{name: string, fn: (state: State, silent: boolean) => boolean}[]} */
const rules = (made) => /** @type {{__rules__?: never[]}} */ (/** @type {unknown} */ (made.inline.ruler)).__rules__ ?? [];

/** A rule that also notes what it was written as. @param {(state: State, silent: boolean) => boolean} rule @param {State} state @param {boolean} silent */
function noted(rule, state, silent) {
  const { pos: start, tokens: { length: before } } = state;
  const end = state.src[start] === "[" ? state.md.helpers.parseLinkLabel(state, start, true) : -1;
  if (!rule(state, silent)) return false;
  const made = silent ? undefined : state.tokens.slice(before).find((one) => one.type !== "text"); // text that waited comes first
  if (made?.type === "hardbreak") made.meta = { source: /( *)$/.exec(state.src.slice(0, start))?.[1] || "\\" };
  else if (made) made.meta = { source: state.src.slice(start, state.pos), tail: end < 0 ? null : state.src.slice(end + 1, state.pos) };
  return true;
}

const markdown = parser();

/** The inline content of a block; null where a mark stands in one of its own kind, which no document can hold. @param {Token[]} tokens @returns {Node[] | null} */
function inline(tokens) {
  /** @type {Node[]} */
  const out = [];
  /** @type {Mark[]} */
  let open = [];
  let skipped = 0; // inside an autolink, which is kept whole
  for (const token of tokens) {
    if (skipped && token.type !== "link_close") continue;
    const source = String(token.meta?.source ?? "");
    const put = (/** @type {Node} */ node) => out.push(node.mark(open.reduce((set, mark) => mark.addToSet(set), node.marks)));
    /** @param {Mark} mark */
    const begin = (mark) => { if (open.some((one) => one.type === mark.type)) return false; open = [...open, mark]; return true; };
    switch (token.type) {
      case "text": if (token.content) put(schema.text(token.content)); break;
      case "text_special": put(schema.text(token.content, [marks.spelled.create({ source: token.markup, shown: token.content })])); break;
      case "softbreak": put(nodes.soft_break.create()); break;
      case "hardbreak": put(nodes.hard_break.create({ source })); break;
      case "code_inline":
        if (source === ticked(token.content)) put(schema.text(token.content, [marks.code.create()]));
        else put(nodes.kept.create({ source }));
        break;
      case "image": put(nodes.kept.create({ source })); break;
      case "kept": case "html_inline": put(nodes.kept.create({ source: token.content })); break;
      case "em_open": if (!begin(marks.em.create({ mark: token.markup }))) return null; break;
      case "strong_open": if (!begin(marks.strong.create({ mark: token.markup }))) return null; break;
      case "s_open": if (!begin(marks.strike.create())) return null; break;
      case "link_open":
        if (token.markup === "autolink") { put(nodes.kept.create({ source })); skipped = 1; }
        else if (!begin(marks.link.create({ href: token.attrGet("href") ?? "", tail: token.meta?.tail ?? null }))) return null;
        break;
      case "em_close": case "strong_close": case "s_close": open = open.slice(0, -1); break;
      case "link_close":
        if (skipped) skipped = 0;
        else open = open.slice(0, -1);
        break;
      default: return null;
    }
  }
  return out;
}

/** The blocks between two tokens; null where one of them has no node of its own. @param {Token[]} tokens @param {string[]} lines @returns {Node[] | null} */
function blocks(tokens, lines) {
  /** @type {Node[]} */
  const out = [];
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at];
    if (!token) break;
    const end = closing(tokens, at);
    const inside = tokens.slice(at + 1, end);
    const made = token.type === "paragraph_open" || token.type === "heading_open" ? leaf(token, inside) : branch(token, inside, lines);
    if (!made) return null;
    out.push(made);
    at = end;
  }
  return out;
}

/** @param {Token[]} tokens @param {number} at */
function closing(tokens, at) {
  let depth = 0;
  for (let n = at; n < tokens.length; n++) {
    depth += tokens[n]?.nesting ?? 0;
    if (depth === 0) return n;
  }
  return tokens.length;
}

/** @param {Token} token @param {Token[]} inside @returns {Node | null} */
function leaf(token, inside) {
  const content = inline(inside[0]?.children ?? []);
  if (!content) return null;
  return token.type === "heading_open" ? nodes.heading.create({ level: Number(token.tag.slice(1)) }, content) : nodes.paragraph.create(null, content);
}

/** A code span as it is written. @param {string} text */
export function ticked(text) {
  let ticks = "`";
  while (text.split(/[^`]+/).includes(ticks)) ticks += "`";
  const pad = /^`|`$|^ .* $/.test(text) ? " " : "";
  return ticks + pad + text + pad + ticks;
}

/** An address as a link's target. @param {string} href */
export const address = (href) => markdown.normalizeLink(href.trim());

const ITEM = /^[ >]*(?:[-+*]|\d+[.)])( +)/;

/** @param {Token} token @param {Token[]} inside @param {string[]} lines @returns {Node | null} */
function branch(token, inside, lines) {
  const kinds = { blockquote_open: nodes.blockquote, bullet_list_open: nodes.bullet_list, ordered_list_open: nodes.ordered_list, list_item_open: nodes.list_item };
  const kind = token.type in kinds ? kinds[/** @type {keyof typeof kinds} */ (token.type)] : null;
  const content = kind && blocks(inside, lines);
  if (!kind || !content || !kind.validContent(Fragment.from(content))) return null;
  if (!token.type.endsWith("list_open")) return kind.create(null, content);
  const first = inside.find((one) => one.type === "paragraph_open");
  const pad = ITEM.exec(lines[token.map?.[0] ?? 0] ?? "")?.[1]?.length ?? 1;
  return kind.create({ mark: token.markup, pad, tight: first?.hidden ?? true, start: Number(token.attrGet("start") ?? 1) }, content);
}

/**
 * The top-level blocks of a text and the lines they begin at; node: null where the schema has none for it.
 * @param {string} text Markdown with "\n" as line end @returns {{from: number, node: Node | null}[]}
 */
export function parsed(text) {
  const lines = text.split("\n");
  const tokens = markdown.parse(text, {});
  /** @type {{from: number, node: Node | null}[]} */
  const found = [];
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at];
    const end = closing(tokens, at);
    if (token?.map) found.push({ from: token.map[0], node: blocks(tokens.slice(at, end + 1), lines)?.[0] ?? null });
    at = end;
  }
  return found;
}
