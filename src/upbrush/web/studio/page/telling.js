/** What is said to the person: aloud for screen readers, and in a box above the picture for what needs attention. */
import { say } from "./words.js";

const $ = (id) => document.getElementById(id);
let unanswered = false; // is it told that the server does not answer?

/** Say something that needs no answer. @param {string} words */
export function announce(words) {
  $("status").textContent = words;
}

/** Tell what went wrong, until it is closed or a picture is taken. @param {Error|string} error */
export function complain(error) {
  const unheard = error instanceof TypeError && !$("local").checked; // what fetch throws
  tell(unheard ? say("no_server") : (error.message ?? error), false);
  unanswered = unheard;
  $("view").classList.remove("fading");
}

/** The server has answered: what was told of its silence is over. */
export function answered() {
  if (unanswered) settle();
}

/** Tell something that is good to know, in the same place. @param {string} words */
export const remark = (words) => tell(words, true);

/** Nothing needs attention any more. */
export function settle() {
  unanswered = false;
  $("alert").hidden = true;
}

function tell(words, mild) {
  $("alert-words").textContent = words;
  $("alert").classList.toggle("mild", mild);
  $("alert").hidden = false;
}
