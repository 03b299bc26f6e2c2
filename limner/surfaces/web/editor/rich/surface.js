/**
 * The place where rich text is typed: a ProseMirror view over a document of one block or of several. It knows nothing of
 * an article; it tells what is typed, as Markdown, and where a key leads out of it. Loaded by the editor alone.
 */
import { EditorState, EditorView, Selection, TextSelection, history, keymap, toggleMark } from "../../vendor/prosemirror.js";
import { keys, rules, turned, wrapped } from "./keys.js";
import { address } from "./markdown.js";
import { cleaned, pasted } from "./paste.js";
import { rich } from "./read.js";
import { safe, schema } from "./schema.js";
import { textOf } from "./write.js";
/** @import { Mark, Node } from "../../vendor/prosemirror.js" */
/** @import { Caret } from "../../types.js" */
export { rich };

const { nodes, marks } = schema;
/** Characters that nobody types: the ends of a selection in Markdown that is written to find them. */
const ENDS = /** @type {const} */ (["\ue0f0", "\ue0f1"]);

/** Where what is selected is on the page, and what it is. @typedef {{top: number, bottom: number, left: number, right: number, on: Set<string>, href: string}} Chosen */
/**
 * What is heard of what is typed.
 * @typedef {object} Heard
 * @property {(text: string) => void} changed
 * @property {(chosen: Chosen | null) => void} selected
 * @property {(first: string, rest: string) => void} split Enter, in a document of one block
 * @property {(by: 1 | -1) => void} join Backspace at its beginning, Delete at its end
 * @property {(by: 1 | -1, x: number | null) => boolean} leave an arrow led out; false where there is nowhere to go
 * @property {(state: EditorState) => boolean} link the address of a link is wanted
 * @property {() => void} done
 * @property {() => void} undo there is nothing more to undo here
 * @property {() => void} redo
 */

/** Two texts as one, the second's words after the first's last; null where one of them does not end or begin with words. pos: where they meet. @param {string} first @param {string} second */
export function joined(first, second) {
  const [one, two] = [rich(first), rich(second)];
  if (!one?.lastChild?.isTextblock || !two?.firstChild?.isTextblock) return null;
  const pos = one.content.size - 1;
  const doc = one.copy(one.content.replaceChild(one.childCount - 1, one.lastChild.copy(one.lastChild.content.append(two.firstChild.content))).append(two.content.cut(two.firstChild.nodeSize)));
  return { text: textOf(doc), pos };
}

export class Surface {
  /** text: one that `rich` takes. @param {HTMLElement} place @param {{text: string, label: string, hint: string, heard: Heard}} how */
  constructor(place, { text, label, hint, heard }) {
    this.heard = heard;
    this.last = /** @type {{doc: Node, text: string} | null} */ (null);
    this.given = text;
    this.doc = rich(text) ?? nodes.doc.create(null, [nodes.source.create({ source: text })]);
    this.view = new EditorView(place, {
      state: this.state(),
      attributes: (state) => ({
        class: `typing rich rendered${state.doc.childCount === 1 && state.doc.firstChild?.content.size === 0 ? " empty" : ""}`,
        role: "textbox", "aria-multiline": "true", "aria-label": label, "data-hint": hint, dir: "auto", spellcheck: "true",
      }),
      dispatchTransaction: (tr) => {
        this.view.updateState(this.view.state.apply(tr));
        if (this.closed) return;
        if (tr.docChanged && !tr.getMeta("given")) heard.changed(this.text);
        if (tr.docChanged || tr.selectionSet) this.tell();
      },
      handleDOMEvents: {
        blur: (_, event) => {
          if (!(event.relatedTarget instanceof Element && place.parentElement?.contains(event.relatedTarget))) heard.done();
          return false;
        },
        click: (_, event) => {
          if (event.target instanceof Element && event.target.closest("a") && !event.ctrlKey && !event.metaKey) event.preventDefault();
          return false;
        },
      },
      transformPastedHTML: cleaned,
      clipboardTextParser: (given, _, plain) => pasted(given, plain),
    });
    this.closed = false;
  }

  state() {
    return EditorState.create({ doc: this.doc, plugins: [rules(), keymap(keys(this.heard)), history()] });
  }

  /** As Markdown: what was given, to the byte, as long as nothing is changed. */
  get text() {
    const { doc } = this.view.state;
    if (this.last?.doc !== doc) this.last = { doc, text: doc.eq(this.doc) ? this.given : textOf(doc) };
    return this.last.text;
  }

  /** Somebody else changed it; where it is no rich text any more, it is left. @param {string} text */
  take(text) {
    if (this.view.composing || text === this.text) return;
    const made = rich(text);
    if (!made) return this.heard.done();
    const { from } = this.view.state.selection;
    this.given = text;
    this.doc = made;
    this.view.updateState(this.state());
    const { doc } = this.view.state;
    this.view.dispatch(this.view.state.tr.setSelection(Selection.near(doc.resolve(Math.min(from, doc.content.size)))).setMeta("given", true));
  }

