/** The styles to choose from, and the mix that is chosen: none, one, or several with a share each. */
import { say } from "./words.js";

const $ = (id) => document.getElementById(id);
const MOST_SEED = 2 ** 32;

export class Shelf {
  /** @param {() => void} changed called when the mix is another @param {(name: string) => void} remove */
  constructor(changed, remove) {
    [this.changed, this.remove] = [changed, remove];
    this.styles = [];
    /** @type {{name: string, weight: number}[]} */
    this.mix = [];
    $("none").onclick = () => this.choose(null);
    $("dice").onclick = () => this.choose(`random:${Math.floor(Math.random() * MOST_SEED)}`);
    $("several").onchange = () => this.severalChanged();
    $("find").oninput = () => this.draw();
  }

  /** @param {Object[]} styles of a painter */
  show(styles) {
    this.styles = styles;
    const known = new Set(styles.map((style) => style.name));
    this.mix = this.mix.filter(({ name }) => known.has(name) || name.startsWith("random:"));
    this.draw();
  }

  /** The words for what is chosen, or null for restoring. @returns {string|null} */
  get words() {
    if (!this.mix.length) return null;
    if (this.mix.length === 1) return this.mix[0].name;
    return this.mix.map(({ name, weight }) => `${name}:${weight / 100}`).join(",");
  }

  /** What is chosen, for people. */
  get title() {
    return this.mix.map(({ name }) => this.titleOf(name)).join(" + ") || say("restored");
  }

  /** Names of one's own styles. @returns {Set<string>} */
  get own() {
    return new Set(this.styles.filter((style) => style.own).map((style) => style.name));
  }

  titleOf(name) {
    return name.startsWith("random:") ? name : titleOf(this.styles.find((style) => style.name === name) ?? { name });
  }

  /** Take a style, or with "blend several" add it or leave it out. @param {string|null} name null restores */
  choose(name) {
    const at = this.mix.findIndex((part) => part.name === name);
    if (name === null) this.mix = [];
    else if (!$("several").checked) this.mix = at === 0 && this.mix.length === 1 ? [] : [{ name, weight: 100 }];
    else if (at >= 0) this.mix.splice(at, 1);
    else this.mix.push({ name, weight: this.mix.length ? 50 : 100 });
    this.draw();
    this.changed();
  }

  severalChanged() {
    if (!$("several").checked && this.mix.length > 1) {
      this.mix = [this.mix.reduce((most, part) => (part.weight > most.weight ? part : most))];
      this.changed();
    }
    this.draw();
  }

  draw() {
    const chosen = new Set(this.mix.map(({ name }) => name));
    $("none").setAttribute("aria-pressed", String(!this.mix.length));
    $("dice").setAttribute("aria-pressed", String([...chosen].some((name) => name.startsWith("random:"))));
    const wanted = $("find").value.trim().toLowerCase();
    const found = this.styles.filter(({ name, title, artist }) =>
      `${name} ${title} ${artist}`.toLowerCase().includes(wanted),
    );
    const sorted = [...found.filter((style) => style.own), ...found.filter((style) => !style.own)];
    const focused = document.activeElement?.dataset?.name;
    $("shelf").replaceChildren(...sorted.map((style) => this.tile(style, chosen.has(style.name))));
    if (focused)
      $("shelf")
        .querySelector(`[data-name="${CSS.escape(focused)}"]`)
        ?.focus();
    $("mix").replaceChildren(...(this.mix.length > 1 ? this.mix.map((part) => this.part(part)) : []));
    const one = this.mix.length === 1 && this.styles.find(({ name }) => name === this.mix[0].name);
    const random = this.mix.length === 1 && this.mix[0].name.startsWith("random:") ? this.mix[0].name : "";
    $("about").textContent = one ? [one.artist, one.licence].filter(Boolean).join(" · ") : random;
  }

  tile(style, pressed) {
    const button = tileOf(titleOf(style), style.preview);
    button.dataset.name = style.name;
    button.setAttribute("aria-pressed", String(pressed));
    button.onclick = () => this.choose(style.name);
    if (!style.own) return button;
    const [owned, remove] = [document.createElement("div"), document.createElement("button")];
    owned.className = "owned";
    remove.type = "button";
    remove.className = "remove";
    remove.textContent = "×";
    remove.setAttribute("aria-label", say("remove", { name: titleOf(style) }));
    remove.onclick = () => this.remove(style.name);
    owned.append(button, remove);
    return owned;
  }

  /** A slider for one style's share. */
  part(part) {
    const row = document.createElement("div");
    row.className = "part";
    const name = this.titleOf(part.name);
    const [label, slider, value, remove] = ["span", "input", "output", "button"].map((tag) =>
      document.createElement(tag),
    );
    [label.textContent, label.title] = [name, name];
    Object.assign(slider, { type: "range", min: 5, max: 100, value: part.weight });
    slider.setAttribute("aria-label", say("weight", { name }));
    const tell = () => {
      const sum = this.mix.reduce((total, { weight }) => total + weight, 0);
      for (const [at, output] of [...$("mix").querySelectorAll("output")].entries()) {
        output.textContent = `${Math.round((100 * this.mix[at].weight) / sum)} %`;
      }
    };
    slider.oninput = () => {
      part.weight = Number(slider.value);
      tell();
      this.changed();
    };
    [remove.type, remove.textContent] = ["button", "×"];
    remove.setAttribute("aria-label", say("remove", { name }));
    remove.onclick = () => this.choose(part.name);
    row.append(label, slider, value, remove);
    queueMicrotask(tell);
    return row;
  }
}

/** What a style is called on the page: the library's van-gogh is Van Gogh. @param {Object} style */
export function titleOf({ name, title, own }) {
  if (own && title) return title;
  return name.replace(/(^|-)(\p{L})/gu, (_, gap, letter) => (gap && " ") + letter.toUpperCase());
}

/** A button with a picture and a name. @param {string} title @param {string|null} picture an address */
export function tileOf(title, picture) {
  const [button, words] = [document.createElement("button"), document.createElement("span")];
  button.type = "button";
  button.className = "style";
  words.textContent = title;
  const face = document.createElement(picture ? "img" : "span");
  if (picture) Object.assign(face, { src: picture, alt: "", loading: "lazy", decoding: "async" });
  else face.className = "face";
  button.append(face, words);
  return button;
}
