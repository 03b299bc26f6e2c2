export { default as MarkdownIt } from "markdown-it";
export * from "prosemirror-commands";
export * from "prosemirror-history";
export * from "prosemirror-inputrules";
export * from "prosemirror-keymap";
export * from "prosemirror-model";
export * from "prosemirror-schema-list";
export * from "prosemirror-state";
export * from "prosemirror-view";
