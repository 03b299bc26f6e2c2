/**
 * The article on the desk: what is shown, what the server has confirmed, and what is still on its way there.
 *
 * Nothing that was typed is ever only here. What is being typed (a draft), what waits to be sent (a change) and what
 * waits for a decision (a change that somebody else was faster than) is kept on this device until the server has it.
 */
import { get, key, post } from "../lib/api.js";
import { t } from "../lib/i18n.js";
import { allKept, howKept, keep } from "../lib/journal.js";
import { say } from "../lib/ui.js";
import { freshOf } from "./apply.js";
import { dirty, editFor, heldRow, rowsOf, waiter } from "./changes.js";
import { Outbox, tabs } from "./outbox.js";
import { same, seen, trailTo, wordsOf } from "./seen.js";
/** @import { Proposal, Instruction } from "../types.js" */
/** @import { Draft, Held, Op } from "./changes.js" */

const PAUSE = 1000; // ms without a key before what is typed is sent
const MOST = 5000; // ms that it waits for such a pause
/** @type {Map<string, Desk>} */
const desks = new Map();
/** The desk of a job: one a tab, which goes on sending when another page is shown. @param {string} job */
export function deskOf(job) {
  const known = desks.get(job);
  if (known) return known;
  const made = new Desk(job);
  desks.set(job, made);
  return made;
}

addEventListener("beforeunload", (event) => {
  if (howKept() === "not" && [...desks.values()].some((desk) => desk.state !== "saved")) event.preventDefault();
});
addEventListener("limner-kept", () => { for (const desk of desks.values()) desk.told(); });
addEventListener("limner-adopted", () => { for (const desk of desks.values()) desk.restore(); });
tabs.addEventListener("message", ({ data }) => { desks.get(data.job)?.refresh(); });
export class Desk extends Outbox {
  /** @param {string} job */
  constructor(job) {
    super(job);
    /** @type {Map<string, {timer: number, since: number}>} */
    this.timers = new Map();
    /** @type {Map<string, Proposal>} */
    this.proposals = new Map(); // those closed without a decision
  }

  /** Fetch the article; what is kept of it on this device is sent now. Raises Refused. */
  async load() {
    const [revision, me] = await Promise.all([get("/v1/jobs/{job}/revision", this.path), get("/v1/me", {})]);
    this.me = me.who;
    this.take(revision);
    this.restore();
  }

  /** Look whether somebody else changed it, if nothing of ours is on its way. */
  async refresh() {
    if (this.queue.length || !this.confirmed) return;
    const found = await get("/v1/jobs/{job}/revision", this.path).catch(() => null);
    if (found && !this.queue.length && found.version !== this.confirmed.version) this.take(found);
  }

  // -- what is being typed

  /** Something is typed at a place. was: what stood there when that began. @param {string} place @param {string} text @param {string} was @param {string | null} [after] of new text */
  type(place, text, was, after) {
    const known = this.drafts.get(place);
    const near = place.startsWith("new:") ? after ?? null : place;
    const draft = known ?? { place, text, was: same(was), sent: same(was), trail: this.shown ? trailTo(this.shown, near) : [] };
    draft.text = text;
    this.drafts.set(place, draft);
    keep({ [this.draftRow(place)]: dirty(draft) ? draft : undefined });
    this.told();
    if (place.startsWith("new:") || place.includes(".") || place === "title") return; // sent when they are left
    const { timer, since } = this.timers.get(place) ?? { timer: 0, since: Date.now() };
    clearTimeout(timer);
    const wait = Math.max(0, Math.min(PAUSE, since + MOST - Date.now()));
    this.timers.set(place, { since, timer: setTimeout(() => this.flush(draft, false), wait) });
  }

  /** It is typed no more: what is not sent yet is sent. @param {string} place @returns {Op | null} */
  leave(place) {
    const draft = this.drafts.get(place);
    if (!draft) return null;
    const op = this.flush(draft, true);
    this.drafts.delete(place);
    if (!op) keep({ [this.draftRow(place)]: undefined });
    this.told();
    return op;
  }

  /**
   * Cut what is typed at a place in two: the first part is sent, the rest goes on being typed as new text after it. Gives
   * that text's name and what it stands after.
   * @param {string} place @param {string} first @param {string} rest @param {string} was @param {string | null} after of new text
   */
  cut(place, first, rest, was, after) {
    const id = key();
    const near = place.startsWith("new:") ? after : place;
    if (rest) this.type(`new:${id}`, rest, "", near); // first, so that no crash falls between
    this.type(place, first, was, after);
    const op = this.leave(place);
    const stands = place.startsWith("new:") ? (op && freshOf(op)) ?? after : place;
    const draft = this.drafts.get(`new:${id}`);
    if (draft && this.shown) {
      draft.trail = trailTo(this.shown, stands);
      keep({ [this.draftRow(draft.place)]: draft });
    }
    return { id, after: stands };
  }

  /** What is typed as new text is not wanted: it stands elsewhere by now. @param {string} place */
  forget(place) {
    this.drafts.delete(place);
    keep({ [this.draftRow(place)]: undefined });
    this.told();
  }

