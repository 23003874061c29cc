/** Long work: its progress is shown, it can be stopped, and the knobs rest meanwhile. */
import { announce, complain } from "./telling.js";
import { say, sayTime } from "./words.js";

const $ = (id) => document.getElementById(id);
const SURE = 0.04; // from this share on what is left is judged by what has been done
let stopping = null; // of what is being painted now

/** Stop what is being painted, if anything is. */
export const stop = () => stopping?.abort();

/**
 * Do something long.
 *
 * @template T
 * @param {string} words key of what is told, with {percent}
 * @param {number} seconds that it may take, 0 where nobody knows
 * @param {(watch: import("./server.js").Watch) => Promise<T>} run
 * @returns {Promise<T|null>} null where it was stopped or failed, which is told
 */
export async function work(words, seconds, run) {
  const mine = new AbortController();
  stopping = mine;
  let [done, first] = [0, null]; // how far it is; how far it was when that was first told, and when
  let guess = { seconds, at: performance.now() }; // what was left when that was last judged
  const tell = () => {
    const left = guess.seconds - (performance.now() - guess.at) / 1000;
    const told = say(words, { percent: Math.round(100 * done) });
    $("doing").textContent = left > 1 && done < 1 ? say("left", { words: told, time: sayTime(left) }) : told;
  };
  const progress = (share) => {
    const at = performance.now();
    first ??= { share, at };
    if (share > done && share - first.share > SURE) {
      guess = { seconds: ((at - first.at) * (1 - share)) / (share - first.share) / 1000, at };
    }
    done = share;
    if (share > 0) $("progress").value = share;
  };
  busy(say(words, { percent: 0 }));
  tell();
  const timer = setInterval(tell, 1000);
  $("stop").focus();
  try {
    return await run({ signal: mine.signal, progress });
  } catch (error) {
    if (error.name === "AbortError") announce(say("stopped"));
    else complain(error);
    return null;
  } finally {
    clearInterval(timer);
    stopping = null;
    busy(null);
  }
}

/** Show that something is being done, from now on or no longer. @param {string|null} words */
export function busy(words) {
  $("doing").textContent = words ?? "";
  $("progress").removeAttribute("value"); // until the first word of how far it is
  $("work").hidden = words === null;
  $("ready").hidden = $("sizes").hidden = words !== null;
  $("stop").hidden = stopping === null;
  for (const id of ["styles", "knobs", "out", "local", "another", "again", "invented"]) {
    $(id).disabled = words !== null;
  }
}
