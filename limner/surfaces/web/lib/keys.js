/** Keys: one list of what is bound on the page that is shown, for the handler and for the help alike. */
import { useLayoutEffect, useRef } from "./html.js";

const bound = [];

/** Whether keys now go into a field. */
export const typing = (target) =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

/** Bind keys while a component is shown. @param {{key: string, says: string, run: Function, typed?: boolean}[]} list */
export function useKeys(list) {
  const latest = useRef(list);
  latest.current = list;
  useLayoutEffect(() => { // an effect would come, and go, a frame later than what is seen
    const entry = () => latest.current;
    bound.push(entry);
    return () => bound.splice(bound.indexOf(entry), 1);
  }, []);
}

/** Everything bound now, the innermost first; one entry per key. */
export function bindings() {
  const seen = new Map();
  for (const entry of [...bound].reverse()) for (const one of entry()) if (one && !seen.has(one.key)) seen.set(one.key, one);
  return [...seen.values()];
}

/** "Shift+u", "Alt+ArrowUp", "?": a letter's case is said by Shift alone. */
function named(event) {
  const plain = event.key.length === 1 && !/[a-z]/i.test(event.key);
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return [event.ctrlKey || event.metaKey ? "Mod" : "", event.altKey ? "Alt" : "", event.shiftKey && !plain ? "Shift" : "", name]
    .filter(Boolean).join("+");
}

addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing) return;
  const inDialog = document.querySelector("dialog[open]");
  const found = bindings().find((one) => one.key === named(event));
  if (!found || (inDialog && !found.inDialog)) return;
  if (typing(event.target) && !found.typed) return;
  if (event.key === "Enter" && event.target.closest?.("button, a, summary, [role=option]") && !found.typed) return;
  event.preventDefault();
  found.run(event);
});
