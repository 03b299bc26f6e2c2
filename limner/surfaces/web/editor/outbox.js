/**
 * Changes on their way to the server: one after the other, each under a key of its own, so that the server makes it once,
 * however often it is sent. One is made for what its author saw (`was`): where something else stands by now, both are
 * kept, side by side, for a person to decide. Nothing leaves the device before the server has it.
 */
import { Refused, get, key, post } from "../lib/api.js";
import { server, t } from "../lib/i18n.js";
import { howKept, keep } from "../lib/journal.js";
import { lineOf, say } from "../lib/ui.js";
import { applied, freshOf } from "./apply.js";
import { by, dirty, heldRow, placeOf, placed, rowOf, waiter, wakened } from "./changes.js";
import { met, same, seen, standing, trailTo, wordsOf } from "./seen.js";
/** @import { Edit, Revision } from "../types.js" */
/** @import { Draft, Held, Made, Op, Waiter } from "./changes.js" */

const AGAIN = 1500; // ms before a change that could not be sent is sent again; later ones wait longer
const LONGEST = 10_000; // ms
const LATER = new Set([0, 408, 429, 500, 502, 503, 504]); // statuses that say nothing against the change itself
export const tabs = new BroadcastChannel("limner-edited"); // one's own other tabs
let last = 0;

/** A number that is higher than any before, also than those of tabs that are gone. */
const next = () => (last = Math.max(last + 1, Date.now() * 1000));

/** The note on images that are outside their time: a person may place them all the same. @param {Revision} article */
const lateOf = (article) => article.notes.map((one) => (typeof one === "string" ? { code: "", params: {}, text: one } : one)).find((one) => one.code === "placed-outside-time");

export class Outbox {
  /** @param {string} job */
  constructor(job) {
    this.job = job;
    this.changed = () => {}; // called when anything here is different
    /** @type {Revision | null} */
    this.confirmed = null; // as the server has it
    /** @type {Revision | null} */
    this.shown = null; // with what is on its way
    /** @type {Op[]} */
    this.queue = [];
    /** @type {Map<string, Draft>} */
    this.drafts = new Map();
    /** @type {Held[]} */
    this.held = [];
    /** @type {Map<string, Waiter>} */
    this.waiters = new Map();
    this.made = { key: "", version: 0 }; // the change that was made last, and its version
    /** @type {Map<string, string>} */
    this.named = new Map(); // the ids that new texts had until the server named them, and its names
    /** @type {Map<string, string>} */
    this.authors = new Map(); // who changed a place that I did not
    this.me = ""; // the name that my changes go by
    this.waiting = false; // for the connection
    this.sending = ""; // the key of the change that is under way
    this.running = false;
    this.said = ""; // the state that was told last
  }

  /** @returns {"saved" | "saving" | "kept" | "offline" | "conflict" | "not"} */
  get state() {
    const typed = [...this.drafts.values()].some((draft) => dirty(draft));
    if ((typed || this.queue.length) && howKept() === "not") return this.waiting || typed ? "not" : "saving";
    if (this.held.length) return "conflict";
    if (this.waiting) return "offline";
    if (this.queue.length) return "saving";
    if (!typed) return "saved";
    return howKept() === "keeping" ? "saving" : "kept";
  }

  get path() {
    return { path: { job: this.job } };
  }

  /** Change something. @param {Edit[]} edits @param {Omit<Made, "edits">} [more] @returns {Op} */
  edit(edits, more = {}) {
    const near = edits.length === 1 && edits[0]?.do === "insert_text" ? edits[0].after : null;
    const was = more.was ?? (this.shown ? seen(this.shown, edits) : {});
    const trail = more.trail ?? (this.shown ? trailTo(this.shown, near) : []);
    return this.push({ path: "edits", edits, ...more, was, trail });
  }

  /** Wait until everything was sent. */
  async idle() {
    while (this.queue.length) await this.waiters.get(this.queue.at(-1)?.key ?? "")?.over;
  }

