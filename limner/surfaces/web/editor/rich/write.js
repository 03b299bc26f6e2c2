/**
 * A document into Markdown. A block is read again once it is written: characters that would mean something are escaped,
 * and only those, so that what was not changed stays as it was.
 */
import { Fragment } from "../../vendor/prosemirror.js";
import { parsed, ticked } from "./markdown.js";
import { schema } from "./schema.js";
/** @import { Mark, Node } from "../../vendor/prosemirror.js" */

const { nodes, marks } = schema;
const SPECIAL = /[\\`*_[\]<>&~#+\-=|!$.)({:]/g;
const SIGNS = new Map([[marks.em, "*"], [marks.strong, "**"], [marks.strike, "~~"]]);
/** Marks that cannot begin or end with white space. */
const FLANKING = [marks.em, marks.strong, marks.strike];

// --- a document that Markdown can say ----------------------------------------------------------------------------------

/** Without white space at the ends of a block and of what is emphasised, and without empty blocks. bare: nor punctuation there. @param {Node} node @param {boolean} bare @returns {Node | null} */
function normal(node, bare = false) {
  if (node.isTextblock) {
    const inline = trimmed(node, bare);
    return inline.length ? node.copy(Fragment.from(inline)) : null;
  }
  if (node.isLeaf) return node;
  /** @type {Node[]} */
  const inside = [];
  node.forEach((one) => { const made = normal(one, bare); if (made) inside.push(made); });
  if (!inside.length) return null;
  if (node.type === nodes.list_item && inside[0]?.type !== nodes.paragraph) return null;
  return node.copy(Fragment.from(inside));
}

/** Whether nothing of a block has to be trimmed. @param {Node} block @param {boolean} bare */
function sound(block, bare) {
  const row = block.children;
  const [open, close] = bare ? [/^[\s\p{P}\p{S}]/u, /[\s\p{P}\p{S}]$/u] : [/^\s/, /\s$/];
  return row.length > 0 && row.every((one, at) => {
    const [before, after] = [row[at - 1], row[at + 1]];
    if (!one.isText) return one.type === nodes.kept || (!!before && !!after && block.type === nodes.paragraph && !one.marks.length);
    const text = one.text ?? "";
    if (text.includes("\n") || (!before && /^\s/.test(text)) || (!after && /\s$/.test(text))) return false;
    return FLANKING.every((type) => !type.isInSet(one.marks)
      || ((type.isInSet(before?.marks ?? []) || !open.test(text)) && (type.isInSet(after?.marks ?? []) || !close.test(text))));
  });
}

/** @param {Node} block @param {boolean} bare */
function trimmed(block, bare) {
  /** @type {Node[]} */
  let row = [];
  if (sound(block, bare)) return [...block.children]; // what most are
  block.forEach((one) => {
    if (one.isText) row.push(...[...one.text?.replace(/\s*\n\s*/g, " ") ?? ""].map((letter) => schema.text(letter, one.marks)));
    else if (block.type === nodes.heading && (one.type === nodes.soft_break || one.type === nodes.hard_break)) row.push(schema.text(" "));
    else row.push(one);
  });
  const blank = (/** @type {Node | undefined} */ one) => !!one && (one.isText ? /^[ \t]$/.test(one.text ?? "") && !marks.code.isInSet(one.marks) && !marks.spelled.isInSet(one.marks) : one.type !== nodes.kept);
  while (blank(row[0])) row.shift();
  while (blank(row.at(-1))) row.pop();
  const edge = (/** @type {Node | undefined} */ one) => !!one && (blank(one) || (one.isText && /^\s$/.test(one.text ?? "")) || (bare && one.isText && /^[\p{P}\p{S}]$/u.test(one.text ?? "")));
  for (const type of FLANKING) row = flanked(row, type, edge);
  return joined(row);
}

/** Take a mark from the ends of its runs where something stands that it cannot begin or end with. @param {Node[]} row @param {import("../../vendor/prosemirror.js").MarkType} type @param {(one: Node) => boolean} edge */
function flanked(row, type, edge) {
  const out = [...row];
  const without = (/** @type {number} */ at) => { const one = out[at]; if (one) out[at] = one.mark(type.removeFromSet(one.marks)); };
  const marked = (/** @type {number} */ at) => type.isInSet(out[at]?.marks ?? []);
  for (let at = 0; at < out.length; at++) {
    const one = out[at];
    if (one && marked(at) && !marked(at - 1) && edge(one)) without(at);
  }
  for (let at = out.length - 1; at >= 0; at--) {
    const one = out[at];
    if (one && marked(at) && !marked(at + 1) && edge(one)) without(at);
  }
  return out;
}

/** Letters of the same marks as one text. @param {Node[]} row @returns {Node[]} */
function joined(row) {
  /** @type {Node[]} */
  const out = [];
  for (const one of row) {
    const last = out.at(-1);
    if (last?.isText && one.isText && last.sameMarkup(one)) out[out.length - 1] = schema.text(`${last.text}${one.text}`, one.marks);
    else out.push(one);
  }
  return out;
}

/** Without any emphasis: the last resort, which keeps the words. @param {Node} node @returns {Node} */
function unmarked(node) {
  if (node.isInline) return node.mark(node.marks.filter((mark) => !FLANKING.includes(mark.type)));
  /** @type {Node[]} */
  const inside = [];
  node.forEach((one) => { inside.push(unmarked(one)); });
  return node.isLeaf ? node : node.copy(Fragment.from(joined(inside)));
}

// --- what it says, however it is written -------------------------------------------------------------------------------

/** @param {Node} node @returns {string} */
function meaning(node) {
  if (node.isTextblock) {
    let text = "";
    let before = "";
    node.forEach((one) => {
      const now = one.marks.filter((mark) => mark.type !== marks.spelled).map((mark) => mark.type.name + (mark.attrs.href ?? "")).join();
      if (now !== before) text += `\u0001${now}\u0001`;
      before = now;
      text += one.isText ? one.text : `\u0002${one.type.name}${one.type === nodes.kept ? one.attrs.source : ""}\u0002`;
    });
    return `${node.type.name}${node.attrs.level ?? ""}(${text}\u0003`;
  }
  if (node.type === nodes.source) return `source(${node.attrs.source}\u0003`;
  let inside = "";
  node.forEach((one) => { inside += meaning(one); });
  return `${node.type.name}${node.attrs.start ?? ""}(${inside}\u0003`;
}

/** @param {Node} node @param {string} text */
function says(node, text) {
  const found = parsed(text);
  const made = found[0]?.node;
  return found.length === 1 && !!made && meaning(made) === meaning(node);
}

// --- writing -----------------------------------------------------------------------------------------------------------

/** Writes one block. which: whether the nth character that could mean something is escaped. */
class Writer {
  /** @param {(n: number) => boolean} which */
  constructor(which) {
    this.which = which;
    this.specials = 0;
  }

  /** @param {string} text */
  text(text) {
    return text.replace(SPECIAL, (letter, /** @type {number} */ at) => {
      if (letter === "." || letter === ")") { // of a number that would begin a list
        if (!/^\s*\d{1,9}$/.test(text.slice(0, at))) return letter;
      }
      return this.which(this.specials++) ? `\\${letter}` : letter;
    });
  }

  /** @param {Node} one */
  leaf(one) {
    if (one.type === nodes.kept) return one.attrs.source;
    if (one.type === nodes.soft_break) return "\n";
    if (one.type === nodes.hard_break) return `${one.attrs.source}\n`;
    const text = one.text ?? "";
    if (marks.code.isInSet(one.marks)) return ticked(text);
    const spelled = marks.spelled.isInSet(one.marks);
    if (spelled) {
      const { source, shown } = spelled.attrs;
      if (text === shown.repeat(text.length / shown.length)) return source.repeat(text.length / shown.length);
    }
    return this.text(text);
  }

  /** @param {Node} block */
  inline(block) {
    /** @type {Node[]} */
    const row = [];
    block.forEach((one) => { row.push(one); });
    /** @type {Mark[]} */
    let open = [];
    let out = "";
    const sign = (/** @type {Mark} */ mark, /** @type {boolean} */ closing) => {
      if (mark.type !== marks.link) return mark.attrs.mark ?? SIGNS.get(mark.type) ?? "";
      return closing ? `]${mark.attrs.tail ?? target(mark.attrs.href)}` : "[";
    };
    for (const [at, one] of row.entries()) {
      const wanted = one.marks.filter((mark) => mark.type === marks.link || SIGNS.has(mark.type));
      let kept = 0;
      while (open[kept] && wanted.some((mark) => open[kept]?.eq(mark))) kept++;
      for (const mark of open.slice(kept).reverse()) out += sign(mark, true);
      open = open.slice(0, kept);
      const reach = (/** @type {Mark} */ mark) => { let n = at; while (row[n] && mark.isInSet(row[n]?.marks ?? [])) n++; return n; };
      for (const mark of wanted.filter((mark) => !mark.isInSet(open)).sort((a, b) => reach(b) - reach(a))) {
        out += sign(mark, false);
        open.push(mark);
      }
      out += this.leaf(one);
    }
    for (const mark of open.reverse()) out += sign(mark, true);
    return out;
  }

  /** @param {Node} node @returns {string} */
  block(node) {
    if (node.type === nodes.source) return node.attrs.source;
    if (node.type === nodes.paragraph) return this.inline(node);
    if (node.type === nodes.heading) return `${"#".repeat(node.attrs.level)} ${this.inline(node)}`;
    if (node.type === nodes.blockquote) return this.inside(node, "\n\n").split("\n").map((line) => (line ? `> ${line}` : ">")).join("\n");
    const apart = node.attrs.tight ? "\n" : "\n\n";
    /** @type {string[]} */
    const items = [];
    node.forEach((item, _, n) => {
      const sign = (node.type === nodes.ordered_list ? `${node.attrs.start + n}${node.attrs.mark}` : node.attrs.mark) + " ".repeat(node.attrs.pad);
      items.push(sign + this.inside(item, apart).replace(/\n(?=[^\n])/g, `\n${" ".repeat(sign.length)}`));
    });
    return items.join(apart);
  }

  /** @param {Node} node @param {string} apart */
  inside(node, apart) {
    /** @type {string[]} */
    const out = [];
    node.forEach((one) => { out.push(this.block(one)); });
    return out.join(apart);
  }
}

/** @param {string} href */
const target = (href) => (/[()\s<>]/.test(href) ? `(<${href.replace(/[<>\n]/g, encodeURIComponent)}>)` : `(${href})`);

/** A top-level block as Markdown; "" for an empty one. @param {Node} node @returns {string} */
export function written(node) {
  if (node.type === nodes.source) return node.attrs.source;
  for (const made of [normal(node), normal(node, true)]) {
    if (!made) return "";
    const found = escaped(made);
    if (found !== null) return found;
  }
  const last = normal(unmarked(node)) ?? node;
  return escaped(last) ?? new Writer(() => true).block(last);
}

/** With as few escapes as say the same; null where none do. @param {Node} node */
function escaped(node) {
  const with_ = (/** @type {Set<number>} */ some) => new Writer((n) => some.has(n)).block(node);
  const plain = with_(new Set());
  if (says(node, plain)) return plain;
  const all = new Writer(() => true);
  const everything = all.block(node);
  if (!says(node, everything)) return null;
  const needed = new Set(Array.from({ length: all.specials }, (_, n) => n));
  /** @param {number[]} some */
  const relax = (some) => {
    for (const n of some) needed.delete(n);
    if (says(node, with_(needed))) return;
    for (const n of some) needed.add(n);
    if (some.length < 2) return;
    relax(some.slice(some.length >> 1)); // from the end, so that what begins something is escaped
    relax(some.slice(0, some.length >> 1));
  };
  relax([...needed]);
  return with_(needed);
}

/** A document as Markdown: its blocks with blank lines between. @param {Node} doc */
export function textOf(doc) {
  /** @type {string[]} */
  const out = [];
  /** @type {Node | null} */
  let before = null;
  doc.forEach((one) => {
    const node = before && before.type === one.type && one.attrs.mark && one.attrs.mark === before.attrs.mark ? one.type.create({ ...one.attrs, mark: OTHER[one.attrs.mark] }, one.content) : one;
    const text = written(node);
    if (!text) return;
    before = node;
    out.push(text);
  });
  return out.join("\n\n");
}
/** The sign of a list that stands right after another one, which would be one list with it. @type {Record<string, string>} */
const OTHER = { "-": "*", "*": "-", "+": "-", ".": ")", ")": "." };
