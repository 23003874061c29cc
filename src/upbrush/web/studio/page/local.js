/** Painting in this browser, by a worker; answers the same calls as `Server`. The browser keeps one's own styles. */
import { UpbrushError } from "../engine/errors.js";

const KEPT = "upbrush-styles";
const PREVIEW_PX = 128;
const QUALITY = 95;
const LIMITS = { pixels: 40_000_000, result_pixels: 160_000_000 }; // what a page's memory holds

export class Local {
  constructor(worker, about) {
    this.worker = worker;
    this.about = { limits: LIMITS, ...about };
    this.place = "browser";
  }

  /** Start the worker and open the model. @returns {Promise<Local>} */
  static async open() {
    const worker = new Calls(new Worker(new URL("../engine/worker.js", import.meta.url), { type: "module" }));
    const folder = new URL("../model/", import.meta.url);
    const about = await worker.call("open", { folder: folder.href, gpu: true });
    const local = new Local(worker, about);
    local.library = (await (await fetch(new URL("model.json", folder))).json()).styles;
    await worker.call("keep", { own: kept(about.identity) });
    return local;
  }

  /** The library, then one's own. */
  async styles() {
    const shown = (style, own) => ({ ...style, own, preview: style.preview && pictureUrl(style.preview) });
    return [
      ...this.library.map((one) => shown(one, false)),
      ...kept(this.about.identity).map((one) => shown(one, true)),
    ];
  }

  /** Make a style of pictures, or keep a .style file. @param {File[]} files @param {string} title */
  async addStyle(files, title) {
    const file = files.find((one) => one.name.endsWith(".style"));
    const made = file ? await this.readStyle(file) : await this.makeStyle(files, title);
    const taken = new Set([...this.library, ...kept(this.about.identity)].map((one) => one.name));
    const stem = made.title.toLowerCase().replace(/[\s_,:/\\]+/g, "-");
    let name = stem;
    for (let number = 2; taken.has(name); number++) name = `${stem}-${number}`;
    const style = { artist: "", source: "", licence: "", ...made, name, model: this.about.identity };
    await this.keep([...kept(), style]);
    return { ...style, own: true, preview: style.preview && pictureUrl(style.preview) };
  }

  async makeStyle(files, title) {
    const code = await this.worker.call("encode", { files });
    return {
      title,
      code,
      source: files
        .map((file) => file.name)
        .join(", ")
        .slice(0, 300),
      preview: await small(files[0]),
    };
  }

  async readStyle(file) {
    const fields = JSON.parse(await file.text().catch(() => "{}"));
    if (fields.format !== "upbrush-style" || fields.model !== this.about.identity) {
      throw new UpbrushError(
        "StyleError",
        `${file.name}: is no style file of model ${this.about.identity}; make it again`,
      );
    }
    const { name: title, code, mods, artist, source, licence, preview } = fields;
    return { title, code, mods, artist, source, licence, preview };
  }

  /** @param {string} name */
  async removeStyle(name) {
    await this.keep(kept().filter((style) => style.name !== name));
  }

  async keep(all) {
    localStorage.setItem(KEPT, JSON.stringify(all));
    await this.worker.call("keep", { own: kept(this.about.identity) });
  }

  /** The .style file of a style. @param {string} name @returns {Promise<Blob>} */
  async styleFile(name) {
    const { title, model, artist, source, licence, code, mods, preview } = kept().find((style) => style.name === name);
    const words = { model, name: title, artist, source, licence };
    const fields = { format: "upbrush-style", version: mods ? 2 : 1, ...words, code, mods, preview };
    return new Blob([`${JSON.stringify(fields, null, 1)}\n`], { type: "application/json" });
  }

  /** @param {import("./server.js").Order} order @param {import("./server.js").Watch} [watch] */
  async paint({ file, format, ...knobs }, watch = {}) {
    return this.worker.call("paint", { file, knobs, format, quality: QUALITY }, watch);
  }

  /** The map of what was invented. */
  async invented({ file, ...knobs }, watch = {}) {
    return this.worker.call("invented", { file, knobs }, watch);
  }
}

/** One's own styles, of one model or of all. */
function kept(model) {
  const all = JSON.parse(localStorage.getItem(KEPT) ?? "[]");
  return model ? all.filter((style) => style.model === model) : all;
}

/** An address for a picture in base64, whichever of the three kinds it is. */
function pictureUrl(text) {
  const kind = text.startsWith("iVBOR") ? "png" : text.startsWith("/9j/") ? "jpeg" : "webp";
  return `data:image/${kind};base64,${text}`;
}

/** The middle of a picture, small, in base64. @param {Blob} file */
async function small(file) {
  const bitmap = await createImageBitmap(file);
  const side = Math.min(bitmap.width, bitmap.height);
  const canvas = new OffscreenCanvas(PREVIEW_PX, PREVIEW_PX);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  const [left, top] = [(bitmap.width - side) / 2, (bitmap.height - side) / 2];
  context.drawImage(bitmap, left, top, side, side, 0, 0, PREVIEW_PX, PREVIEW_PX);
  const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.85 });
  return btoa(String.fromCharCode(...new Uint8Array(await blob.arrayBuffer())));
}

/** A worker's calls as promises. */
class Calls {
  constructor(worker) {
    [this.worker, this.waiting, this.last] = [worker, new Map(), 0];
    worker.onmessage = ({ data }) => this.heard(data);
    worker.onerror = (event) => {
      for (const { reject } of this.waiting.values()) reject(new UpbrushError("Error", event.message));
    };
  }

  heard({ id, done, total, answer, error }) {
    const order = this.waiting.get(id);
    if (!order) return;
    if (total !== undefined) return void order.progress?.(done / total);
    this.waiting.delete(id);
    if (error?.name === "AbortError" || error?.type === "AbortError")
      order.reject(new DOMException("stopped", "AbortError"));
    else if (error) order.reject(new UpbrushError(error.type, error.message));
    else order.resolve(answer);
  }

  call(name, words, { signal, progress } = {}) {
    const id = ++this.last;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject, progress });
      signal?.addEventListener("abort", () => {
        this.worker.postMessage({ id, stop: true });
        this.waiting.delete(id);
        reject(new DOMException("stopped", "AbortError"));
      });
      this.worker.postMessage({ id, call: name, words });
    });
  }
}
