/** Before and after, on top of each other: a divider, zoom and pan down to single pixels. */
import { say } from "./words.js";

const [STEP, MOST, PIXELS] = [1.35, 32, 4]; // from so many times full resolution on pixels are shown as squares
const $ = (id) => document.getElementById(id);

export class Viewer {
  constructor() {
    [this.view, this.compare] = [$("view"), $("compare")];
    [this.width, this.height, this.full] = [1, 1, 1];
    [this.x, this.y, this.zoom] = [0, 0, 1];
    this.pointers = new Map();
    new ResizeObserver(() => this.fit(this.zoom <= 1)).observe(this.view);
    this.compare.addEventListener("slide", () => this.tellDivider());
    this.view.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.view.addEventListener("keydown", (event) => this.key(event), { capture: true });
    this.view.addEventListener("dblclick", (event) => this.doubleClick(event));
    for (const name of ["pointerdown", "pointermove", "pointerup", "pointercancel"]) {
      this.view.addEventListener(name, (event) => this[name](event), { capture: true });
    }
    $("zoom-in").onclick = () => this.zoomBy(STEP);
    $("zoom-out").onclick = () => this.zoomBy(1 / STEP);
    $("zoom-fit").onclick = () => this.fit(true);
    $("zoom-full").onclick = () => this.zoomTo(this.fullZoom());
  }

  /** Show a picture as it was. @param {string} url @param {number} width @param {number} height */
  before(url, width, height, name) {
    $("before").src = url;
    $("before").alt = say("before_alt", { name });
    [this.width, this.height] = [width, height];
    this.full = width;
    this.view.hidden = false;
    this.after(url, width, "", "");
    this.fit(true);
  }

  /** Show a painting. @param {string} url @param {number} full its width in pixels @param {string} words of the tag */
  async after(url, full, words, alt) {
    const image = new Image();
    image.src = url;
    await image.decode().catch(() => null); // so that nothing flickers
    const shown = $("after");
    shown.src = url;
    shown.alt = alt;
    this.full = full;
    $("shown").textContent = words;
    this.view.classList.remove("fading");
    this.place();
  }

  /** What is shown is being painted anew. */
  fade() {
    this.view.classList.add("fading");
  }

  /** Lay a map over the painting, or take it away. @param {string|null} url */
  overlay(url) {
    $("overlay").hidden = url === null;
    if (url === null) $("overlay").removeAttribute("src");
    else $("overlay").src = url;
  }

  /** How much larger than fitting one pixel of the painting is one of the screen. */
  fullZoom() {
    return this.full / (this.fitWidth * devicePixelRatio);
  }

  fit(reset) {
    const [across, down] = [this.view.clientWidth, this.view.clientHeight];
    if (!across || !down) return;
    const share = Math.min(across / this.width, down / this.height);
    [this.fitWidth, this.fitHeight] = [this.width * share, this.height * share];
    this.view.style.setProperty("--stage-height", `${down}px`);
    this.view.style.setProperty("--sheet-width", `${this.fitWidth}px`);
    this.view.style.setProperty("--sheet-height", `${this.fitHeight}px`);
    if (reset) this.zoom = 1;
    this.place();
  }

  /** Keep the picture in view, and draw it where it is. */
  place() {
    const hold = (at, size, room) => (size <= room ? (room - size) / 2 : Math.min(0, Math.max(room - size, at)));
    this.x = hold(this.x, this.fitWidth * this.zoom, this.view.clientWidth);
    this.y = hold(this.y, this.fitHeight * this.zoom, this.view.clientHeight);
    const { style, classList } = this.view;
    style.setProperty("--x", `${this.x}px`);
    style.setProperty("--y", `${this.y}px`);
    style.setProperty("--zoom", this.zoom);
    classList.toggle("closer", this.zoom > 1);
    classList.toggle("pixels", this.zoom > Math.max(1, PIXELS * this.fullZoom()));
    this.compare.handle = this.zoom > 1; // closer, the picture is moved by dragging, and the divider by its handle
    $("zoom-now").textContent = `${Math.round((100 * this.zoom) / this.fullZoom())} %`;
  }

  /** @param {number} zoom 1 fits @param {[number, number]} [at] a place of the stage that stays where it is */
  zoomTo(zoom, at = [this.view.clientWidth / 2, this.view.clientHeight / 2]) {
    const wanted = Math.min(Math.max(1, zoom), Math.max(1, MOST * this.fullZoom()));
    this.x = at[0] - ((at[0] - this.x) * wanted) / this.zoom;
    this.y = at[1] - ((at[1] - this.y) * wanted) / this.zoom;
    this.zoom = wanted;
    this.place();
  }

  zoomBy(factor, at) {
    this.zoomTo(this.zoom * factor, at);
  }

  moveBy(x, y) {
    this.x += x;
    this.y += y;
    this.place();
  }

  tellDivider() {
    const percent = Math.round(this.compare.value);
    this.compare.setAttribute("aria-valuenow", percent);
    this.compare.setAttribute("aria-valuetext", say("percent_before", { percent }));
  }

  within(event) {
    const box = this.view.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  wheel(event) {
    if (event.target.closest(".bar, #legend")) return;
    event.preventDefault();
    this.zoomBy(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.002)), this.within(event));
  }

  doubleClick(event) {
    if (event.target.closest(".bar, #legend, .handle")) return;
    if (this.zoom > 1) this.fit(true);
    else this.zoomTo(Math.max(this.fullZoom(), 2), this.within(event));
  }

  key(event) {
    if (event.target.closest(".bar") || event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
    const zooms = { "+": STEP, "=": STEP, "-": 1 / STEP };
    if (event.key in zooms) this.zoomBy(zooms[event.key]);
    else if (event.key === "0") this.fit(true);
    else if (event.key === "1") this.zoomTo(this.fullZoom());
    else if (event.shiftKey && event.key in moves) this.moveBy(...moves[event.key]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  pointerdown(event) {
    if (event.target.closest(".bar, #legend, .handle")) return;
    this.pointers.set(event.pointerId, this.within(event));
    if (this.pointers.size === 2 || this.zoom > 1) this.view.classList.add("moving");
  }

  pointermove(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = this.within(event);
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const apart = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]);
      this.zoomBy(apart(now) / Math.max(1, apart(before)), [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
    } else if (this.zoom > 1) this.moveBy(now[0] - before[0], now[1] - before[1]);
    this.pointers.set(event.pointerId, now);
  }

  pointerup(event) {
    this.pointers.delete(event.pointerId);
    if (!this.pointers.size) this.view.classList.remove("moving");
  }

  pointercancel(event) {
    this.pointerup(event);
  }
}
