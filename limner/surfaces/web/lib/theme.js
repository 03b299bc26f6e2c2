/** Light, dark, or as the system has it; remembered on this device. `theme-first.js` sets it before the page is drawn. */
import { html, useEffect, useState } from "./html.js";
import { t } from "./i18n.js";
import { IconButton } from "./ui.js";

const KEY = "limner-theme";
const CHANGED = "limner-theme";
/** @typedef {"system" | "light" | "dark"} Theme */
/** @type {Theme[]} */
export const THEMES = ["system", "light", "dark"];

/** @returns {Theme} */
const theme = () => THEMES.find((one) => one === localStorage.getItem(KEY)) ?? "system";

function show() {
  const now = theme();
  document.documentElement.style.colorScheme = now === "system" ? "" : now;
  dispatchEvent(new Event(CHANGED));
}

/** @param {Theme} next */
export function setTheme(next) {
  if (next === "system") localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, next);
  show();
}

addEventListener("storage", (event) => { if (event.key === KEY || event.key === null) show(); }); // another tab chose

/** The button in the header: each click takes the next theme. */
export function ThemeButton() {
  const [now, setNow] = useState(theme);
  useEffect(() => {
    const look = () => setNow(theme());
    addEventListener(CHANGED, look);
    return () => removeEventListener(CHANGED, look);
  }, []);
  return html`<${IconButton} icon=${`theme-${now}`} name=${t(`theme-${now}`)} onClick=${() => setTheme(THEMES[(THEMES.indexOf(now) + 1) % THEMES.length])} />`;
}
