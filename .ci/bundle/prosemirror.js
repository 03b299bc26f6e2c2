// What the studio's editor takes of ProseMirror and markdown-it: one module, `limner/surfaces/web/vendor/prosemirror.js`.
export { default as MarkdownIt } from "markdown-it";
export { baseKeymap, chainCommands, createParagraphNear, liftEmptyBlock, newlineInCode, setBlockType, splitBlock, toggleMark, wrapIn, lift } from "prosemirror-commands";
export { closeHistory, history, redo, redoDepth, undo, undoDepth } from "prosemirror-history";
export { InputRule, inputRules, textblockTypeInputRule, undoInputRule, wrappingInputRule } from "prosemirror-inputrules";
export { keymap } from "prosemirror-keymap";
export { DOMParser, DOMSerializer, Fragment, Node, Schema, Slice } from "prosemirror-model";
export { liftListItem, sinkListItem, splitListItem, wrapInList } from "prosemirror-schema-list";
export { EditorState, Plugin, PluginKey, Selection, TextSelection } from "prosemirror-state";
export { EditorView } from "prosemirror-view";