  /** Send what is typed so far. @param {Draft} draft @param {boolean} leaving @returns {Op | null} */
  flush(draft, leaving) {
    clearTimeout(this.timers.get(draft.place)?.timer);
    this.timers.delete(draft.place);
    if (!dirty(draft)) return null;
    const { text, was, place, trail } = draft;
    const waits = this.held.find((one) => one.place === place);
    if (waits) {
      if (text.trim()) this.reword(waits, text);
      return null;
    }
    if (!leaving && (!text.trim() || /\n\s*\n/.test(text))) return null; // several blocks: cut when it is left, not under the hands
    const edit = editFor(place, text, trail);
    if (!edit) return null;
    draft.sent = draft.was = same(text);
    return this.push({ path: "edits", edits: [edit], was: place.startsWith("new:") ? {} : { [place]: was }, trail, typing: edit.do === "set_text", name: place.startsWith("new:") ? place.slice(4) : undefined }, this.draftRow(place));
  }

  /** @param {string} place */
  draftRow(place) {
    return `${rowsOf(this.job)}draft/${place}`;
  }

  // -- changes

  /** Go back one step; what somebody else did last is not undone unasked. @param {boolean} [anyway] @returns {void} */
  undo(anyway = false) {
    if (!this.confirmed || !(this.confirmed.can_undo || this.queue.length)) return;
    const { who } = this.confirmed;
    if (!anyway && !this.queue.length && this.me && who !== this.me) return say(t("undo-others", { who }), true, { name: t("undo-anyway"), run: () => this.undo(true) });
    this.push({ path: "undo" });
  }

  redo() {
    if (this.shown?.can_redo) this.push({ path: "redo" });
  }

  /** Undo one change, if nothing came after it. @param {Op} op */
  async undoOf(op) {
    if (this.takeBack(op.key)) return;
    await this.waiters.get(op.key)?.over;
    if (this.made.key === op.key && !this.queue.length && this.confirmed?.version === this.made.version) this.push({ path: "undo" });
    else say(t("undo-late"), true);
  }

  /** What a model would do about an instruction; nothing is changed. Raises Refused. @param {Instruction} instruction @param {AbortSignal} signal */
  async propose(instruction, signal) {
    await this.idle();
    const asked = `${this.confirmed?.version}${JSON.stringify(instruction)}`;
    const found = this.proposals.get(asked) ?? await post("/v1/jobs/{job}/proposals", { version: this.confirmed?.version ?? 1, instruction }, { ...this.path, signal });
    this.proposals.set(asked, found);
    return found;
  }

  // -- what somebody else was faster with

  /** Words that wait for a decision go on being typed. @param {Held} one @param {string} text */
  reword(one, text) {
    const edit = editFor(one.place, text, one.op.trail ?? []);
    if (edit) one.op.edits = [edit];
    keep({ [heldRow(this.job, one)]: one, [this.draftRow(one.place)]: undefined });
    const draft = this.drafts.get(one.place);
    if (draft) draft.sent = same(text);
    this.show();
  }

  /** Decide. mine: mine stands there; both: mine as a text of its own after it; theirs: mine is dropped, which can be undone. @param {Held} one @param {"mine" | "both" | "theirs"} how */
  decide(one, how) {
    this.held = this.held.filter((other) => other !== one);
    const { op, place } = one;
    const gone = { [heldRow(this.job, one)]: undefined, [this.draftRow(place)]: undefined };
    this.drafts.delete(place);
    if (how === "theirs") {
      keep(gone);
      say(t("held-dropped"), false, { name: t("undo"), run: () => this.hold(one) });
      return this.show();
    }
    const text = wordsOf(op.edits ?? []);
    const anew = how === "both" || (one.gone && text !== "");
    const edits = anew ? [{ do: /** @type {const} */ ("insert_text"), after: null, text }] : op.edits ?? [];
    const trail = anew && !one.gone && this.confirmed ? trailTo(this.confirmed, place) : op.trail ?? [];
    this.push({ path: "edits", edits, by: op.by, what: op.what, trail, was: anew || !this.confirmed ? {} : seen(this.confirmed, edits) }, ...Object.keys(gone));
  }

  // -- inside

  /** Put back what is kept on this device from before. */
  restore() {
    if (!this.confirmed) return;
    const rows = rowsOf(this.job);
    const there = new Set([...this.queue.map((op) => op.key), ...this.held.map((one) => one.key)]);
    let found = 0;
    for (const [, value] of allKept(`${rows}held/`)) {
      const one = /** @type {Held} */ (value);
      if (there.has(one.key)) continue;
      this.held.push(one);
      found++;
    }
    for (const [, value] of allKept(`${rows}op/`)) {
      const op = /** @type {Op} */ (value);
      if (there.has(op.key)) continue;
      this.waiters.set(op.key, waiter());
      this.queue.push(op);
      found++;
    }
    for (const [row, value] of allKept(`${rows}draft/`)) {
      const draft = /** @type {Draft} */ (value);
      if (this.drafts.has(draft.place)) continue; // being typed here
      if (this.flush(draft, draft.text.trim() !== "")) found++;
      else keep({ [row]: undefined });
    }
    if (found) say(t("kept-restored"));
    this.show();
    this.run();
  }
}
