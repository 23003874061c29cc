/** The page's texts, in the language of the reader. */

const LANGUAGES = ["en", "zh"];
const KEPT = "upbrush-language";

let [words, artists] = [{}, {}];

/** The language to begin with: the one chosen before, else the browser's. @returns {string} */
export function firstLanguage() {
  const wanted = [localStorage.getItem(KEPT), ...navigator.languages.map((tag) => tag.slice(0, 2))];
  return wanted.find((tag) => LANGUAGES.includes(tag)) ?? "en";
}

const read = async (name) => (await fetch(new URL(`../words/${name}.json`, import.meta.url))).json();

/** Take a language up, and retell the page in it. @param {string} language */
export async function speak(language) {
  [words, artists] = await Promise.all([read(language), language === "zh" ? read("artists-zh") : {}]);
  document.documentElement.lang = language === "zh" ? "zh-Hans" : language;
  retell();
}

/** Keep the choice of a language. @param {string} language */
export const keepLanguage = (language) => localStorage.setItem(KEPT, language);

/** A text with its values put in. @param {string} key @param {Record<string, string|number>} [values] */
export function say(key, values = {}) {
  return (words[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/**
 * What a style of the library is called on the page: durer is Dürer, as its artist writes it, and 丢勒 in Chinese.
 *
 * @param {string} name @param {string} [artist] as "Albrecht Dürer (1471–1528)"
 */
export function artistOf(name, artist = "") {
  if (artists[name]) return artists[name];
  const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
  const parts = artist.replace(/\s*\(.*/, "").split(" ");
  const count = name.split("-").length;
  for (let at = 0; at + count <= parts.length; at++) {
    const found = parts.slice(at, at + count).join(" ");
    if (plain(found) === name.replaceAll("-", " ")) return found[0].toUpperCase() + found.slice(1);
  }
  return name.replace(/(^|-)(\p{L})/gu, (_, gap, letter) => (gap && " ") + letter.toUpperCase());
}

/** So many seconds, as people say them: rounded, and in the unit that fits. @param {number} seconds */
export function sayTime(seconds) {
  const [unit, size] = seconds < 90 ? ["seconds", 1] : seconds < 5400 ? ["minutes", 60] : ["hours", 3600];
  const count = seconds / size;
  return say(unit, { count: Math.max(1, count < 20 ? Math.round(count) : 5 * Math.round(count / 5)) });
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
