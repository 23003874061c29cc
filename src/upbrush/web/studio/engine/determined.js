/** What a low picture determines of a high one: `explain/determined.py` in JavaScript, whole pictures at a time. */
import { weights } from "./resample.js";
import { stopOf } from "./pixels.js";

const [TURNS, CLOSE] = [60, 1e-5];
const CUBIC = { support: 2, at: keys };

/** Keys's cubic, which is 0 beyond 2. */
function keys(distance) {
  const [x, a] = [Math.abs(distance), -0.5];
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/** One axis brought to another length. A plane is {values, width, height}; `lengthwise` is the axis of its rows. */
function along(plane, target, lengthwise) {
  const { values, width, height } = plane;
  const axis = weights(lengthwise ? width : height, 0, lengthwise ? width : height, target, CUBIC);
  const [across, down] = lengthwise ? [target, height] : [width, target];
  const out = new Float32Array(across * down);
  const [step, other] = lengthwise ? [1, width] : [width, 1];
  for (let place = 0; place < target; place++) {
    for (let line = 0; line < (lengthwise ? height : width); line++) {
      let sum = 0;
      const from = line * other + axis.starts[place] * step;
      for (let k = 0; k < axis.counts[place]; k++) sum += values[from + k * step] * axis.weights[place * axis.most + k];
      out[lengthwise ? line * target + place : place * width + line] = sum;
    }
  }
  return { values: out, width: across, height: down };
}

const resized = (plane, width, height) => along(along(plane, height, false), width, true);

/** One channel of a picture as floats with 1 as white. */
export function planeOf({ pixels, width, height }, channel) {
  const stop = stopOf(pixels);
  const values = Float32Array.from({ length: width * height }, (_, at) => pixels[3 * at + channel] / stop);
  return { values, width, height };
}

/** The plane whose bicubic enlargement comes down to `low` again. */
function smoothCause(low, width, height) {
  let cause = low;
  for (const [lengthwise, size] of [
    [false, height],
    [true, width],
  ]) {
    const wanted = cause;
    const here = lengthwise ? low.width : low.height;
    let found = { ...wanted, values: wanted.values.slice() };
    for (let turn = 0; turn < TURNS; turn++) {
      const back = along(along(found, size, lengthwise), here, lengthwise);
      let most = 0;
      for (let at = 0; at < found.values.length; at++) {
        const error = wanted.values[at] - back.values[at];
        found.values[at] += error;
        most = Math.max(most, Math.abs(error));
      }
      if (most < CLOSE) break;
    }
    cause = found;
  }
  return cause;
}

/** What one channel of a high picture has beyond the smooth picture with the same low one. @returns {Float32Array} */
export function beyond(high, width, height) {
  const low = resized(high, width, height);
  const smooth = resized(smoothCause(low, high.width, high.height), high.width, high.height);
  return high.values.map((value, at) => value - smooth.values[at]);
}
