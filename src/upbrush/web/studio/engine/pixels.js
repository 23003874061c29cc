/**
 * Pictures in memory. Pure.
 *
 * @typedef {Object} Picture upright, as `picture.Picture` in Python
 * @property {number} width in pixels
 * @property {number} height in pixels
 * @property {Uint8Array|Uint16Array} pixels height * width * 3, RGB, as stored in the file
 * @property {Uint8Array|Uint16Array|null} alpha height * width, 0 is transparent
 * @property {boolean} grey was grey in its file and is written so
 * @property {Uint8Array|null} exif a TIFF directory, without the six bytes in front
 * @property {Uint8Array|null} icc a colour profile; null means sRGB
 * @property {Uint8Array|null} xmp a packet
 * @property {[number, number]|null} dpi dots per inch across and down
 */

/** The number that is white: 255 or 65535. @param {Uint8Array|Uint16Array} samples */
export const stopOf = (samples) => (samples.BYTES_PER_ELEMENT === 1 ? 255 : 65535);

/** An array of the same kind, empty. */
export const likeOf = (samples, length) => new samples.constructor(length);

/** A float with 1 as white to a sample, rounded; what lies outside is clipped. */
export function fromUnit(value, stop) {
  const clipped = value < 0 ? 0 : value > 1 ? 1 : value;
  return Math.fround(Math.fround(clipped) * stop + 0.5) | 0;
}

/** Are the three channels equal everywhere? */
export function isNeutral(pixels) {
  for (let at = 0; at < pixels.length; at += 3) {
    if (pixels[at] !== pixels[at + 1] || pixels[at] !== pixels[at + 2]) return false;
  }
  return true;
}

/** 16 bits to 8, rounded; 8 bits are given back as they are. */
export function eightBits(samples) {
  if (samples.BYTES_PER_ELEMENT === 1) return samples;
  return Uint8Array.from(samples, (value) => Math.floor((value + 128) / 257));
}

/** What the StyleEncoder sees: 8 bits, what is transparent laid on white. @param {Picture} picture */
export function plainPixels({ pixels, alpha }) {
  if (alpha === null) return eightBits(pixels);
  const stop = stopOf(pixels);
  const laid = likeOf(pixels, pixels.length);
  for (let at = 0; at < pixels.length; at++) {
    const share = alpha[Math.floor(at / 3)] / stop;
    laid[at] = Math.round(pixels[at] * share + stop * (1 - share));
  }
  return eightBits(laid);
}

/** As Python rounds. */
export function roundHalfEven(value) {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Turn a picture as EXIF's orientation says, 1 to 8. @param {Picture} picture @returns {Picture} */
export function turned(picture, orientation) {
  if (orientation === 1) return picture;
  const { width, height } = picture;
  const swapped = orientation > 4;
  const [across, down] = swapped ? [height, width] : [width, height];
  const [upsideDown, reversed] = [[3, 4, 7, 8].includes(orientation), [2, 3, 6, 7].includes(orientation)];
  const turn = (samples, channels) => {
    const out = likeOf(samples, samples.length);
    for (let y = 0; y < down; y++) {
      for (let x = 0; x < across; x++) {
        const [row, column] = [upsideDown ? down - 1 - y : y, reversed ? across - 1 - x : x];
        const from = swapped ? column * width + row : row * width + column;
        for (let k = 0; k < channels; k++) out[(y * across + x) * channels + k] = samples[from * channels + k];
      }
    }
    return out;
  };
  const { pixels, alpha } = picture;
  return { ...picture, width: across, height: down, pixels: turn(pixels, 3), alpha: alpha && turn(alpha, 1) };
}
