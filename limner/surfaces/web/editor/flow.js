/** Writing on from one block into the next: Enter cuts, Backspace and Delete join, arrows lead out at the edges. */
import { key } from "../lib/api.js";
import { same } from "./seen.js";
import { richNow } from "./writing.js";
/** @import { Block, Caret, Mode, Revision, TextBlock } from "../types.js" */
/** @import { Desk } from "./desk.js" */
/** @import { Hears } from "./writing.js" */

/**
 * @typedef {object} Where
 * @property {Desk} desk
 * @property {Revision} revision
 * @property {(id: string | null) => void} setChosen
 * @property {(mode: Mode | null) => void} setMode
 * @property {(one: TextBlock, at: Caret) => void} open
 * @property {() => void} undo
 * @property {() => void} redo
 */

/** @param {Block | undefined} one */
const writable = (one) => one?.type === "text" && !one.locked;

/** @param {Where} where */
export function flow({ desk, revision, setChosen, setMode, open, undo, redo }) {
  /** @type {Block[]} */
  const blocks = revision.blocks;
  /** The text block next to a place, over pictures; null where there is none or it is locked. @param {number} from @param {1 | -1} by @returns {TextBlock | null} */
  const beside = (from, by) => {
    for (let at = from; blocks[at]; at += by) {
      const one = blocks[at];
      if (one?.type === "text") return one.locked ? null : one;
    }
    return null;
  };
  /** @param {number} from @param {1 | -1} by @param {number | null} x */
  const leave = (from, by, x) => {
    const one = beside(from, by);
    if (!one) return false;
    setChosen(one.id);
    open(one, x === null ? (by > 0 ? "start" : "end") : { by, x });
    return true;
  };
  /** @param {{id: string, after: string | null}} made @param {string} text */
  const begin = ({ id, after }, text) => setMode({ inserting: { after, id, text, at: "start" } });

  /** In a block of the article. @param {TextBlock} one @returns {Hears} */
  const inBlock = (one) => {
    const at = blocks.findIndex((other) => other.id === one.id);
    return {
      undo, redo,
      leave: (by, x) => leave(at + by, by, x),
      split(first, rest) {
        if (!first) return begin({ id: key(), after: blocks.slice(0, at).reverse().find((other) => other.type === "text")?.id ?? null }, "");
        begin(desk.cut(one.id, first, rest, one.text, null), rest);
      },
      join(by) {
        const other = blocks[at + by];
        if (other?.type === "image") { setMode(null); setChosen(other.id); return; }
        if (other?.type !== "text" || !writable(other) || other.fresh) return;
        const text = same(desk.drafts.get(one.id)?.text ?? one.text);
        if (!text.trim()) {
          setChosen(other.id);
          return open(other, by < 0 ? "end" : "start"); // leaving it deletes what is empty
        }
        const [first, second] = by < 0 ? [other, one] : [one, other];
        const made = richNow()?.joined(by < 0 ? same(other.text) : text, by < 0 ? text : same(other.text));
        if (!made) return;
        desk.leave(one.id);
        desk.edit([{ do: "set_text", block: first.id, text: made.text }, { do: "delete_block", block: second.id }]);
        setChosen(first.id);
        setMode({ editing: first.id, at: { pos: made.pos } });
      },
    };
  };

  /** In new text. @param {string} id @param {string | null} after @returns {Hears} */
  const inNew = (id, after) => {
    const place = `new:${id}`;
    const stands = blocks.findIndex((other) => other.id === after);
    let last = stands;
    while (blocks[last + 1]?.type === "image") last++;
    return {
      undo, redo,
      leave: (by, x) => leave(by < 0 ? last : last + 1, by, x),
      split(first, rest) { if (first) begin(desk.cut(place, first, rest, "", after), rest); },
      join(by) {
        const other = blocks[stands];
        const text = desk.drafts.get(place)?.text ?? "";
        if (by > 0 || other?.type !== "text" || !writable(other)) return;
        if (!text.trim()) { leave(stands, -1, null); return; }
        if (other.fresh || last !== stands) return;
        const made = richNow()?.joined(same(other.text), text);
        if (!made) return;
        desk.type(other.id, made.text, other.text);
        desk.forget(place);
        setChosen(other.id);
        setMode({ editing: other.id, at: { pos: made.pos } });
      },
    };
  };
  return { inBlock, inNew };
}
