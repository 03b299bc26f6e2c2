/**
 * What was typed and is not on the server yet, kept on this device (IndexedDB): it outlives a reload, a crash of the tab
 * or of the browser, and a server that is away.
 *
 * Every tab has a name, and its rows carry it. The rows of a tab that is gone go to a tab that is there: each tab holds
 * a lock of its name, and who has waited for that lock knows that its holder ended. Without locks (a page that came over
 * plain HTTP from another machine) rows that nobody wrote to for a minute are taken over when a tab is opened.
 */
import { key } from "./api.js";

/** @typedef {{tab: string, name: string, value: unknown, at: number}} Row */

const STORE = "kept";
const TAB = "limner-tab";
const RELOADED = 1500; // ms that a page waits for the name of the page that it was before a reload
const SILENT = 60_000; // ms without a write after which a tab counts as gone, where there are no locks

/** @type {IDBDatabase | null} */
let database = null;
let tab = "";
/** What this tab keeps, as it should be on the device. @type {Map<string, unknown>} */
const rows = new Map();
let writing = 0; // transactions under way
let failed = false; // the last one that ended

/** Open the journal; to be awaited before anything is shown. */
export async function openJournal() {
  tab = await named();
  database = await opened().catch(() => null);
  if (!database) return;
  const all = await everything(database);
  for (const row of all) if (row.tab === tab) rows.set(row.name, row.value);
  const others = new Set(all.filter((row) => row.tab !== tab).map((row) => row.tab));
  const silent = (/** @type {string} */ other) => all.every((row) => row.tab !== other || row.at < Date.now() - SILENT);
  if (navigator.locks) {
    const { held = [] } = await navigator.locks.query();
    const alive = new Set(held.map((lock) => lock.name));
    for (const other of others) {
      if (!alive.has(lockOf(other))) await adopt(other);
      else navigator.locks.request(lockOf(other), () => adopt(other));
    }
  } else for (const other of others) if (silent(other)) await adopt(other);
}

/** @param {string} name */
const lockOf = (name) => `${TAB}-${name}`;

/** The name of this tab: the one from before a reload, unless it is a copy of a tab that goes on. */
async function named() {
  const before = sessionStorage.getItem(TAB);
  const name = before && (await hold(before)) ? before : key();
  if (name !== before) await hold(name);
  sessionStorage.setItem(TAB, name);
  return name;
}

/** Hold the lock of a name as long as this page is there; false where another page has it. @param {string} name @returns {Promise<boolean>} */
function hold(name) {
  if (!navigator.locks) return Promise.resolve(true);
  return new Promise((resolve) => {
    const waited = AbortSignal.timeout(RELOADED);
    const held = navigator.locks.request(lockOf(name), { signal: waited }, () => {
      resolve(true);
      return new Promise(() => {});
    });
    held.catch(() => resolve(false));
  });
}

/** @returns {Promise<IDBDatabase>} */
function opened() {
  return new Promise((resolve, reject) => {
    const asked = indexedDB.open("limner", 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore(STORE, { keyPath: ["tab", "name"] });
    asked.onsuccess = () => {
      asked.result.onversionchange = () => asked.result.close();
      asked.result.onclose = () => { database = null; };
      resolve(asked.result);
    };
    asked.onerror = () => reject(asked.error);
  });
}

/** @param {IDBDatabase} from @returns {Promise<Row[]>} */
function everything(from) {
  return new Promise((resolve, reject) => {
    const asked = from.transaction(STORE).objectStore(STORE).getAll();
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}

/** Take over the rows of a tab that is gone. What has a name that this tab uses itself stays for later. @param {string} other */
async function adopt(other) {
  if (!database) return;
  const theirs = (await everything(database)).filter((row) => row.tab === other && !rows.has(row.name));
  if (!theirs.length) return;
  for (const { name, value } of theirs) rows.set(name, value);
  await written((store) => {
    for (const { name, value } of theirs) {
      store.delete([other, name]);
      store.put({ tab, name, value, at: Date.now() });
    }
  });
  dispatchEvent(new Event("limner-adopted"));
}

/** Write in one transaction; whether it is on the device afterwards. @param {(store: IDBObjectStore) => void} write @returns {Promise<boolean>} */
function written(write) {
  writing++;
  return new Promise((/** @type {(well: boolean) => void} */ resolve) => {
    if (!database) return resolve(false);
    try {
      const transaction = database.transaction(STORE, "readwrite");
      transaction.oncomplete = () => resolve(true);
      transaction.onabort = () => resolve(false);
      write(transaction.objectStore(STORE));
      transaction.commit(); // nothing of it waits for this page any more, which may be gone in the next moment
    } catch { // closed under our hands, or the disk is full
      resolve(false);
    }
  }).then((well) => {
    writing--;
    failed = !well;
    dispatchEvent(new Event("limner-kept"));
    return well;
  });
}

/**
 * Keep values under names, all of them or none; undefined lets go of one.
 * @param {Record<string, unknown>} changes
 * @returns {Promise<boolean>} whether they are on the device
 */
export function keep(changes) {
  const at = Date.now();
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) rows.delete(name);
    else rows.set(name, value);
  }
  return written((store) => {
    for (const [name, value] of Object.entries(changes)) {
      if (value === undefined) store.delete([tab, name]);
      else store.put({ tab, name, value: JSON.parse(JSON.stringify(value)), at });
    }
  });
}

/** What is kept under a name. @param {string} name @returns {unknown} */
export const kept = (name) => rows.get(name);

/** Everything whose name begins so, in the order of the names. @param {string} prefix @returns {[string, unknown][]} */
export const allKept = (prefix) => [...rows].filter(([name]) => name.startsWith(prefix)).sort(([a], [b]) => (a < b ? -1 : 1));

/** "kept": all of it is on the device; "keeping": on its way there; "not": it is only in this page. */
export const howKept = () => (writing ? "keeping" : failed || !database ? "not" : "kept");
