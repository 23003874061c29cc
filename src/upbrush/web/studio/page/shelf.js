/** The styles to choose from, and the mix that is chosen: none, one, or several with a share each. */
import { fill } from "./sliding.js";
import { artistOf, say } from "./words.js";

const $ = (id) => document.getElementById(id);
const SEEDS = 1_000_000; // a number that people can read to each other

export class Shelf {
  /** @param {() => void} changed called when the mix is another @param {(name: string) => void} remove */
  constructor(changed, remove) {
    [this.changed, this.remove] = [changed, remove];
    this.styles = [];
    /** @type {{name: string, weight: number}[]} */
    this.mix = [];
    $("none").onclick = () => this.choose(null);
    $("dice").onclick = () => this.choose(`random:${Math.floor(Math.random() * SEEDS)}`);
    $("several").onchange = () => this.severalChanged();
    $("find").oninput = () => this.draw();
    $("shelf").onkeydown = (event) => this.walk(event);
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
    if (name.startsWith("random:")) return say("random_title", { seed: name.slice("random:".length) });
    return titleOf(this.styles.find((style) => style.name === name) ?? { name });
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

  /** Have this mix again. @param {{name: string, weight: number}[]} mix */
  take(mix) {
    this.mix = mix;
    $("several").checked = mix.length > 1;
    this.show(this.styles);
    this.tiles.find(({ tabIndex }) => tabIndex === 0)?.scrollIntoView({ block: "nearest", inline: "nearest" });
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
    this.drawTiles(chosen);
    this.drawMix();
    const one = this.mix.length === 1 && this.styles.find(({ name }) => name === this.mix[0].name);
    const random = this.mix.length === 1 && this.mix[0].name.startsWith("random:") ? this.mix[0].name : "";
    $("about").textContent = one ? one.artist || one.licence : random;
  }

  /** The tiles; made anew only where they are others, so that nothing flickers and the focus stays. */
  drawTiles(chosen) {
    const wanted = $("find").value.trim().toLowerCase();
    const found = this.styles.filter((style) =>
      `${style.name} ${style.title} ${style.artist} ${titleOf(style)}`.toLowerCase().includes(wanted),
    );
    const sorted = [...found.filter((style) => style.own), ...found.filter((style) => !style.own)];
    const drawn = sorted.map((style) => `${style.name} ${titleOf(style)}`).join("\n");
    if (drawn !== this.drawn) $("shelf").replaceChildren(...sorted.map((style) => this.tile(style)));
    this.drawn = drawn;
    for (const button of this.tiles) button.setAttribute("aria-pressed", String(chosen.has(button.dataset.name)));
    this.stop(this.tiles.find((button) => chosen.has(button.dataset.name)) ?? this.tiles[0]);
    $("nothing-found").hidden = sorted.length > 0 || !wanted;
    $("nothing-found").textContent = say("nothing_found", { wanted });
  }

  get tiles() {
    return [...$("shelf").querySelectorAll(".style")];
  }

  /** The one tile that Tab stops at; arrows go to the others. */
  stop(tile) {
    for (const button of this.tiles) button.tabIndex = button === tile ? 0 : -1;
  }

  /** Arrows, Home and End within the shelf. @param {KeyboardEvent} event */
  walk(event) {
    const { tiles } = this;
    const at = tiles.indexOf(document.activeElement);
    if (at < 0) return;
    const top = (tile) => tile.getBoundingClientRect().top;
    const across = Math.max(1, tiles.filter((tile) => Math.abs(top(tile) - top(tiles[0])) < 2).length);
    const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across, Home: -at, End: tiles.length };
    if (!(event.key in moves)) return;
    event.preventDefault();
    const next = tiles[Math.min(tiles.length - 1, Math.max(0, at + moves[event.key]))];
    this.stop(next);
    next.focus();
  }

  drawMix() {
    const parts = this.mix.length > 1 ? this.mix : [];
    const drawn = parts.map(({ name }) => this.titleOf(name)).join("\n");
    if (drawn !== this.drawnMix) $("mix").replaceChildren(...parts.map((part) => this.part(part)));
    this.drawnMix = drawn;
  }

  tile(style) {
    const button = tileOf(titleOf(style), style.preview);
    button.dataset.name = style.name;
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
    value.setAttribute("aria-live", "off"); // the slider says it
    const tell = () => {
      const sum = this.mix.reduce((total, { weight }) => total + weight, 0);
      for (const [at, output] of [...$("mix").querySelectorAll("output")].entries()) {
        output.textContent = `${Math.round((100 * this.mix[at].weight) / sum)} %`;
      }
    };
    fill(slider);
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

/** What a style is called on the page: the library's by its artist. @param {Object} style */
export function titleOf({ name, title, own, artist }) {
  return own && title ? title : artistOf(name, artist);
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
