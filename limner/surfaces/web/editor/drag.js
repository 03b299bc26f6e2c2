/**
 * Moving blocks by their grip: with mouse, finger and pen by pointer events, and with the keyboard, said aloud.
 *
 * A finger that lies on an image scrolls the page, so only a mouse may take an image anywhere but at its grip.
 */
import { useEffect, useRef, useState } from "../lib/html.js";
import { t } from "../lib/i18n.js";
/** @import { Block, Edit } from "../types.js" */
/** @import { Desk } from "./desk.js" */
/** @typedef {{away: number, id: string, before: boolean}} Over */
/** @typedef {{block: Block, pointer: number, x: number, y: number, on: boolean, over?: Over | null}} Held */

/** What a key moves a lifted block by. @type {Record<string, number>} */
const STEPS = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1, Home: -Infinity, End: Infinity };
const START = 6; // px before a press is a drag and no click
const EDGE = 70; // px at the window's edges where the page scrolls
const STEP = 12; // px it scrolls each frame

/** @param {Block} block */
const paragraph = (block) => block.type === "text" && block.kind === "paragraph";

/** The edit for a block that was let go before or after another, or null where it would stay. @param {Block[]} blocks @param {Block} held @param {Block} target @param {boolean} before @returns {Edit | null} */
export function landing(blocks, held, target, before) {
  const rest = blocks.filter((block) => block.id !== held.id && !(held.type === "text" && block.type === "image" && block.after === held.id));
  const at = rest.findIndex((block) => block.id === target.id);
  if (at < 0) return null;
  const above = rest.slice(0, before ? at : at + 1).reverse();
  if (held.type === "image") {
    const place = above.find(paragraph) || rest.find(paragraph);
    return place && place.id !== held.after ? { do: "move_image", image: held.id, after: place.id } : null;
  }
  const after = above.find((block) => block.type === "text")?.id ?? null;
  const now = blocks.slice(0, blocks.findIndex((block) => block.id === held.id)).reverse().find((block) => block.type === "text")?.id ?? null;
  return after === now ? null : { do: "move_block", block: held.id, after };
}

/** Where a block can stand: [(the block it would stand after, null for the very front)], and which of them is now. @param {Block[]} blocks @param {Block} held */
export function places(blocks, held) {
  const others = blocks.filter((block) => block.id !== held.id && (held.type === "image" ? paragraph(block) : block.type === "text"));
  const all = held.type === "image" ? others : [null, ...others];
  const order = blocks.filter((block) => block.type === "text");
  const after = held.type === "image" ? held.after : order[order.findIndex((block) => block.id === held.id) - 1]?.id ?? null;
  return { all, now: Math.max(0, all.findIndex((block) => (block?.id ?? null) === after)) };
}

/** "3 of 12", for the live region. @param {Block[]} blocks @param {Block} held */
export const said = (blocks, held) => {
  const { all, now } = places(blocks, held);
  return { n: now + 1, of: all.length };
};

/** @param {string | null} id @param {string} [side] */
const mark = (id, side) => {
  for (const other of document.querySelectorAll(".drop-before, .drop-after")) other.classList.remove("drop-before", "drop-after");
  if (id && side) document.getElementById(`b-${id}`)?.classList.add(side);
};
/** @param {string | null} id */
const hold = (id) => {
  for (const one of document.querySelectorAll(".dragged")) one.classList.remove("dragged");
  document.documentElement.classList.toggle("dragging", !!id);
  if (id) document.getElementById(`b-${id}`)?.classList.add("dragged");
};

/** The block at a height of the window, the nearest one beyond the ends, and whether it is its upper half. @param {number} y @returns {Over | null} */
function under(y) {
  /** @type {Over | null} */
  let best = null;
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".sheet > .block[data-id]"))) {
    const { top, bottom } = element.getBoundingClientRect();
    const away = y < top ? top - y : y > bottom ? y - bottom : 0;
    if (!best || away < best.away) best = { away, id: element.dataset.id ?? "", before: y < (top + bottom) / 2 };
  }
  return best;
}

