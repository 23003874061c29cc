/** What is on the easel: one picture, its small copies, and the live preview of it. */

import { filmed, framesOf, isClip, still } from "./clips.js";

export const PREVIEW_PX = 128;
const [FINE_LEAST_PX, FINE_MOST_PX] = [160, 512];
const [FINE_MS, REST_MS] = [1100, 320]; // what a finer preview may take, and how long nothing must have changed

export class Easel {
  /**
   * @param {(order: {file: Blob, pixels: number}, signal: AbortSignal) => Promise<{blob: Blob}>} paint
   * @param {(blob: Blob, fine: boolean, milliseconds: number) => void} show
   * @param {(error: Error) => void} fail
   */
  constructor(paint, show, fail) {
    [this.paint, this.show, this.fail] = [paint, show, fail];
    [this.file, this.width, this.height, this.frames, this.clip] = [null, 0, 0, 1, false];
    [this.busy, this.again, this.version] = [false, false, 0];
    this.copies = new Map();
    this.perPixel = null; // milliseconds, as the last preview took
    this.timer = 0;
  }

  /**
   * Put a picture up, or a clip by one frame of it. Throws what the browser throws for a file that it cannot show.
   *
   * @param {File} file @param {boolean} films whether who paints takes clips, too
   */
  async put(file, films = false) {
    const { bitmap, frames } = isClip(file) && films ? await filmed(file) : await this.pictured(file);
    this.frames = frames;
    this.clip = films && (isClip(file) || frames > 1);
    this.bitmap?.close();
    [this.file, this.bitmap, this.width, this.height] = [file, bitmap, bitmap.width, bitmap.height];
    this.copies.clear();
    this.version += 1;
  }

  async pictured(file) {
    return { bitmap: await createImageBitmap(file), frames: await framesOf(file) };
  }

  /** What is shown as it was: the file, or the frame of a clip. @returns {Promise<Blob>} */
  async shown() {
    return isClip(this.file) ? still(this.bitmap) : this.file;
  }

  /**
   * A small copy, made once: sliders send this, not the whole picture; and the format its painting is to come in.
   *
   * @param {number} px of the long side
   */
  copy(px) {
    if (!this.copies.has(px)) this.copies.set(px, this.reduced(px));
    return this.copies.get(px);
  }

  async reduced(px) {
    const share = Math.min(1, px / Math.max(this.width, this.height));
    // Even, so that a picture of two eyes can be halved.
    const even = (side) => (share < 1 ? Math.max(2, 2 * Math.round((side * share) / 2)) : side);
    const [width, height] = [even(this.width), even(this.height)];
    const canvas = new OffscreenCanvas(width, height);
    const how = { resizeWidth: width, resizeHeight: height, resizeQuality: "high" };
    const context = canvas.getContext("2d");
    context.drawImage(await createImageBitmap(this.bitmap, how), 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    let clear = false;
    for (let at = 3; at < data.length && !clear; at += 4) clear = data[at] < 255;
    const file = await canvas.convertToBlob({ type: "image/png" });
    return { file, pixels: width * height, format: clear ? "png" : "jpeg" }; // packing a PNG would be waited for
  }

  /** Paint a preview of what is asked now: small at once, finer when nothing changes for a while. */
  refresh() {
    this.version += 1;
    this.fine?.abort();
    clearTimeout(this.timer);
    this.again = true;
    return this.busy ? null : this.follow();
  }

  /** No preview is wanted any more. */
  rest() {
    this.version += 1;
    this.again = false;
    this.fine?.abort();
    clearTimeout(this.timer);
  }

  /** One preview at a time; of those that were asked for meanwhile only the last is painted. */
  async follow() {
    this.busy = true;
    while (this.again && this.file) {
      this.again = false;
      const { version } = this;
      await this.painted(PREVIEW_PX, version, false, new AbortController().signal);
    }
    this.busy = false;
    this.timer = setTimeout(() => this.finer(), REST_MS);
  }

  async finer() {
    const px = Math.floor(Math.sqrt(FINE_MS / (this.perPixel ?? Infinity)));
    const side = Math.min(FINE_MOST_PX, Math.max(FINE_LEAST_PX, px - (px % 32)));
    if (!this.file || Math.max(this.width, this.height) <= PREVIEW_PX) return;
    this.fine = new AbortController();
    await this.painted(side, this.version, true, this.fine.signal);
  }

  async painted(px, version, fine, signal) {
    try {
      const copy = await this.copy(px);
      const start = performance.now();
      const { blob } = await this.paint(copy, signal);
      const took = performance.now() - start;
      // One that had to wait for something else tells little of how fast it is here.
      if (!fine) this.perPixel = Math.min(took / copy.pixels, 1.3 * (this.perPixel ?? Infinity));
      const whole = fine || Math.max(this.width, this.height) <= px;
      if (version === this.version || (!fine && this.again)) this.show(blob, whole, took);
    } catch (error) {
      if (error.name !== "AbortError" && version === this.version) this.fail(error);
    }
  }
}
