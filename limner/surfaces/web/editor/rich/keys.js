/** What keys do in rich text, and what typed Markdown turns into. */
import {
  InputRule, Selection, TextSelection, baseKeymap, chainCommands, inputRules, lift, liftEmptyBlock, liftListItem, redo, redoDepth, setBlockType, sinkListItem, splitListItem,
  textblockTypeInputRule, toggleMark, undo, undoDepth, undoInputRule, wrapIn, wrapInList, wrappingInputRule,
} from "../../vendor/prosemirror.js";
import { address } from "./markdown.js";
import { safe, schema } from "./schema.js";
import { textOf } from "./write.js";
/** @import { Command, EditorState, MarkType, NodeType } from "../../vendor/prosemirror.js" */
/** @import { Heard } from "./surface.js" */

const { nodes, marks } = schema;

/** Typed text between signs takes a mark, as it is when the last sign is typed. @param {RegExp} match whose first group is what stands before, the second the text @param {MarkType} type */
const marking = (match, type) => new InputRule(match, (state, found, start, end) => {
  const [, before = "", text = ""] = found;
  const from = start + before.length;
  if (!text.trim() || marks.code.isInSet(state.doc.resolve(start).marks())) return null;
  const all = state.doc.textBetween(from, end, undefined, "\ufffc"); // all but the sign that was typed just now
  const at = all.indexOf(text);
  if (at < 0 || state.doc.rangeHasMark(from, end, marks.code)) return null;
  const tr = state.tr.delete(from + at + text.length, end).delete(from, from + at);
  return tr.addMark(from, from + text.length, type.create()).removeStoredMark(type);
});

/** A piece that has no mark of its own is kept as it is typed. @param {RegExp} match */
const keeping = (match) => new InputRule(match, (state, found, start, end) => {
  const [, before = "", source = ""] = found;
  return state.tr.replaceWith(start + before.length, end, nodes.kept.create({ source }));
});

const linking = new InputRule(/\[([^[\]]+)\]\(([^()\s]+)\)$/, (state, [, text = "", href = ""], start, end) => (safe(href)
  ? state.tr.replaceWith(start, end, schema.text(text, [marks.link.create({ href: address(href) })])).removeStoredMark(marks.link) : null));