  /** Take a change back that was not sent yet. @param {string} one its key @returns {Op | null} */
  takeBack(one) {
    const at = this.queue.findIndex((op) => op.key === one);
    const op = this.queue[at];
    if (!op || this.sending === one) return null;
    this.queue.splice(at, 1);
    keep({ [rowOf(this.job, op)]: undefined });
    this.settle(op, null);
    this.show();
    return op;
  }

  /** Keep words until somebody decides. @param {Held} one */
  hold(one) {
    this.held.push(one);
    keep({ [heldRow(this.job, one)]: one, [rowOf(this.job, one.op)]: undefined });
    this.show();
  }

  /** @param {Revision} revision */
  take(revision) {
    if (this.confirmed && revision.version !== this.made.version) {
      const now = new Map(revision.blocks.map((block) => [block.id, JSON.stringify(block)]));
      for (const block of this.confirmed.blocks) if (now.get(block.id) !== JSON.stringify(block)) this.authors.set(block.id, revision.who);
    }
    this.confirmed = revision;
    this.show();
  }

  show() {
    if (!this.confirmed) return;
    this.shown = this.queue.reduce((now, op) => (op.edits ? applied(now, placed(now, op), op, op.hint) : now), this.confirmed);
    this.said = this.state;
    this.changed();
  }

  /** Show another state, if it is one. */
  told() {
    if (this.state === this.said) return;
    this.said = this.state;
    this.changed();
  }

  /** @param {Omit<Op, "key" | "order">} made @param {string[]} settled rows that it takes the place of @returns {Op} */
  push(made, ...settled) {
    const op = { ...made, key: key(), order: next() };
    this.waiters.set(op.key, waiter());
    this.queue.push(op);
    const gone = Object.fromEntries(settled.map((row) => [row, undefined]));
    if (op.edits) keep({ ...gone, [rowOf(this.job, op)]: op });
    this.show();
    this.run();
    return op;
  }

  async run() {
    if (this.running || !this.confirmed) return;
    this.running = true;
    let tries = 0;
    while (this.queue[0]) {
      const how = await this.send(this.queue[0], this.confirmed);
      if (how === "stop") break;
      if (how === "again") await wakened(Math.min(AGAIN * 1.3 ** tries++, LONGEST), this.waiting);
      else tries = 0;
    }
    this.running = false;
  }

  /** @param {Op} op @param {Revision} head @returns {Promise<"sent" | "again" | "stop">} */
  async send(op, head) {
    const edits = placed(head, op);
    const meeting = met(head, edits, op.was ?? {});
    if (meeting) return this.meet(op, meeting, "");
    const body = { version: head.version, edits, merge: true, what: op.what || null, typing: op.typing ?? false, by: op.by ?? "person" };
    this.sending = op.key;
    try {
      const options = { ...this.path, headers: { "Idempotency-Key": op.key } };
      const made = op.path === "edits" ? await post("/v1/jobs/{job}/edits", body, options)
        : op.path === "go" ? await post("/v1/jobs/{job}/go", { version: head.version, to: op.to ?? 1 }, this.path)
        : await post(`/v1/jobs/{job}/${op.path}`, { version: head.version }, this.path);
      this.end(op, made);
      return "sent";
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return this.refused(op, error);
    } finally {
      this.sending = "";
    }
  }

  /** @param {Op} op @param {Revision} made */
  end(op, made) {
    this.waiting = false;
    const before = new Set(this.confirmed?.blocks.map((block) => block.id));
    this.queue.shift();
    keep({ [rowOf(this.job, op)]: undefined });
    this.made = { key: op.key, version: made.version };
    this.follow(op, made, before);
    const late = lateOf(made);
    if (late && !(this.confirmed && lateOf(this.confirmed))) say(server(late.text, late));
    this.take(made);
    this.settle(op, made);
    tabs.postMessage({ job: this.job });
  }

