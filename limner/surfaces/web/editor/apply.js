/**
 * What an edit will look like, shown before the server has answered. The server's revision replaces it at once, so
 * edits that only the server can do well (cutting Markdown into blocks) are left to it.
 */

/** @import { Block, Edit, ImageBlock, Revision, TextBlock } from "../types.js" */
/** What a swap takes, as far as it is known. @typedef {{image_id: string, library: string, thumbnail: string, [known: string]: unknown}} Hint */

/** Whether a block is an image after another one. @param {Block | undefined} block @param {string} id */
const stands = (block, id) => block?.type === "image" && block.after === id;
/** @param {Block} block */
const paragraph = (block) => block.type === "text" && block.kind === "paragraph";

/** Where a block's own images end. @param {Block[]} blocks @param {string} id */
function endOf(blocks, id) {
  let end = blocks.findIndex((block) => block.id === id) + 1;
  while (stands(blocks[end], id)) end++;
  return end;
}

/** @param {Block[]} blocks @param {string} id */
function without(blocks, id) {
  const at = blocks.findIndex((block) => block.id === id);
  if (at < 0) return blocks;
  const paragraphs = blocks.filter((block) => paragraph(block) && block.id !== id);
  const before = blocks.slice(0, at).reverse().find(paragraph);
  const heir = before || paragraphs[0];
  return blocks.filter((block) => block.id !== id && (heir || !stands(block, id)))
    .map((block) => (block.type === "image" && block.after === id && heir ? { ...block, after: heir.id } : block));
}

/** @param {Block[]} blocks @param {string} id @param {string | null} after */
function moved(blocks, id, after) {
  const start = blocks.findIndex((block) => block.id === id);
  if (start < 0 || after === id) return blocks;
  const taken = blocks.slice(start, endOf(blocks, id));
  const rest = [...blocks.slice(0, start), ...blocks.slice(start + taken.length)];
  rest.splice(after === null ? 0 : endOf(rest, after), 0, ...taken);
  return rest;
}

/** @param {Block[]} blocks @param {string} id @param {Partial<TextBlock>} change @returns {Block[]} */
const retyped = (blocks, id, change) => blocks.map((block) => (block.id === id && block.type === "text" ? { ...block, ...change } : block));
/** @param {Block[]} blocks @param {string} id @param {Partial<ImageBlock>} change @returns {Block[]} */
const changed = (blocks, id, change) => blocks.map((block) => (block.id === id && block.type === "image" ? { ...block, ...change } : block));
/** Those of some fields that are given. @param {object} edit @param {string[]} names @returns {Partial<ImageBlock>} */
const given = (edit, names) => Object.fromEntries(Object.entries(edit).filter(([name, value]) => names.includes(name) && value !== null && value !== undefined));
/** @param {Block[]} blocks @param {string[]} ids @param {boolean} locked @returns {Block[]} */
const lockedAs = (blocks, ids, locked) => blocks.map((block) => (ids.includes(block.id) ? { ...block, locked } : block));

/** New text that the server has not cut into blocks yet. @param {Block[]} blocks @param {string | null} after @param {string} text @param {{key: string, name?: string}} op @returns {Block[]} */
function inserted(blocks, after, text, op) {
  /** @type {Block} */
  const made = { type: "text", id: freshOf(op), kind: "paragraph", level: null, text, html: "", locked: false, pending: true, fresh: op.key };
  const at = after === null ? 0 : endOf(blocks, after);
  return [...blocks.slice(0, at), made, ...blocks.slice(at)];
}

/** @param {{key: string, name?: string}} op */
export const freshOf = (op) => freshId(op.name ?? op.key);
/** The id of new text until the server has given it one. @param {string} key of the change */
export const freshId = (key) => `new-${key}`;

/** The blocks after an edit. @param {Block[]} blocks @param {Edit} edit @param {{key: string, name?: string}} op @param {Hint} [hint] @returns {Block[]} */
function after(blocks, edit, op, hint) {
  switch (edit.do) {
    case "insert_text": return inserted(blocks, edit.after, edit.text, op);
    case "set_text": return retyped(blocks, edit.block, { text: edit.text, pending: true });
    case "delete_block": return without(blocks, edit.block);
    case "move_block": return moved(blocks, edit.block, edit.after);
    case "move_image": {
      const image = blocks.find((block) => block.id === edit.image);
      const rest = blocks.filter((block) => block.id !== edit.image);
      if (image?.type === "image") rest.splice(endOf(rest, edit.after), 0, { ...image, after: edit.after });
      return rest;
    }
    case "remove_image": return blocks.filter((block) => block.id !== edit.image);
    case "describe_image": return changed(blocks, edit.image, given(edit, ["caption", "alt", "credit"]));
    case "crop_image": return changed(blocks, edit.image, { crop: edit.crop });
    case "swap_image": {
      if (hint?.image_id !== edit.image_id) return blocks;
      const src = hint.thumbnail.replace(/side=\d+/, "side=1024");
      const known = given(hint, ["image_id", "library", "caption", "alt", "credit", "licence", "width", "height", "thumbnail"]);
      return changed(blocks, edit.image, { ...known, ...given(edit, ["caption", "alt"]), src, crop: null });
    }
    case "lock": return lockedAs(blocks, edit.ids, true);
    case "unlock": return lockedAs(blocks, edit.ids, false);
    default: return blocks; // what only the server can do well: cutting and joining
  }
}

/**
 * A revision with edits, as far as they can be shown.
 * @param {Revision} revision @param {Edit[]} edits @param {{key: string, name?: string}} op the change @param {Hint} [hint] the candidate that a swap takes
 */
export function applied(revision, edits, op, hint) {
  let { blocks, title } = revision;
  for (const edit of edits) {
    if (edit.do === "set_title") title = edit.title;
    blocks = after(blocks, edit, op, hint);
  }
  return { ...revision, title, blocks };
}