/** What a grip and an image need to be dragged by. speak: says something to screen readers. @param {Desk} desk @param {(words: string) => void} speak */
export function useDrag(desk, speak) {
  const held = useRef(/** @type {Held | null} */ (null));
  const [lifted, lift] = useState(/** @type {{id: string, at: number} | null} */ (null)); // by the keyboard
  const blocks = () => desk.shown?.blocks ?? [];
  const stop = () => {
    held.current = null;
    mark(null);
    hold(null);
  };
  const look = () => {
    const one = held.current;
    if (!one) return;
    const over = under(one.y);
    one.over = over;
    mark(over && over.id !== one.block.id ? over.id : null, over?.before ? "drop-before" : "drop-after");
  };
  const scroll = () => {
    if (!held.current?.on) return;
    const { y } = held.current;
    const by = y < EDGE + 110 ? -STEP : y > innerHeight - EDGE ? STEP : 0; // the two bars stand above
    if (by) {
      scrollBy(0, by);
      look();
    }
    requestAnimationFrame(scroll);
  };
  /** @param {PointerEvent} event @param {Block} block */
  const down = (event, block) => {
    if (event.button !== 0 || block.locked || held.current) return;
    /** @type {Element} */ (event.currentTarget).setPointerCapture(event.pointerId);
    held.current = { block, pointer: event.pointerId, x: event.clientX, y: event.clientY, on: false };
  };
  /** @param {PointerEvent} event */
  const move = (event) => {
    const one = held.current;
    if (!one || event.pointerId !== one.pointer) return;
    if (!one.on) {
      if (Math.hypot(event.clientX - one.x, event.clientY - one.y) < START) return;
      one.on = true;
      hold(one.block.id);
      requestAnimationFrame(scroll);
    }
    one.y = event.clientY;
    look();
  };
  /** @param {PointerEvent} event */
  const up = (event) => {
    const one = held.current;
    if (!one || event.pointerId !== one.pointer) return;
    stop();
    if (!one.on) return;
    /** @param {Event} click */
    const quiet = (click) => { click.stopPropagation(); click.preventDefault(); };
    addEventListener("click", quiet, { capture: true, once: true }); // letting go is no click
    setTimeout(() => removeEventListener("click", quiet, { capture: true }));
    const { over } = one;
    const target = over && blocks().find((block) => block.id === over.id);
    const edit = over && target && target.id !== one.block.id && landing(blocks(), one.block, target, over.before);
    if (edit) put(one.block, edit);
  };
  /** @param {Block} block @param {Edit} edit */
  const put = (block, edit) => {
    desk.edit([edit]);
    const now = blocks().find((one) => one.id === block.id);
    speak(t("drag-dropped", said(blocks(), now || block)));
  };
  useEffect(() => {
    /** @param {KeyboardEvent} event */
    const leave = (event) => {
      if (event.key !== "Escape" || !held.current?.on) return;
      event.preventDefault();
      stop();
      speak(t("drag-left"));
    };
    addEventListener("keydown", leave, { capture: true });
    return () => { removeEventListener("keydown", leave, { capture: true }); stop(); };
  }, []);

  /** @param {Block} block @param {number} at */
  const show = (block, at) => {
    const { all } = places(blocks(), block);
    const target = all[at];
    const first = blocks()[0].id;
    mark(target ? target.id : first, target ? "drop-after" : "drop-before");
    document.getElementById(`b-${target ? target.id : first}`)?.scrollIntoView({ block: "nearest" });
    const words = target?.type === "text" ? target.text.replace(/^#+\s*/, "").slice(0, 40) : "";
    speak(t(target ? "drag-over" : "drag-first", { n: at + 1, of: all.length, words }));
  };
  const release = () => { lift(null); mark(null); hold(null); };
  /** @param {KeyboardEvent} event @param {Block} block @param {string} name */
  const keys = (event, block, name) => {
    const at = lifted?.id === block.id ? lifted.at : null;
    const { all, now } = places(blocks(), block);
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      if (at === null) {
        lift({ id: block.id, at: now });
        hold(block.id);
        return speak(t("drag-lifted", { name }));
      }
      const after = all[at]?.id ?? null;
      release();
      if (at === now) return speak(t("drag-left"));
      put(block, block.type === "image" && after ? { do: "move_image", image: block.id, after } : { do: "move_block", block: block.id, after });
      // What moves in the page loses the focus.
      const grip = () => /** @type {HTMLElement | null} */ (document.querySelector(`#b-${CSS.escape(block.id)} > .grip`));
      requestAnimationFrame(() => requestAnimationFrame(() => grip()?.focus({ preventScroll: true })));
      return;
    }
    if (at === null) return;
    const by = STEPS[event.key];
    if (by) {
      event.preventDefault();
      const next = Math.min(all.length - 1, Math.max(0, at + by));
      lift({ id: block.id, at: next });
      show(block, next);
    } else if (event.key === "Escape" || event.key === "Tab") {
      if (event.key === "Escape") event.preventDefault();
      release();
      speak(t("drag-left"));
    }
  };
  /** @param {Block} block */
  const pointers = (block) => ({ onPointerDown: (/** @type {PointerEvent} */ e) => down(e, block), onPointerMove: move, onPointerUp: up, onPointerCancel: stop });
  return {
    lifted: lifted?.id ?? null,
    grip: (/** @type {Block} */ block, /** @type {string} */ name) => ({ ...pointers(block), onKeyDown: (/** @type {KeyboardEvent} */ e) => keys(e, block, name), onBlur: () => lifted?.id === block.id && release() }),
    image: (/** @type {Block} */ block) => ({ ...pointers(block), onPointerDown: (/** @type {PointerEvent} */ e) => e.pointerType === "mouse" && e.target instanceof Element && !e.target.closest(".grip") && down(e, block) }),
  };
}
