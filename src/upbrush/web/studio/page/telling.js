/** What is said to the person: aloud for screen readers, and in a box for what went wrong. */
import { say } from "./words.js";

const $ = (id) => document.getElementById(id);

/** Say something that needs no answer. @param {string} words */
export function announce(words) {
  $("status").textContent = words;
}

/** Tell what went wrong, until it is closed or a picture is taken. @param {Error|string} error */
export function complain(error) {
  const unheard = error instanceof TypeError && !$("local").checked; // what fetch throws
  $("alert-words").textContent = unheard ? say("no_server") : (error.message ?? error);
  $("alert").hidden = false;
  $("view").classList.remove("fading");
}
