/**
 * A block's Markdown as a document that is written back to the byte. What would not be stays source, so nothing is reworded
 * by being opened.
 */
import { parsed } from "./markdown.js";
import { schema } from "./schema.js";
import { textOf, written } from "./write.js";

const { nodes } = schema;

/** A text as a document, whatever it holds: what cannot be rich text is `source`. @param {string} text Markdown with "\n" as line end */
export function read(text) {
  const lines = text.split("\n");
  const found = parsed(text);
  if (found[0]) found[0].from = 0; // what no block is made of, such as the definition of a link, belongs to a neighbour
  const made = found.map(({ from, node }, n) => {
    const source = lines.slice(from, found[n + 1]?.from).join("\n");
    const cut = n + 1 < found.length ? source.replace(/\n+$/, "") : source;
    return node && written(node) === cut ? node : nodes.source.create({ source: cut });
  });
  if (!made.length && text.trim()) made.push(nodes.source.create({ source: text }));
  return nodes.doc.create(null, made.length ? made : [nodes.paragraph.create()]);
}

/** A block's text as a document; null where it is edited as Markdown. @param {string} text */
export function rich(text) {
  const doc = read(text);
  let source = false;
  doc.forEach((node) => { source ||= node.type === nodes.source; });
  return !source && textOf(doc) === text ? doc : null;
}