  /** @param {Caret} caret */
  focus(caret) {
    this.view.focus();
    const { doc, tr } = this.view.state;
    this.view.dispatch(tr.setSelection(this.selectionOf(caret, doc)).setMeta("given", true));
    this.view.dom.scrollIntoView({ block: "nearest" });
  }

  /** @param {Caret} caret @param {Node} doc */
  selectionOf(caret, doc) {
    if (caret === "start") return Selection.atStart(doc);
    if (caret === "end") return Selection.atEnd(doc);
    if ("pos" in caret) return Selection.near(doc.resolve(Math.min(caret.pos, doc.content.size)));
    const box = this.view.dom.getBoundingClientRect();
    if ("by" in caret) {
      const line = this.view.coordsAtPos((caret.by > 0 ? Selection.atStart(doc) : Selection.atEnd(doc)).head);
      return this.at(doc, caret.x, (line.top + line.bottom) / 2);
    }
    const [head, anchor] = [caret, caret.anchor ?? caret].map(({ x, y }) => this.at(doc, x, Math.min(Math.max(y, box.top + 2), box.bottom - 2)));
    return head && anchor ? TextSelection.between(anchor.$head, head.$head) : Selection.atEnd(doc);
  }

  /** @param {Node} doc @param {number} x @param {number} y */
  at(doc, x, y) {
    const box = this.view.dom.getBoundingClientRect();
    const found = this.view.posAtCoords({ left: Math.min(Math.max(x, box.left + 1), box.right - 1), top: y });
    return found ? Selection.near(doc.resolve(found.pos)) : Selection.atEnd(doc);
  }

  /** Where the selection is in the Markdown; null where that cannot be said. @returns {{text: string, from: number, to: number} | null} */
  get marked() {
    const { selection: { from, to, $from, $to } } = this.view.state;
    if (!$from.parent.isTextblock || !$to.parent.isTextblock) return null;
    const { tr } = this.view.state;
    const found = textOf(tr.insertText(ENDS[1], to).insertText(ENDS[0], from).doc);
    const at = found.indexOf(ENDS[0]);
    const end = found.indexOf(ENDS[1]) - 1;
    const text = found.replace(ENDS[0], "").replace(ENDS[1], "");
    return at >= 0 && end >= at && text === this.text ? { text, from: at, to: end } : null;
  }

  tell() {
    const { selection: { from, to, empty, $from }, doc } = this.view.state;
    if (empty || !$from.parent.isTextblock || !this.view.hasFocus()) return this.heard.selected(null);
    const [start, end] = [this.view.coordsAtPos(from), this.view.coordsAtPos(to, -1)];
    const on = new Set([$from.parent.type.name]);
    for (let depth = 1; depth < $from.depth; depth++) on.add($from.node(depth).type.name);
    for (const type of Object.values(marks)) if (doc.rangeHasMark(from, to, type)) on.add(type.name);
    const { href } = this.linkAt()?.attrs ?? { href: "" };
    this.heard.selected({ top: start.top, bottom: end.bottom, left: Math.min(start.left, end.left), right: Math.max(start.right, end.right), on, href });
  }

  /** @returns {Mark | null} */
  linkAt() {
    const { from, to } = this.view.state.selection;
    /** @type {Mark | null} */
    let found = null;
    this.view.state.doc.nodesBetween(from, to, (node) => { found ??= marks.link.isInSet(node.marks) ?? null; });
    return found;
  }

  /** Make what is selected bold, a heading and so on, or not any more. @param {string} what */
  turn(what) {
    const how = what === "heading" ? turned(nodes.heading, { level: 2 }) : what === "bullet_list" ? wrapped(nodes.bullet_list) : what === "blockquote" ? wrapped(nodes.blockquote) : toggleMark(marks[/** @type {keyof typeof marks} */ (what)]);
    how(this.view.state, this.view.dispatch, this.view);
    this.view.focus();
    this.tell();
  }

  /** Let what is selected lead to an address; "" for nowhere. @param {string} typed @returns {boolean} whether it can */
  lead(typed) {
    const text = typed.trim();
    const href = text && !/^[a-z][a-z\d+.-]*:|^[./#?]/i.test(text) ? `https://${text}` : text;
    if (!safe(href)) return false;
    const { from, to } = this.view.state.selection;
    const { tr } = this.view.state;
    tr.removeMark(from, to, marks.link);
    if (href) tr.addMark(from, to, marks.link.create({ href: address(href) }));
    this.view.dispatch(tr);
    this.view.focus();
    return true;
  }

  close() {
    this.closed = true;
    this.view.destroy();
  }
}
