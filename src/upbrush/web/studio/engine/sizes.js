/** Sizes as people write them: `sizes.py` in JavaScript. Pure. */
import { configError } from "./errors.js";

export const LARGEST_SCALE = 16;

/**
 * The exact size a picture is to come out at.
 *
 * @param {number} width in pixels
 * @param {number} height in pixels
 * @param {number|null} scale a factor from 1 to 16
 * @param {string|null} size "3000x2000", "long:3000", "short:2000" or "fit:3000x2000"
 * @param {number} defaultScale what counts where neither is given
 * @returns {[number, number]} width, height, each at least 1
 */
export function targetSize(width, height, scale = null, size = null, defaultScale = 4) {
  if (scale !== null && size !== null) {
    throw configError(`scale ${scale} and size ${size} are both given; give one of them`);
  }
  if (size === null) return scaled(width, height, scale ?? defaultScale);
  const target = sized(width, height, String(size).trim());
  const factor = Math.max(target[0] / width, target[1] / height);
  if (factor > LARGEST_SCALE) {
    throw configError(
      `size ${size} is ${factor.toFixed(1)} times the picture's ${width}x${height}; ` +
        `expected at most ${LARGEST_SCALE} times`,
    );
  }
  return target;
}

function scaled(width, height, scale) {
  if (!(scale >= 1 && scale <= LARGEST_SCALE)) {
    throw configError(`scale ${scale} is not in 1…${LARGEST_SCALE}: 1 enhances at the same size, 4 is usual`);
  }
  return [Math.max(1, Math.floor(width * scale + 0.5)), Math.max(1, Math.floor(height * scale + 0.5))];
}

function sized(width, height, text) {
  const sides = /^(fit:)?\s*(\d+)\s*[x×X]\s*(\d+)$/.exec(text);
  if (sides && Number(sides[2]) && Number(sides[3])) {
    const [across, down] = [Number(sides[2]), Number(sides[3])];
    return sides[1] ? fitted(width, height, across, down) : [across, down];
  }
  const side = /^(long|short):\s*(\d+)$/.exec(text);
  if (side && Number(side[2])) {
    const px = Number(side[2]);
    const ofWidth = width >= height === (side[1] === "long");
    return ofWidth ? [px, share(height, px, width)] : [share(width, px, height), px];
  }
  throw configError(`size '${text}' is not a size; expected 3000x2000, long:3000, short:2000 or fit:3000x2000`);
}

function fitted(width, height, across, down) {
  return across * height <= down * width ? [across, share(height, across, width)] : [share(width, down, height), down];
}

/** side * part / whole to the nearest pixel, exactly. */
function share(side, part, whole) {
  return Math.max(1, Math.floor((2 * side * part + whole) / (2 * whole)));
}
