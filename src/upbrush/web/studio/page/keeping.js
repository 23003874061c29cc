/**
 * A reload loses nothing: the picture, the knobs, and the job that paints it are kept for this tab.
 *
 * Only in this browser, and only while the tab is open: whichever page of the studio starts next throws away what is
 * left of tabs that were closed. A tab holds a lock by its name, so that this is known. Where a browser gives no locks
 * (pages of other machines, unencrypted) nothing is kept.
 */

const [DATABASE, TABS] = ["upbrush-tabs", "pictures"];
const [TAB, SETTINGS, JOB] = ["upbrush-tab", "upbrush-settings", "upbrush-job"];
const LOCK = "upbrush-tab-";

let tab = null;

/**
 * Become a tab that keeps things; gives what was kept before a reload.
 *
 * @returns {Promise<{file: File, settings: Object|null, job: string|null}|null>}
 */
export async function recall() {
  if (!navigator.locks || !globalThis.indexedDB) return null;
  const known = sessionStorage.getItem(TAB);
  if (!known || !(await held(known))) {
    // New, or a copy of a tab that is still open: it begins with nothing.
    for (const key of [SETTINGS, JOB]) sessionStorage.removeItem(key);
    tab = crypto.randomUUID();
    sessionStorage.setItem(TAB, tab);
    await held(tab);
  } else tab = known;
  await forgetClosed();
  const file = await stored("readonly", (pictures) => pictures.get(tab));
  const settings = JSON.parse(sessionStorage.getItem(SETTINGS) ?? "null");
  return file ? { file, settings, job: sessionStorage.getItem(JOB) } : null;
}

/** Hold a tab's lock for as long as the page lives. @returns {Promise<boolean>} whether nobody else does */
function held(name) {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(400); // a page that is being reloaded may still let go of it
    const forever = () => new Promise(() => resolve(true));
    navigator.locks.request(LOCK + name, { signal }, forever).catch(() => resolve(false));
  });
}

async function forgetClosed() {
  const open = new Set((await navigator.locks.query()).held.map(({ name }) => name));
  const keys = await stored("readonly", (pictures) => pictures.getAllKeys());
  for (const key of keys ?? []) {
    if (!open.has(LOCK + key)) await stored("readwrite", (pictures) => pictures.delete(key));
  }
}

/** @param {File} file */
export async function keepPicture(file) {
  if (tab) await stored("readwrite", (pictures) => pictures.put(file, tab));
}

/** @param {Object} settings */
export function keepSettings(settings) {
  if (tab) sessionStorage.setItem(SETTINGS, JSON.stringify(settings));
}

/** @param {string|null} id of the job that paints, null when it is done */
export function keepJob(id) {
  if (id && tab) sessionStorage.setItem(JOB, id);
  else sessionStorage.removeItem(JOB);
}

/** One step in the database; null where the browser keeps nothing, as in private windows or on a full disk. */
function stored(mode, act) {
  return new Promise((resolve) => {
    const opening = indexedDB.open(DATABASE, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(TABS);
    opening.onerror = () => resolve(null);
    opening.onsuccess = () => {
      const database = opening.result;
      const step = database.transaction(TABS, mode);
      const request = act(step.objectStore(TABS));
      const end = (value) => {
        database.close();
        resolve(value);
      };
      step.oncomplete = () => end(request.result);
      step.onabort = step.onerror = () => end(null);
    };
  });
}
