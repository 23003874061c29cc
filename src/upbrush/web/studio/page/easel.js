/** What is on the easel: one picture, its small copies, and the live preview of it. */

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
    [this.file, this.width, this.height] = [null, 0, 0];
    [this.busy, this.again, this.version] = [false, false, 0];
    this.copies = new Map();
    this.perPixel = null; // milliseconds, as the last preview took
    this.timer = 0;
  }

  /** Put a picture up. Throws what the browser throws for a file that it cannot show. @param {File} file */
  async put(file) {
    const bitmap = await createImageBitmap(file);
    this.bitmap?.close();
    [this.file, this.bitmap, this.width, this.height] = [file, bitmap, bitmap.width, bitmap.height];
    this.copies.clear();
    this.version += 1;
  }

  /** A small copy, made once: sliders send this, not the whole picture. @param {number} px of the long side */
  copy(px) {
    if (!this.copies.has(px)) this.copies.set(px, this.reduced(px));
    return this.copies.get(px);
  }

  async reduced(px) {
    const share = Math.min(1, px / Math.max(this.width, this.height));
    const [width, height] = [this.width, this.height].map((side) => Math.max(1, Math.round(side * share)));
    const canvas = new OffscreenCanvas(width, height);
    const how = { resizeWidth: width, resizeHeight: height, resizeQuality: "high" };
    canvas.getContext("2d").drawImage(await createImageBitmap(this.bitmap, how), 0, 0);
    return { file: await canvas.convertToBlob({ type: "image/png" }), pixels: width * height };
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
      if (!fine) this.perPixel = took / copy.pixels;
      const whole = fine || Math.max(this.width, this.height) <= px;
      if (version === this.version || (!fine && this.again)) this.show(blob, whole, took);
    } catch (error) {
      if (error.name !== "AbortError" && version === this.version) this.fail(error);
    }
  }
}
