/** The two small views that the networks sum a picture up from: `views.py` in JavaScript. Pure. */
import { resizedBytes } from "./resample.js";
import { roundHalfEven, stopOf } from "./pixels.js";

export const THUMBNAIL_PX = 32;
export const STYLE_PX = 256;

/** For each cell, the samples that lie in it and how much of each: rows that sum to 1. */
function areaRows(sourcePx, targetPx) {
  return Array.from({ length: targetPx }, (_, cell) => {
    const [left, right] = [(cell * sourcePx) / targetPx, ((cell + 1) * sourcePx) / targetPx];
    const first = Math.floor(left);
    const shares = [];
    for (let x = first; x < Math.min(sourcePx, Math.ceil(right)); x++) {
      shares.push(Math.max(0, Math.min(right, x + 1) - Math.max(left, x)));
    }
    const sum = shares.reduce((a, b) => a + b, 0);
    return { first, shares: shares.map((part) => part / sum) };
  });
}

/**
 * Sum up a whole low picture for the Modulator.
 *
 * @param {Uint8Array|Uint16Array} pixels height * width * 3
 * @returns {Float32Array} 6 * 32 * 32: the mean colour of each cell, then the mean difference to its neighbours
 */
export function thumbnail(pixels, width, height) {
  const [rows, columns] = [areaRows(height, THUMBNAIL_PX), areaRows(width, THUMBNAIL_PX)];
  const cells = THUMBNAIL_PX * THUMBNAIL_PX;
  const view = new Float32Array(6 * cells);
  const unit = 1 / stopOf(pixels);
  for (let channel = 0; channel < 3; channel++) {
    const [means, details] = [new Float64Array(THUMBNAIL_PX * width), new Float64Array(THUMBNAIL_PX * width)];
    rows.forEach(({ first, shares }, cell) =>
      shares.forEach((share, k) => addRow(means, details, cell * width, share, first + k, channel)),
    );
    for (let cell = 0; cell < THUMBNAIL_PX; cell++) {
      columns.forEach(({ first, shares }, x) => {
        let [mean, detail] = [0, 0];
        shares.forEach((share, k) => {
          mean += share * means[cell * width + first + k];
          detail += share * details[cell * width + first + k];
        });
        view[channel * cells + cell * THUMBNAIL_PX + x] = mean * unit;
        view[(channel + 3) * cells + cell * THUMBNAIL_PX + x] = detail * unit;
      });
    }
  }
  return view;

  function addRow(means, details, into, share, y, channel) {
    for (let x = 0; x < width; x++) {
      const at = (y * width + x) * 3 + channel;
      let detail = x + 1 < width ? Math.abs(pixels[at + 3] - pixels[at]) : 0;
      if (y + 1 < height) detail += Math.abs(pixels[at + 3 * width] - pixels[at]);
      means[into + x] += share * pixels[at];
      details[into + x] += share * detail;
    }
  }
}

/**
 * Bring a style picture to the StyleEncoder's working size.
 *
 * @param {Uint8Array} pixels height * width * 3
 * @returns {{pixels: Uint8Array, width: number, height: number}} the short side has 256 pixels
 */
export function styleView(pixels, width, height) {
  ({ pixels, width, height } = withoutEnds(pixels, width, height));
  const short = Math.min(width, height);
  const [across, down] = [Math.min(width, 2 * short), Math.min(height, 2 * short)];
  const [left, top] = [Math.floor((width - across) / 2), Math.floor((height - down) / 2)];
  const size = [roundHalfEven((across * STYLE_PX) / short), roundHalfEven((down * STYLE_PX) / short)];
  const view = resizedBytes(pixels, width, height, ...size, [left, top, left + across, top + down]);
  return { pixels: view, width: size[0], height: size[1] };
}

/** The middle of a very long picture, as `engine.encode` takes it. */
function withoutEnds(pixels, width, height) {
  const most = 4 * Math.min(width, height);
  if (width <= most && height <= most) return { pixels, width, height };
  const [left, top] = [Math.floor(Math.max(0, width - most) / 2), Math.floor(Math.max(0, height - most) / 2)];
  const [across, down] = [Math.min(width, most), Math.min(height, most)];
  const kept = new Uint8Array(across * down * 3);
  for (let y = 0; y < down; y++) {
    const from = ((top + y) * width + left) * 3;
    kept.set(pixels.subarray(from, from + across * 3), y * across * 3);
  }
  return { pixels: kept, width: across, height: down };
}
