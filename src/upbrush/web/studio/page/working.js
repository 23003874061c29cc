/** Long work: its progress is shown, it can be stopped, and the knobs rest meanwhile. */
import { announce, complain } from "./telling.js";
import { say } from "./words.js";

const $ = (id) => document.getElementById(id);
let stopping = null; // of what is being painted now

/** Stop what is being painted, if anything is. */
export const stop = () => stopping?.abort();

/**
 * Do something long.
 *
 * @template T
 * @param {string} words key of what is told, with {percent}
 * @param {(watch: import("./server.js").Watch) => Promise<T>} run
 * @returns {Promise<T|null>} null where it was stopped or failed, which is told
 */
export async function work(words, run) {
  const mine = new AbortController();
  stopping = mine;
  const progress = (share) => {
    $("progress").value = share;
    $("doing").textContent = say(words, { percent: Math.round(100 * share) });
  };
  busy(say(words, { percent: 0 }));
  try {
    return await run({ signal: mine.signal, progress });
  } catch (error) {
    if (error.name === "AbortError") announce(say("stopped"));
    else complain(error);
    return null;
  } finally {
    stopping = null;
    busy(null);
  }
}

/** Show that something is being done, from now on or no longer. @param {string|null} words */
export function busy(words) {
  $("doing").textContent = words ?? "";
  $("progress").removeAttribute("value"); // until the first word of how far it is
  $("work").hidden = words === null;
  $("ready").hidden = words !== null;
  $("stop").hidden = stopping === null;
  for (const id of ["styles", "knobs", "out", "local"]) $(id).disabled = words !== null;
}
