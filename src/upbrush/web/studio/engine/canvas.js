/** The picture while it is being painted: `canvas.py` in JavaScript. Takes rendered tiles, gives the exact size. */
import { fromUnit, likeOf, stopOf } from "./pixels.js";
import { resizedFloats } from "./resample.js";

const LANCZOS_PX = 3;
const STRIPE_ROWS = 128;
const WAITING = 65535; // rows that wait are kept at 16 bits

/** A picture being painted at `high` size that comes out at `target` size by one Lanczos resampling. */
export class Canvas {
  /**
   * @param {[number, number]} high height, width
   * @param {[number, number]} target height, width, no larger
   * @param {number} channels 1 or 3
   * @param {Uint8Array|Uint16Array} like an array of the kind that comes out
   * @param {boolean} [wrap] the right edge meets the left one, in resampling too
   */
  constructor(high, target, channels, like, wrap = false) {
    [this.high, this.target, this.channels] = [high, target, channels];
    this.done = likeOf(like, target[0] * target[1] * channels);
    this.stop = stopOf(this.done);
    this.direct = high[0] === target[0] && high[1] === target[1];
    this.bandTop = 0;
    this.bandRows = 0;
    this.band = new Uint16Array(0);
    this.rowsDone = 0;
    this.roundPx = wrap ? Math.ceil((LANCZOS_PX * high[1]) / target[1]) + 1 : 0;
  }

  /**
   * Take a tile, in reading order.
   *
   * @param {import("./tiles.js").Box} box of the high picture
   * @param {Float32Array} values rows of `stride` pixels, of which the box starts at (top, left); 1 is white
   */
  put(box, values, stride, top, left) {
    const [into, rowLength, stop, offset] = this.direct
      ? [this.done, this.target[1], this.stop, 0]
      : [this.widened(box), this.high[1], WAITING, this.bandTop];
    const count = (box.right - box.left) * this.channels;
    for (let y = box.top; y < box.bottom; y++) {
      let to = ((y - offset) * rowLength + box.left) * this.channels;
      let from = ((top + y - box.top) * stride + left) * this.channels;
      for (const end = to + count; to < end;) into[to++] = fromUnit(values[from++], stop);
    }
    if (!this.direct && box.right === this.high[1]) this.resampleRows(box.bottom);
  }

  widened(box) {
    if (box.left === 0) {
      this.bandRows += box.bottom - box.top;
      const band = new Uint16Array(this.bandRows * this.high[1] * this.channels);
      band.set(this.band);
      this.band = band;
    }
    return this.band;
  }

  /** Finish every row whose neighbourhood has been rendered, and let go of the rows that no other needs. */
  resampleRows(rowsRendered) {
    const height = this.target[0];
    const factor = this.high[0] / height;
    const reach = LANCZOS_PX * factor + 1;
    let ready = height;
    if (rowsRendered < this.high[0]) {
      ready = Math.max(this.rowsDone, Math.floor((rowsRendered - reach) / factor - 0.5));
    }
    for (let top = this.rowsDone; top < ready; top += STRIPE_ROWS) {
      this.resampleStripe(top, Math.min(top + STRIPE_ROWS, ready));
    }
    this.rowsDone = ready;
    const needed = Math.max(this.bandTop, Math.floor((ready + 0.5) * factor - reach));
    this.band = this.band.slice((needed - this.bandTop) * this.high[1] * this.channels);
    this.bandRows -= needed - this.bandTop;
    this.bandTop = needed;
  }

  resampleStripe(top, bottom) {
    const { channels } = this;
    for (let channel = 0; channel < channels; channel++) {
      const plane = rounded(planeOf(this.band, channel, channels), this.high[1], this.roundPx);
      const width = this.high[1] + 2 * this.roundPx;
      const rows = resampled(plane, width, this.bandTop, this.high[0], this.target, top, bottom, this.roundPx);
      for (let at = 0, to = top * this.target[1] * channels + channel; at < rows.length; at++, to += channels) {
        this.done[to] = fromUnit(rows[at] / WAITING, this.stop);
      }
    }
  }
}

function planeOf(samples, channel, channels) {
  const plane = new Float32Array(samples.length / channels);
  for (let at = 0, from = channel; at < plane.length; at++, from += channels) plane[at] = samples[from];
  return plane;
}

/** A plane with so many columns more to either side, from beyond the other one. */
function rounded(plane, width, besidePx) {
  if (!besidePx) return plane;
  const [across, rows] = [width + 2 * besidePx, plane.length / width];
  const out = new Float32Array(across * rows);
  for (let y = 0, to = 0; y < rows; y++) {
    for (let x = -besidePx; x < width + besidePx; x++) out[to++] = plane[y * width + (((x % width) + width) % width)];
  }
  return out;
}

/**
 * Bring one plane to another size by Lanczos.
 *
 * @param {Uint8Array|Uint16Array} plane height * width
 * @returns {Uint8Array|Uint16Array} of the same kind, clipped
 */
export function resized(plane, width, height, targetWidth, targetHeight) {
  if (width === targetWidth && height === targetHeight) return plane;
  const out = likeOf(plane, targetWidth * targetHeight);
  const stop = stopOf(plane);
  const floats = Float32Array.from(plane);
  for (let top = 0; top < targetHeight; top += STRIPE_ROWS) {
    const bottom = Math.min(top + STRIPE_ROWS, targetHeight);
    const rows = resampled(floats, width, 0, height, [targetHeight, targetWidth], top, bottom);
    for (let at = 0; at < rows.length; at++) out[top * targetWidth + at] = fromUnit(rows[at] / stop, stop);
  }
  return out;
}

/** Rows top…bottom of a plane brought to `target` size, as if it were done whole; columns beside it are not kept. */
function resampled(plane, width, planeTop, sourceHeight, target, top, bottom, besidePx = 0) {
  const factor = sourceHeight / target[0];
  const reach = LANCZOS_PX * Math.max(factor, 1) + 1;
  const first = Math.max(0, Math.floor((top + 0.5) * factor - reach));
  const last = Math.min(sourceHeight, Math.ceil((bottom - 0.5) * factor + reach));
  const stripe = plane.subarray((first - planeTop) * width, (last - planeTop) * width);
  const box = [besidePx, top * factor - first, width - besidePx, Math.min(bottom * factor, sourceHeight) - first];
  return resizedFloats(stripe, width, last - first, target[1], bottom - top, box);
}
