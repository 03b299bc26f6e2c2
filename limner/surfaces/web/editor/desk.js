/**
 * The article on the desk: what is shown, what the server has confirmed, and what is still on its way there.
 *
 * Changes go out one after the other, each for the version the one before it made. Without a connection they wait,
 * also through a reload of the page; when somebody else was faster, a person decides.
 */
import { at, get, post } from "../lib/api.js";
import { t } from "../lib/i18n.js";
import { lineOf, say } from "../lib/ui.js";
import { applied, hasAll } from "./apply.js";

const AGAIN = 1500; // ms before a change that could not be sent is sent again
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Desk {
  /** @param {string} job @param {() => void} changed called when anything here is different */
  constructor(job, changed) {
    this.job = job;
    this.changed = changed;
    this.confirmed = null; // as the server has it
    this.shown = null; // with what is on its way
    this.queue = [];
    this.waiting = false; // for the connection
    this.conflict = null; // {edits, head, changed, conflicts, decide}
    this.running = false;
    this.kept = `limner-unsent-${job}`;
  }

  get state() {
    if (this.conflict) return "conflict";
    return this.waiting ? "offline" : this.queue.length ? "saving" : "saved";
  }

  /** Fetch the article; what a reload left unsent is sent now. Raises Refused. */
  async load() {
    const unsent = JSON.parse(sessionStorage.getItem(this.kept) || "[]");
    this.take(await get(at(this.job, "revision")));
    if (unsent.length && !this.queue.length) {
      for (const { edits, version } of unsent) this.push({ path: "edits", edits, version, tried: true });
    }
  }

  /** Look whether somebody else changed it, if nothing of ours is on its way. */
  async refresh() {
    if (this.queue.length) return;
    const found = await get(at(this.job, "revision")).catch(() => null);
    if (found && !this.queue.length && found.version !== this.confirmed?.version) this.take(found);
  }

  /** Change something. Resolves with the revision, or null where it came to nothing (which was said). */
  edit(edits, { hint, what, typing, by } = {}) {
    return this.push({ path: "edits", edits, hint, what, typing, by });
  }

  undo() {
    return this.shown.can_undo || this.queue.length ? this.push({ path: "undo" }) : null;
  }

  redo() {
    return this.shown.can_redo ? this.push({ path: "redo" }) : null;
  }

  goTo(to) {
    return this.push({ path: "go", to });
  }

  /** What a model would do about a wish; nothing is changed. Raises Refused. */
  async propose(wish, signal) {
    await this.idle();
    return post(at(this.job, "proposals"), { version: this.confirmed.version, wish }, { signal });
  }

  /** Wait until everything was sent. */
  async idle() {
    while (this.queue.length) await this.queue.at(-1).over;
  }

  // -- inside

  take(revision) {
    this.confirmed = revision;
    this.show();
  }

  show() {
    this.shown = this.queue.reduce((now, op) => (op.edits ? applied(now, op.edits, op.hint) : now), this.confirmed);
    this.keep();
    this.changed();
  }

  keep() {
    const edits = this.queue.filter((op) => op.edits).map((op, n) => ({ edits: op.edits, version: op.version ?? (n ? null : this.confirmed.version) }));
    if (edits.length) sessionStorage.setItem(this.kept, JSON.stringify(edits));
    else sessionStorage.removeItem(this.kept);
  }

  push(op) {
    op.over = new Promise((resolve) => { op.done = resolve; });
    this.queue.push(op);
    this.show();
    this.run();
    return op.over;
  }

  async run() {
    if (this.running) return;
    this.running = true;
    while (this.queue.length) await this.send(this.queue[0]);
    this.running = false;
  }

  async send(op) {
    const body = { version: op.version ?? this.confirmed.version };
    if (op.edits) Object.assign(body, { edits: op.edits, merge: op.merge ?? false }, op.what && { what: op.what }, op.typing && { typing: true }, op.by && { by: op.by });
    if (op.to) body.to = op.to;
    try {
      const revision = await post(at(this.job, op.path), body);
      this.end(op, revision);
    } catch (error) {
      if (error.status === 0 || error.status === 503) {
        op.tried = true;
        this.waiting = true;
        this.changed();
        await pause(AGAIN);
      } else if (error.status === 409 && error.problem.head) await this.settle(op, error);
      else {
        say(lineOf(error), true);
        for (const lost of this.queue.slice(1)) lost.done(null); // they were made for what did not come about
        this.queue.length = 1;
        await this.drop(op);
      }
    }
  }

  end(op, revision) {
    this.waiting = false;
    this.queue.shift();
    if (revision) this.take(revision);
    else this.show();
    op.done(revision);
  }

  /** Give a change up and show the article as the server has it. */
  async drop(op) {
    const found = await get(at(this.job, "revision")).catch(() => this.confirmed);
    this.end(op, found);
  }

  /** Somebody else was faster: what now? */
  async settle(op, error) {
    this.waiting = false;
    const head = await get(at(this.job, "revision")).catch(() => null);
    if (!head) return pause(AGAIN);
    if (op.edits && op.tried && hasAll(head, op.edits)) return this.end(op, head);
    if (!op.edits) {
      say(t("conflict-undo"), true);
      return this.end(op, head);
    }
    const { changed = [], conflicts = [] } = error.problem;
    const choice = await new Promise((decide) => {
      this.conflict = { edits: op.edits, before: this.confirmed, head, changed, conflicts, decide, tried: op.merge };
      this.changed();
    });
    this.conflict = null;
    if (choice === "merge") op.merge = true;
    else if (choice === "mine") {
      Object.assign(op, { version: undefined, merge: false });
      this.confirmed = head;
      this.show();
    } else {
      for (const lost of this.queue.slice(1)) lost.done(null);
      this.queue.length = 1;
      this.end(op, head);
    }
  }
}
