/** The page's texts, in the language of the reader. */

const LANGUAGES = ["en", "zh"];
const KEPT = "upbrush-language";

let words = {};

/** The language to begin with: the one chosen before, else the browser's. @returns {string} */
export function firstLanguage() {
  const wanted = [localStorage.getItem(KEPT), ...navigator.languages.map((tag) => tag.slice(0, 2))];
  return wanted.find((tag) => LANGUAGES.includes(tag)) ?? "en";
}

/** Take a language up, and retell the page in it. @param {string} language */
export async function speak(language) {
  const answer = await fetch(new URL(`../words/${language}.json`, import.meta.url));
  words = await answer.json();
  document.documentElement.lang = language === "zh" ? "zh-Hans" : language;
  retell();
}

/** Keep the choice of a language. @param {string} language */
export const keepLanguage = (language) => localStorage.setItem(KEPT, language);

/** A text with its values put in. @param {string} key @param {Record<string, string|number>} [values] */
export function say(key, values = {}) {
  return (words[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** Put the texts into everything that names one: as content, as a name, as a hint. */
function retell() {
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = say(element.dataset.word);
  for (const element of document.querySelectorAll("[data-title]")) {
    element.title = say(element.dataset.title);
    element.setAttribute("aria-label", element.title);
  }
  for (const element of document.querySelectorAll("[data-hint]")) element.placeholder = say(element.dataset.hint);
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", say(element.dataset.label));
  }
}
