/**
 * What an edit will look like, shown before the server has answered. The server's revision replaces it at once, so
 * edits that only the server can do well (cutting Markdown into blocks) are left to it.
 */

const textBlocks = (blocks) => blocks.filter((block) => block.type === "text");

/** Where a block's own images end. */
function endOf(blocks, id) {
  let end = blocks.findIndex((block) => block.id === id) + 1;
  while (blocks[end]?.type === "image" && blocks[end].after === id) end++;
  return end;
}

function without(blocks, id) {
  const at = blocks.findIndex((block) => block.id === id);
  if (at < 0) return blocks;
  const paragraphs = blocks.filter((block) => block.kind === "paragraph" && block.id !== id);
  const before = blocks.slice(0, at).reverse().find((block) => block.kind === "paragraph");
  const heir = before || paragraphs[0];
  return blocks.filter((block) => block.id !== id && (heir || block.after !== id))
    .map((block) => (block.after === id ? { ...block, after: heir.id } : block));
}

function moved(blocks, id, after) {
  const start = blocks.findIndex((block) => block.id === id);
  if (start < 0 || after === id) return blocks;
  const taken = blocks.slice(start, endOf(blocks, id));
  const rest = [...blocks.slice(0, start), ...blocks.slice(start + taken.length)];
  rest.splice(after === null ? 0 : endOf(rest, after), 0, ...taken);
  return rest;
}

const changed = (blocks, id, change) => blocks.map((block) => (block.id === id ? { ...block, ...change } : block));
const given = (edit, names) => Object.fromEntries(names.filter((n) => edit[n] != null).map((n) => [n, edit[n]]));

const HOW = {
  set_text: (blocks, edit) => changed(blocks, edit.block, { text: edit.text, html: null }),
  delete_block: (blocks, edit) => without(blocks, edit.block),
  move_block: (blocks, edit) => moved(blocks, edit.block, edit.after),
  move_image(blocks, edit) {
    const image = blocks.find((block) => block.id === edit.image);
    const rest = blocks.filter((block) => block.id !== edit.image);
    if (image) rest.splice(endOf(rest, edit.after), 0, { ...image, after: edit.after });
    return rest;
  },
  remove_image: (blocks, edit) => blocks.filter((block) => block.id !== edit.image),
  describe_image: (blocks, edit) => changed(blocks, edit.image, given(edit, ["caption", "alt", "credit"])),
  crop_image: (blocks, edit) => changed(blocks, edit.image, { crop: edit.crop }),
  swap_image(blocks, edit, hint) {
    if (hint?.image_id !== edit.image_id) return blocks;
    const src = hint.thumbnail.replace(/side=\d+/, "side=1024");
    const known = given(hint, ["image_id", "library", "caption", "alt", "credit", "licence", "width", "height", "thumbnail"]);
    return changed(blocks, edit.image, { ...known, ...given(edit, ["caption", "alt"]), src, crop: null });
  },
  lock: (blocks, edit) => blocks.map((block) => (edit.ids.includes(block.id) ? { ...block, locked: true } : block)),
  unlock: (blocks, edit) => blocks.map((block) => (edit.ids.includes(block.id) ? { ...block, locked: false } : block)),
};

/** A revision with edits, as far as they can be shown. hint: the candidate that a swap takes. */
export function applied(revision, edits, hint) {
  let { blocks, title } = revision;
  for (const edit of edits) {
    if (edit.do === "set_title") title = edit.title;
    blocks = HOW[edit.do]?.(blocks, edit, hint) ?? blocks;
  }
  return { ...revision, title, blocks };
}

/** Whether a revision has what the edits do already: they arrived and only the answer was lost. */
export function hasAll(revision, edits) {
  const block = (id) => revision.blocks.find((one) => one.id === id);
  const says = (edit, names) => names.every((n) => edit[n] == null || block(edit.image)?.[n] === edit[n]);
  return edits.every((edit) => {
    if (edit.do === "set_text") return block(edit.block)?.text === edit.text;
    if (edit.do === "delete_block") return !block(edit.block);
    if (edit.do === "remove_image") return !block(edit.image);
    if (edit.do === "swap_image") return says(edit, ["image_id"]);
    if (edit.do === "describe_image") return says(edit, ["caption", "alt", "credit"]);
    if (edit.do === "lock") return edit.ids.every((id) => block(id)?.locked);
    if (edit.do === "insert_text") return textBlocks(revision.blocks).some((one) => one.text === edit.text.trim());
    return false;
  });
}
