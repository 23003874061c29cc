/**
 * Resampling as Pillow does it, to the last digit: Lanczos in floats and in 8 bits, bicubic where it is asked for.
 *
 * The steps are those of Pillow's Resample.c: weights in doubles, first across, then down, rounded where it rounds.
 */

const EIGHT_BITS = 22; // binary digits behind the point in Pillow's weights for 8-bit pictures

/** @typedef {{support: number, at: (x: number) => number}} Filter */

/** @type {Filter} */
export const LANCZOS = {
  support: 3,
  at: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0),
};

function sinc(x) {
  if (x === 0) return 1;
  const angle = x * Math.PI;
  return Math.sin(angle) / angle;
}

/**
 * Weights of one axis.
 *
 * @param {number} sourcePx samples there are
 * @param {number} from where the part that is resampled starts, in samples
 * @param {number} to where it ends
 * @param {number} targetPx samples there will be
 * @param {Filter} filter
 * @returns {{starts: Int32Array, counts: Int32Array, weights: Float64Array, most: number}} most: numbers in a row
 */
export function weights(sourcePx, from, to, targetPx, filter = LANCZOS) {
  const scale = (to - from) / targetPx;
  const stretch = Math.max(scale, 1);
  const support = filter.support * stretch;
  const most = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(targetPx);
  const counts = new Int32Array(targetPx);
  const table = new Float64Array(targetPx * most);
  for (let x = 0; x < targetPx; x++) {
    const centre = from + (x + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const last = Math.min(sourcePx, Math.trunc(centre + support + 0.5));
    let sum = 0;
    for (let k = 0; k < last - first; k++) {
      const weight = filter.at((k + first - centre + 0.5) * (1 / stretch));
      table[x * most + k] = weight;
      sum += weight;
    }
    if (sum !== 0) for (let k = 0; k < last - first; k++) table[x * most + k] /= sum;
    starts[x] = first;
    counts[x] = last - first;
  }
  return { starts, counts, weights: table, most };
}

/**
 * Bring one plane of floats to another size: Pillow's mode F.
 *
 * @param {Float32Array} plane height * width numbers
 * @param {[number, number, number, number]} box left, top, right, bottom of the part to resample
 * @returns {Float32Array} targetHeight * targetWidth numbers
 */
export function resizedFloats(plane, width, height, targetWidth, targetHeight, box = [0, 0, width, height]) {
  const [left, top, right, bottom] = box.map(Math.fround); // Pillow keeps a box in single precision
  let [values, rows] = [plane, height];
  if (targetWidth !== width || left !== 0 || right !== targetWidth) {
    values = across(plane, width, height, weights(width, left, right, targetWidth));
  }
  if (targetHeight !== height || top !== 0 || bottom !== targetHeight) {
    values = down(values, targetWidth, weights(rows, top, bottom, targetHeight));
  }
  return values === plane ? plane.slice() : values;
}

function across(plane, width, height, axis) {
  const targetWidth = axis.starts.length;
  const out = new Float32Array(targetWidth * height);
  for (let x = 0; x < targetWidth; x++) {
    const [start, count, row] = [axis.starts[x], axis.counts[x], x * axis.most];
    for (let y = 0; y < height; y++) {
      let sum = 0;
      for (let k = 0; k < count; k++) sum += plane[y * width + start + k] * axis.weights[row + k];
      out[y * targetWidth + x] = sum;
    }
  }
  return out;
}

function down(plane, width, axis) {
  const targetHeight = axis.starts.length;
  const out = new Float32Array(width * targetHeight);
  const sums = new Float64Array(width);
  for (let y = 0; y < targetHeight; y++) {
    sums.fill(0);
    for (let k = 0; k < axis.counts[y]; k++) {
      const weight = axis.weights[y * axis.most + k];
      const from = (axis.starts[y] + k) * width;
      for (let x = 0; x < width; x++) sums[x] += plane[from + x] * weight;
    }
    out.set(sums, y * width);
  }
  return out;
}

/**
 * Bring 8-bit RGB to another size by Lanczos: Pillow's mode RGB, whose weights are whole numbers.
 *
 * @param {Uint8Array} pixels height * width * 3
 * @param {[number, number, number, number]} box left, top, right, bottom of the part to resample
 * @returns {Uint8Array} targetHeight * targetWidth * 3
 */
export function resizedBytes(pixels, width, height, targetWidth, targetHeight, box = [0, 0, width, height]) {
  const [left, top, right, bottom] = box.map(Math.fround);
  let values = pixels;
  if (targetWidth !== width || left !== 0 || right !== targetWidth) {
    values = bytesAcross(pixels, width, height, whole(weights(width, left, right, targetWidth)));
  }
  if (targetHeight !== height || top !== 0 || bottom !== targetHeight) {
    values = bytesDown(values, targetWidth, whole(weights(height, top, bottom, targetHeight)));
  }
  return values === pixels ? pixels.slice() : values;
}

function whole(axis) {
  const scaled = axis.weights.map((weight) => Math.trunc(weight * 2 ** EIGHT_BITS + (weight < 0 ? -0.5 : 0.5)));
  return { ...axis, weights: scaled };
}

const clip8 = (sum) => Math.min(255, Math.max(0, Math.floor(sum / 2 ** EIGHT_BITS)));

function bytesAcross(pixels, width, height, axis) {
  const targetWidth = axis.starts.length;
  const out = new Uint8Array(targetWidth * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < targetWidth; x++) {
      for (let channel = 0; channel < 3; channel++) {
        let sum = 2 ** (EIGHT_BITS - 1);
        const from = (y * width + axis.starts[x]) * 3 + channel;
        for (let k = 0; k < axis.counts[x]; k++) sum += pixels[from + 3 * k] * axis.weights[x * axis.most + k];
        out[(y * targetWidth + x) * 3 + channel] = clip8(sum);
      }
    }
  }
  return out;
}

function bytesDown(pixels, width, axis) {
  const row = width * 3;
  const out = new Uint8Array(row * axis.starts.length);
  for (let y = 0; y < axis.starts.length; y++) {
    for (let at = 0; at < row; at++) {
      let sum = 2 ** (EIGHT_BITS - 1);
      for (let k = 0; k < axis.counts[y]; k++) {
        sum += pixels[(axis.starts[y] + k) * row + at] * axis.weights[y * axis.most + k];
      }
      out[y * row + at] = clip8(sum);
    }
  }
  return out;
}
