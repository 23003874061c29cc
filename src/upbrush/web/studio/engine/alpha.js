/** Transparency: `alpha.py` in JavaScript. Pure. */
import { resized } from "./canvas.js";
import { likeOf, roundHalfEven } from "./pixels.js";

/** Give wholly transparent pixels the colours around them. @returns {Uint8Array|Uint16Array} height * width * 3 */
export function spread(pixels, alpha, width, height) {
  const known = Uint8Array.from(alpha, (value) => (value > 0 ? 1 : 0));
  if (!known.includes(0) || !known.includes(1)) return pixels;
  const filled = pixels.slice();
  for (let channel = 0; channel < 3; channel++) {
    const plane = new Float32Array(width * height);
    for (let at = 0; at < plane.length; at++) plane[at] = known[at] ? pixels[at * 3 + channel] : 0;
    const spreadOut = fill(plane, known, width, height);
    for (let at = 0; at < plane.length; at++) filled[at * 3 + channel] = roundHalfEven(spreadOut[at]);
  }
  return filled;
}

/** Fill the unknown from means of ever larger blocks. */
function fill(plane, known, width, height) {
  if (!known.includes(0)) return plane;
  const [across, down] = [Math.ceil(width / 2), Math.ceil(height / 2)];
  const [sums, counts] = [new Float32Array(across * down), new Uint8Array(across * down)];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const block = (y >> 1) * across + (x >> 1);
      sums[block] += plane[y * width + x];
      counts[block] += known[y * width + x];
    }
  }
  const means = sums.map((sum, block) => sum / Math.max(counts[block], 1));
  const coarse = fill(
    means,
    counts.map((count) => (count ? 1 : 0)),
    across,
    down,
  );
  return plane.map((value, at) =>
    known[at] ? value : coarse[(Math.floor(at / width) >> 1) * across + ((at % width) >> 1)],
  );
}

/** Bring alpha to another size by Lanczos, without its ringing. */
export function enlarged(alpha, width, height, targetWidth, targetHeight) {
  const done = resized(alpha, width, height, targetWidth, targetHeight);
  if (targetWidth < width || targetHeight < height || done === alpha) return done;
  const [least, most] = [extreme(alpha, width, height, Math.min), extreme(alpha, width, height, Math.max)];
  for (let y = 0; y < targetHeight; y++) {
    const row = Math.trunc(((y + 0.5) * height) / targetHeight) * width;
    for (let x = 0; x < targetWidth; x++) {
      const from = row + Math.trunc(((x + 0.5) * width) / targetWidth);
      const at = y * targetWidth + x;
      done[at] = Math.min(Math.max(done[at], least[from]), most[from]);
    }
  }
  return done;
}

/** The least or the most of each pixel and its eight neighbours. */
function extreme(plane, width, height, ofTwo) {
  const rows = likeOf(plane, plane.length);
  const out = likeOf(plane, plane.length);
  for (let y = 0; y < height; y++) {
    const [above, below] = [Math.max(y - 1, 0) * width, Math.min(y + 1, height - 1) * width];
    for (let x = 0; x < width; x++)
      rows[y * width + x] = ofTwo(plane[above + x], plane[y * width + x], plane[below + x]);
  }
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const row = y * width;
      out[row + x] = ofTwo(rows[row + Math.max(x - 1, 0)], rows[row + x], rows[row + Math.min(x + 1, width - 1)]);
    }
  }
  return out;
}
