/** State that outlives the page: what is typed in a field that is sent later, if ever. */
import { useState } from "./html.js";
import { keep, kept } from "./journal.js";

/**
 * As `useState`, kept on this device under a name until it is what it was at first again.
 * @template T
 * @param {string} name @param {T} initial
 * @returns {[T, (value: T | ((now: T) => T)) => void]}
 */
export function useKept(name, initial) {
  const [value, setValue] = useState(() => /** @type {T} */ (kept(name) ?? initial));
  /** @param {T | ((now: T) => T)} given */
  const set = (given) => setValue((now) => {
    const next = typeof given === "function" ? /** @type {(now: T) => T} */ (given)(now) : given;
    keep({ [name]: JSON.stringify(next) === JSON.stringify(initial) ? undefined : next });
    return next;
  });
  return [value, set];
}