  /** What was made after a change, for what that left there: the server may have worded or cut it otherwise. @param {Op} op @param {Revision} made @param {Set<string>} before ids */
  follow(op, made, before) {
    for (const edit of op.edits ?? []) {
      const place = edit.do === "set_text" ? edit.block : "";
      const now = place && standing(made, place);
      if (edit.do !== "set_text" || !now) continue;
      for (const one of this.queue) if (one.was?.[place] === same(edit.text)) one.was[place] = now;
      const draft = this.drafts.get(place);
      if (draft && draft.was === same(edit.text)) draft.was = now;
    }
    const [edit] = op.edits ?? [];
    if (edit?.do !== "insert_text") return;
    const fresh = made.blocks.filter((block) => block.type === "text" && !before.has(block.id)).at(-1);
    if (!fresh) return;
    this.named.set(freshOf(op), fresh.id);
    for (const one of [...this.queue, ...this.drafts.values()]) one.trail = one.trail?.map((id) => (id === freshOf(op) ? fresh.id : id)) ?? [];
  }

  /** A change that was not made. @param {Op} op @param {Refused} error @returns {Promise<"sent" | "again" | "stop">} */
  async refused(op, error) {
    if (error.status === 401) return "stop"; // it waits on this device for a token
    if (LATER.has(error.status)) {
      this.waiting = true;
      this.show();
      return "again";
    }
    this.waiting = false;
    const head = await get("/v1/jobs/{job}/revision", this.path).catch(() => null);
    if (error.status === 409 && error.problem.head) {
      if (!head) return "again";
      const moved = head.version !== this.confirmed?.version;
      this.take(head);
      if (!op.edits) this.drop(op, t("undo-moved"));
      else if (moved) {
        const meeting = met(head, placed(head, op), op.was ?? {});
        if (meeting) this.meet(op, meeting, by(error.problem.conflicts, meeting.place));
        return "sent"; // or once more, for what stands there now
      }
      return "sent";
    }
    if (head) this.take(head);
    if (op.edits && wordsOf(op.edits)) this.lay(op, { place: placeOf(op), gone: false, who: "", line: lineOf(error) });
    else this.drop(op, lineOf(error));
    return "sent";
  }

  /** Something else stands where a change was made for. @param {Op} op @param {{place: string, gone: boolean}} meeting @param {string} known who did that, where the server said it @returns {"sent"} */
  meet(op, { place, gone }, known) {
    const who = known || this.authors.get(place.split(".")[0] ?? "") || "";
    const [edit] = op.edits ?? [];
    const words = op.edits && (wordsOf(op.edits) || op.by === "model");
    if (words) this.lay(op, { place, gone, who, line: "" });
    else if (gone && (edit?.do === "delete_block" || edit?.do === "remove_image")) this.drop(op, "");
    else {
      const whose = !who ? t("met-elsewhere") : who === this.me ? t("met-own-tab") : t("met-other", { who });
      this.drop(op, whose, { name: t("met-anyway"), run: () => op.edits && this.edit(op.edits, { hint: op.hint, what: op.what, by: op.by }) });
    }
    return "sent";
  }

  /** Out of the queue, to wait for a decision. @param {Op} op @param {Omit<Held, "key" | "op">} how */
  lay(op, how) {
    this.queue = this.queue.filter((one) => one !== op);
    this.hold({ key: op.key, op, ...how });
    this.settle(op, null);
  }

  /** Out of the queue for good; it has no words of anybody's. @param {Op} op @param {string} why @param {{name: string, run: () => unknown}} [action] */
  drop(op, why, action) {
    this.queue = this.queue.filter((one) => one !== op);
    keep({ [rowOf(this.job, op)]: undefined });
    if (why) say(why, true, action);
    this.settle(op, null);
    this.show();
  }

  /** @param {Op} op @param {Revision | null} revision */
  settle(op, revision) {
    this.waiters.get(op.key)?.done(revision);
    this.waiters.delete(op.key);
  }
}
