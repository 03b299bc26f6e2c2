/** What can be made of selected text, above it. */
import { html, useLayoutEffect, useRef, useState } from "../lib/html.js";
import { t } from "../lib/i18n.js";
import { Icon, say } from "../lib/ui.js";
/** @import { InputOf, Ref } from "../types.js" */
/** @import { Chosen, Surface } from "./rich/surface.js" */

const HIGH = 46; // px that it stands above
const WIDE = 300; // px

/** What it offers, and its sign. @type {[string, string][]} */
const OFFERS = [["strong", "B"], ["em", "I"], ["code", "<>"], ["link", ""], ["heading", "H"], ["bullet_list", "•"], ["blockquote", "“"]];
/** @type {Record<string, string>} */
const KEYS = { strong: "Ctrl+B", em: "Ctrl+I", code: "Ctrl+`", link: "Ctrl+K", heading: "Ctrl+Alt+2", bullet_list: "Ctrl+Shift+8", blockquote: "Ctrl+Shift+9" };

/** @param {{chosen: Chosen, surface: Surface, host: Ref<HTMLElement>, linking: boolean, setLinking: (on: boolean) => void, done: () => void}} props */
export function Bubble({ chosen, surface, host, linking, setLinking, done }) {
  const box = host.current?.getBoundingClientRect();
  if (!box) return null;
  const above = chosen.top > HIGH * 3.2; // the bars are there
  const top = above ? chosen.top - box.top - HIGH : chosen.bottom - box.top + 8;
  const left = Math.max(0, Math.min((chosen.left + chosen.right - WIDE) / 2 - box.left, box.width - WIDE));
  /** @param {FocusEvent} event */
  const blur = (event) => {
    const inside = event.relatedTarget instanceof Element && event.currentTarget instanceof Element && event.currentTarget.parentElement?.contains(event.relatedTarget);
    if (!inside) done();
  };
  /** @param {KeyboardEvent} event */
  const back = (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    setLinking(false);
    surface.view.focus();
  };
  return html`<div class="bubble" role="toolbar" aria-label=${t("bubble")} style=${`top: ${top}px; left: ${left}px`} onMouseDown=${(/** @type {Event} */ e) => { if (!(e.target instanceof HTMLInputElement)) e.preventDefault(); }}
    onClick=${(/** @type {Event} */ e) => e.stopPropagation()} onFocusOut=${blur} onKeyDown=${back}>
    ${linking ? html`<${Address} href=${chosen.href} surface=${surface} done=${() => setLinking(false)} />`
      : OFFERS.map(([name, sign]) => html`<button key=${name} type="button" class=${`quiet square as-${name}`} aria-label=${t(`bubble-${name}`)} title=${`${t(`bubble-${name}`)} (${KEYS[name]})`} aria-pressed=${chosen.on.has(name)}
        onClick=${() => (name === "link" ? setLinking(true) : surface.turn(name))}>${sign ? html`<span aria-hidden="true">${sign}</span>` : html`<${Icon} name="link" />`}</button>`)}
  </div>`;
}

/** Where a link leads. @param {{href: string, surface: Surface, done: () => void}} props */
function Address({ href, surface, done }) {
  const [text, setText] = useState(href);
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  useLayoutEffect(() => { input.current?.focus(); input.current?.select(); }, []);
  /** @param {string} to */
  const lead = (to) => { if (surface.lead(to)) done(); else say(t("link-refused"), true); };
  return html`<form onSubmit=${(/** @type {Event} */ e) => { e.preventDefault(); lead(text); }}>
    <input ref=${input} inputmode="url" aria-label=${t("link-address")} placeholder=${t("link-address")} value=${text} onInput=${(/** @type {InputOf<HTMLInputElement>} */ e) => setText(e.target.value)} />
    <button>${t("bubble-link")}</button>${href && html`<button type="button" onClick=${() => lead("")}>${t("remove")}</button>`}</form>`;
}
