/**
 * Keys: one list of what can be done on the page that is shown, for the handler, the help and the palette alike.
 *
 * A plain letter moves a choice or opens something. What changes an article or leaves the page has a modifier, or is in
 * the palette: somebody who types where nothing takes what is typed must not lose anything by it.
 */
import { useLayoutEffect, useRef } from "./html.js";

/** @import { Binding } from "../types.js" */

/** @type {(() => Binding[])[]} */
const bound = [];

/** Whether keys now go into a field. @param {EventTarget | null} target */
export const typing = (target) =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

/** Bind keys while a component is shown. @param {Binding[]} list */
export function useKeys(list) {
  const latest = useRef(list);
  latest.current = list;
  useLayoutEffect(() => { // an effect would come, and go, a frame later than what is seen
    const entry = () => latest.current;
    bound.push(entry);
    return () => { bound.splice(bound.indexOf(entry), 1); };
  }, []);
}

/** Everything that can be done now, the innermost first; one entry per key. */
export function bindings() {
  /** @type {Map<string, Binding>} */
  const seen = new Map();
  for (const entry of [...bound].reverse()) for (const one of entry()) if (!seen.has(one.key ?? one.says ?? "")) seen.set(one.key ?? one.says ?? "", one);
  return [...seen.values()];
}

/** Whether words on the page are selected: letters are meant for them then, and must do nothing else. */
const selecting = () => {
  const selection = getSelection();
  return selection !== null && !selection.isCollapsed && selection.toString().trim() !== "";
};

/** "Shift+u", "Alt+ArrowUp", "?": a letter's case is said by Shift alone. @param {KeyboardEvent} event */
function named(event) {
  const plain = event.key.length === 1 && !/[a-z]/i.test(event.key);
  const digit = event.altKey && /^Digit(\d)$/.exec(event.code)?.[1]; // Alt writes other characters on some keyboards
  const name = digit || (event.key.length === 1 ? event.key.toLowerCase() : event.key);
  return [event.ctrlKey || event.metaKey ? "Mod" : "", event.altKey ? "Alt" : "", event.shiftKey && !plain ? "Shift" : "", name]
    .filter(Boolean).join("+");
}

addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing) return;
  const inDialog = document.querySelector("dialog[open]");
  const found = bindings().find((one) => one.key === named(event));
  if (!found || (inDialog && !found.inDialog)) return;
  if (typing(event.target) && !found.typed) return;
  const plain = !event.ctrlKey && !event.metaKey && !event.altKey && event.key !== "Escape";
  if (plain && selecting() && !typing(event.target)) return;
  if (event.key === "Enter" && event.target instanceof Element && event.target.closest("button, a, summary, [role=option]") && !found.typed) return;
  event.preventDefault();
  found.run(event);
});
