/** Two texts word by word: what stayed, what was added, what was taken away. */

const MOST = 3000; // words of a side; beyond it the two are shown whole
const SHARED = 0.35; // of the letters; below it what is shared are stray words that make neither text readable

/** @typedef {"same" | "added" | "removed"} Op */
/** @typedef {[Op, string]} Step */

/** @param {string} text @returns {string[]} words, spaces and marks, in the order of the text; joined they are the text. */
export function tokens(text) {
  const segmenter = new Intl.Segmenter(undefined, { granularity: "word" });
  return Array.from(segmenter.segment(text), (part) => part.segment);
}

/** @param {string} before @param {string} after @returns {{op: Op, text: string}[]} */
export function compare(before, after) {
  const a = tokens(before), b = tokens(after);
  let start = 0, end = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const left = a.slice(start, a.length - end), right = b.slice(start, b.length - end);
  /** @type {Step[]} */
  const middle = left.length > MOST || right.length > MOST
    ? [["removed", left.join("")], ["added", right.join("")]]
    : between(left, right);
  const steps = joined([["same", a.slice(0, start).join("")], ...middle, ["same", end ? a.slice(-end).join("") : ""]]);
  const shared = steps.filter((one) => one.op === "same").reduce((sum, one) => sum + one.text.trim().length, 0);
  if (shared >= SHARED * Math.max(before.length, after.length)) return steps;
  return joined([["removed", before], ["added", after]]);
}

/** The longest common subsequence, as steps. @param {string[]} a @param {string[]} b @returns {Step[]} */
function between(a, b) {
  const width = b.length + 1;
  const longest = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      longest[i * width + j] = a[i] === b[j]
        ? longest[(i + 1) * width + j + 1] + 1
        : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
    }
  }
  /** @type {Step[]} */
  const steps = [];
  let i = 0, j = 0;
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) { steps.push(["same", a[i]]); i++; j++; }
    else if (longest[(i + 1) * width + j] >= longest[i * width + j + 1]) steps.push(["removed", a[i++]]);
    else steps.push(["added", b[j++]]);
  }
  for (const word of a.slice(i)) steps.push(["removed", word]);
  for (const word of b.slice(j)) steps.push(["added", word]);
  return steps;
}

/** Neighbours of one kind in one. @param {Step[]} steps */
function joined(steps) {
  /** @type {{op: Op, text: string}[]} */
  const out = [];
  for (const [op, text] of steps) {
    if (!text) continue;
    const last = out.at(-1);
    if (last?.op === op) last.text += text;
    else out.push({ op, text });
  }
  return out;
}
