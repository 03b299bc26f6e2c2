/**
 * What a change replaces, as the person saw it who made it. A change is sent only where that still stands: so nobody's
 * words are written over unseen, whoever was faster.
 *
 * A place is a block ("b2"), a field or the picture of an image ("f-s1.caption", "f-s1.image"), or "title".
 */
/** @import { Edit, Revision } from "../types.js" */

/** Line ends are the browser's in a field and the article's own in the article. @param {string} text */
export const same = (text) => text.replace(/\r\n?/g, "\n");

/** What stands at a place; undefined where there is nothing any more. @param {Revision} revision @param {string} place */
export function standing(revision, place) {
  if (place === "title") return revision.title;
  const [id, field] = place.split(".");
  const block = revision.blocks.find((one) => one.id === id);
  if (!block) return undefined;
  if (block.type === "text") return same(block.text);
  return field === "image" ? block.image_id : field === "caption" || field === "alt" || field === "credit" ? block[field] : undefined;
}

/** What an edit puts at the places that it is about; null where it leaves nothing of its own there. @param {Edit} edit @returns {Record<string, string | null>} */
export function puts(edit) {
  switch (edit.do) {
    case "set_text": return { [edit.block]: same(edit.text) };
    case "delete_block": case "merge_blocks": case "split_block": return { [edit.block]: null };
    case "set_title": return { title: edit.title };
    case "swap_image": return { [`${edit.image}.image`]: edit.image_id };
    case "remove_image": return { [`${edit.image}.image`]: null };
    case "describe_image": {
      const fields = Object.entries({ caption: edit.caption, alt: edit.alt, credit: edit.credit });
      return Object.fromEntries(fields.filter(([, value]) => typeof value === "string").map(([name, value]) => [`${edit.image}.${name}`, value ?? null]));
    }
    default: return {};
  }
}

/** What stood at the places of some edits when they were made. @param {Revision} shown @param {Edit[]} edits @returns {Record<string, string>} */
export function seen(shown, edits) {
  /** @type {Record<string, string>} */
  const was = {};
  for (const edit of edits) {
    const places = Object.keys(puts(edit));
    if (edit.do === "merge_blocks") {
      const texts = shown.blocks.filter((one) => one.type === "text");
      const next = texts[texts.findIndex((one) => one.id === edit.block) + 1];
      if (next) places.push(next.id);
    }
    for (const place of places) {
      const now = standing(shown, place);
      if (now !== undefined) was[place] ??= now;
    }
  }
  return was;
}

/** The texts before a place, the nearest first: where new text goes if the nearest is gone by then; all of them where it is gone already. @param {Revision} shown @param {string | null} after */
export function trailTo(shown, after) {
  const texts = shown.blocks.filter((one) => one.type === "text").map((one) => one.id);
  if (after === null) return [];
  const at = texts.indexOf(after);
  return texts.slice(0, at < 0 ? texts.length : at + 1).reverse();
}

/**
 * The first place where something else stands than the edits were made for; null where none is.
 * @param {Revision} head @param {Edit[]} edits @param {Record<string, string>} was
 * @returns {{place: string, gone: boolean} | null}
 */
export function met(head, edits, was) {
  const ours = new Map(edits.flatMap((edit) => Object.entries(puts(edit))));
  for (const [place, before] of Object.entries(was)) {
    const now = standing(head, place);
    if (now === undefined) return { place, gone: true };
    if (now !== before && now !== ours.get(place)) return { place, gone: false };
  }
  return null;
}

/** The words of a change that is about one place only, to be read beside those that stand there now; "" for others. @param {Edit[]} edits */
export function wordsOf(edits) {
  const [edit] = edits;
  if (edits.length !== 1 || !edit) return "";
  if (edit.do === "set_text" || edit.do === "insert_text") return edit.text;
  if (edit.do === "set_title") return edit.title;
  return edit.do === "describe_image" ? Object.values(puts(edit)).join("\n") : "";
}