export const rules = () => inputRules({ rules: [
  textblockTypeInputRule(/^(#{1,6})\s$/, nodes.heading, ([, signs]) => ({ level: signs?.length ?? 1 })),
  wrappingInputRule(/^\s*>\s$/, nodes.blockquote),
  wrappingInputRule(/^\s*([-+*])\s$/, nodes.bullet_list, ([, mark]) => ({ mark })),
  wrappingInputRule(/^(\d{1,9})([.)])\s$/, nodes.ordered_list, ([, start, mark]) => ({ start: Number(start), mark }), ([, start], node) => node.childCount + node.attrs.start === Number(start)),
  marking(/(^|[^*\\])\*\*([^*\s](?:[^*]*[^*\s])?)\*\*$/, marks.strong),
  marking(/(^|[^_\w\\])__([^_\s](?:[^_]*[^_\s])?)__$/, marks.strong),
  marking(/(^|[^*\\])\*([^*\s](?:[^*]*[^*\s])?)\*$/, marks.em),
  marking(/(^|[^_\w\\])_([^_\s](?:[^_]*[^_\s])?)_$/, marks.em),
  marking(/(^|[^~\\])~~([^~\s](?:[^~]*[^~\s])?)~~$/, marks.strike),
  marking(/(^|[^`\\])`([^`]+)`$/, marks.code),
  keeping(/(^|[^\\])(\[\^[^\]\s]+\])$/),
  linking,
] });

/** @param {EditorState} state @returns {boolean} whether the caret is in a block at the top */
const top = ({ selection: { $from, $to } }) => $from.depth === 1 && $to.depth === 1 && $from.parent.isTextblock;

/** @param {Heard} heard @returns {Command} */
const cut = (heard) => (state, dispatch) => {
  if (!top(state) || state.doc.childCount > 1) return false;
  const { from, to } = state.selection;
  if (dispatch) heard.split(textOf(state.doc.cut(0, from)), textOf(state.doc.cut(to)));
  return true;
};

/** Backspace at the very beginning. @param {Heard} heard @returns {Command} */
const back = (heard) => (state, dispatch, view) => {
  const { $from, empty } = state.selection;
  if (!empty || $from.parentOffset > 0 || (view && !view.endOfTextblock("backward", state))) return false;
  if ($from.depth > 1) return chainCommands(liftListItem(nodes.list_item), lift)(state, dispatch);
  if ($from.parent.type === nodes.heading) return setBlockType(nodes.paragraph)(state, dispatch);
  if ($from.index(0) > 0) return false;
  if (dispatch) heard.join(-1);
  return true;
};

/** Delete at the very end. @param {Heard} heard @returns {Command} */
const forward = (heard) => (state, dispatch) => {
  const { $from, empty } = state.selection;
  if (!empty || $from.depth > 1 || $from.parentOffset < $from.parent.content.size || $from.index(0) < state.doc.childCount - 1) return false;
  if (dispatch) heard.join(1);
  return true;
};

/** An arrow that leads out. @param {Heard} heard @param {"up" | "down" | "left" | "right"} way @returns {Command} */
const out = (heard, way) => (state, _, view) => {
  const by = way === "up" || way === "left" ? -1 : 1;
  const { $head, empty } = state.selection;
  if (!empty || !view?.endOfTextblock(way, state)) return false;
  if (Selection.findFrom(state.doc.resolve(by < 0 ? $head.before() : $head.after()), by, true)) return false;
  return heard.leave(by, way === "up" || way === "down" ? view.coordsAtPos($head.pos).left : null);
};

/** A block as another kind, or back as a paragraph where it is one. @param {NodeType} type @param {Record<string, unknown>} [attrs] @returns {Command} */
export const turned = (type, attrs) => (state, dispatch) => {
  const { $from } = state.selection;
  const is = $from.parent.hasMarkup(type, { ...$from.parent.attrs, ...attrs });
  return setBlockType(is ? nodes.paragraph : type, is ? null : attrs)(state, dispatch);
};

/** In a list or quote, or out of it. @param {NodeType} type @returns {Command} */
export const wrapped = (type) => (state, dispatch, view) => {
  const { $from } = state.selection;
  for (let depth = $from.depth; depth > 0; depth--) if ($from.node(depth).type === type) return chainCommands(liftListItem(nodes.list_item), lift)(state, dispatch);
  if ($from.parent.type === nodes.heading && dispatch) setBlockType(nodes.paragraph)(state, dispatch); // no list holds a heading
  return (type === nodes.blockquote ? wrapIn(type) : wrapInList(type))(view?.state ?? state, dispatch);
};

/** @type {Command} */
const broken = (state, dispatch) => {
  dispatch?.(state.tr.replaceSelectionWith(nodes.hard_break.create()).scrollIntoView());
  return true;
};

/** @param {Heard} heard @returns {Record<string, Command>} */
export function keys(heard) {
  const done = () => { heard.done(); return true; };
  /** @type {Command} */
  const undone = (state, dispatch) => { if (undoDepth(state)) undo(state, dispatch); else heard.undo(); return true; };
  /** @type {Command} */
  const redone = (state, dispatch) => { if (redoDepth(state)) redo(state, dispatch); else heard.redo(); return true; };
  const levels = [1, 2, 3, 4].map((level) => /** @type {const} */ ([`Mod-Alt-${level}`, turned(nodes.heading, { level })]));
  return {
    ...baseKeymap,
    ...Object.fromEntries(levels),
    Enter: chainCommands(cut(heard), splitListItem(nodes.list_item), liftEmptyBlock, baseKeymap.Enter ?? (() => false)),
    "Shift-Enter": broken,
    Backspace: chainCommands(undoInputRule, back(heard), baseKeymap.Backspace ?? (() => false)),
    Delete: chainCommands(forward(heard), baseKeymap.Delete ?? (() => false)),
    Escape: done,
    "Mod-Enter": done,
    "Mod-z": undone,
    "Mod-Shift-z": redone,
    "Mod-y": redone,
    "Mod-a": (state, dispatch) => {
      dispatch?.(state.tr.setSelection(TextSelection.between(Selection.atStart(state.doc).$head, Selection.atEnd(state.doc).$head)));
      return true;
    },
    "Mod-b": toggleMark(marks.strong),
    "Mod-i": toggleMark(marks.em),
    "Mod-`": toggleMark(marks.code),
    "Mod-k": (state) => heard.link(state),
    "Mod-Alt-0": setBlockType(nodes.paragraph),
    "Mod-Shift-7": wrapped(nodes.ordered_list),
    "Mod-Shift-8": wrapped(nodes.bullet_list),
    "Mod-Shift-9": wrapped(nodes.blockquote),
    Tab: sinkListItem(nodes.list_item),
    "Shift-Tab": liftListItem(nodes.list_item),
    ArrowUp: out(heard, "up"),
    ArrowDown: out(heard, "down"),
    ArrowLeft: out(heard, "left"),
    ArrowRight: out(heard, "right"),
  };
}
