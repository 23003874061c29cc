/**
 * Pictures that go all the way round, and pictures of two eyes: `panorama.py` in JavaScript. Pure.
 *
 * @typedef {{width: number, height: number, pixels: Uint8Array|Uint16Array}} Low
 */
import { enlarged } from "./alpha.js";
import { configError, pictureError } from "./errors.js";
import { cut, moved } from "./tiles.js";

const POLES_WITHIN = 0.02;

/** Does a picture of this size show the whole sphere, and not only a band around it? */
const hasPoles = (height, width) => Math.abs(width - 2 * height) <= POLES_WITHIN * 2 * height;
const modulo = (value, size) => ((value % size) + size) % size;

/** A picture with what lies beyond its edges. @param {Low} low @param {number} reach in pixels @returns {Low} */
export function surrounded({ width, height, pixels }, reach) {
  const [across, down] = [width + 2 * reach, height + 2 * reach];
  const out = new pixels.constructor(across * down * 3);
  const poles = hasPoles(height, width);
  for (let y = 0, to = 0; y < down; y++) {
    const walked = modulo(y - reach, 2 * height);
    const beyond = poles && walked >= height;
    const held = Math.min(Math.max(y - reach, 0), height - 1);
    const row = !poles ? held : beyond ? 2 * height - 1 - walked : walked;
    const turn = beyond ? Math.floor(width / 2) : 0;
    for (let x = 0; x < across; x++, to += 3) {
      const from = (row * width + modulo(x - reach + turn, width)) * 3;
      for (let channel = 0; channel < 3; channel++) out[to + channel] = pixels[from + channel];
    }
  }
  return { width: across, height: down, pixels: out };
}

/** As `cut`, for a picture that goes round: outer boxes are of what `surrounded` gives, inner ones of the picture. */
export function cutRound(height, width, tilePx, overlapPx) {
  return cut(height + 2 * overlapPx, width + 2 * overlapPx, tilePx, overlapPx).map(({ outer, inner }) => {
    const box = moved(inner, -overlapPx, -overlapPx);
    const [top, left] = [Math.max(0, box.top), Math.max(0, box.left)];
    return { outer, inner: { top, left, bottom: Math.min(height, box.bottom), right: Math.min(width, box.right) } };
  });
}

/** Alpha brought to another size, its left edge beside its right one. */
export function enlargedRound(alpha, width, height, targetWidth, targetHeight) {
  const rows = (samples, across, use) => {
    for (let y = 0; y < samples.length / across; y++) use(samples.subarray(y * across, (y + 1) * across), y);
  };
  const thrice = new alpha.constructor(3 * alpha.length);
  rows(alpha, width, (row, y) => [0, 1, 2].forEach((turn) => thrice.set(row, (3 * y + turn) * width)));
  const large = enlarged(thrice, 3 * width, height, 3 * targetWidth, targetHeight);
  const out = new alpha.constructor(targetWidth * targetHeight);
  rows(large, 3 * targetWidth, (row, y) => out.set(row.subarray(targetWidth, 2 * targetWidth), y * targetWidth));
  return out;
}

/** The two pictures of a stereo picture, or the one that it is. @param {"side"|"over"|null} stereo */
export function eyes(source, stereo) {
  if (!stereo) return [source];
  const { width, height, pixels, alpha } = source;
  const side = stereo === "side" ? width : height;
  if (side % 2 || side < 2) {
    const words = stereo === "side" ? "wide" : "high";
    throw pictureError(
      `is ${side} pixels ${words}, two eyes (${stereo}) need an even number; cut a pixel off, or leave out stereo`,
    );
  }
  const [across, down] = halved([width, height], stereo);
  return [0, 1].map((eye) => {
    const half = (samples, channels) => {
      if (stereo === "over") return samples.slice(eye * across * down * channels, (eye + 1) * across * down * channels);
      const out = new samples.constructor(across * down * channels);
      for (let y = 0; y < down; y++) {
        const from = (y * width + eye * across) * channels;
        out.set(samples.subarray(from, from + across * channels), y * across * channels);
      }
      return out;
    };
    return { ...source, width: across, height: down, pixels: half(pixels, 3), alpha: alpha && half(alpha, 1) };
  });
}

const halved = ([across, down], stereo) => (stereo === "side" ? [across / 2, down] : [across, down / 2]);

/** Width and height of one eye's painting, of the whole's. */
export function eyeTarget([across, down], stereo) {
  if (!stereo) return [across, down];
  const [words, side] = stereo === "side" ? ["width", across] : ["height", down];
  if (side % 2) {
    throw configError(`the ${words} asked for is ${side}, two eyes (${stereo}) need an even one; add a pixel`);
  }
  return halved([across, down], stereo);
}

/** The paintings of `eyes`, together again. */
export function joinedEyes(painted, stereo) {
  const [first, second] = painted;
  if (!stereo) return first;
  const { width, height } = first;
  const together = (key, channels) => {
    const [one, other] = [first[key], second[key]];
    if (!one) return null;
    const out = new one.constructor(2 * one.length);
    if (stereo === "over") {
      out.set(one);
      out.set(other, one.length);
      return out;
    }
    const count = width * channels;
    for (let y = 0; y < height; y++) {
      out.set(one.subarray(y * count, (y + 1) * count), 2 * y * count);
      out.set(other.subarray(y * count, (y + 1) * count), (2 * y + 1) * count);
    }
    return out;
  };
  const size = stereo === "side" ? { width: 2 * width } : { height: 2 * height };
  return { ...first, ...size, pixels: together("pixels", 3), alpha: together("alpha", 1) };
}
