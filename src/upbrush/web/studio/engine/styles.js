/**
 * Styles as words and as codes: the part of `styles.py` that the page needs. Pure.
 *
 * @typedef {Object} Style
 * @property {string} name by which it is asked for
 * @property {string} title its own name
 * @property {string} artist
 * @property {string} source
 * @property {string} licence
 * @property {Float32Array} code
 * @property {string|null} preview base64 of a small WebP
 * @property {boolean} own
 *
 * @typedef {{mean: Float32Array, directions: Float32Array, spread: Float32Array}} Spread of the codes of artworks
 */
import { latin } from "./bytes.js";
import { nearNormal } from "./draws.js";
import { styleError } from "./errors.js";

/** @param {string} text base64 of little-endian float32 @returns {Float32Array} */
export const floatsOf = (text) => new Float32Array(latin(atob(text)).buffer);

/** The numbers of a .style file: the code, and behind it, of a fitted style, its mods, half floats in base64. */
export function numbersOf({ code, mods }) {
  return Float32Array.from([...floatsOf(code), ...Array.from(new Uint16Array(latin(atob(mods ?? "")).buffer), half)]);
}

/** The value of a half float's sixteen bits. */
function half(bits) {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  const size = exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24;
  return bits & 0x8000 ? -size : size;
}

/** @param {Float32Array} floats @returns {string} base64 of little-endian float32 */
export function textOf(floats) {
  return btoa(String.fromCharCode(...new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength)));
}

/** The code of a style drawn at random: `styles.random`. @param {Spread} spread @returns {Float32Array} */
export function randomCode(seed, { mean, directions, spread }) {
  const draws = nearNormal(spread.length, seed);
  return mean.map((value, column) => {
    let sum = 0;
    for (let row = 0; row < draws.length; row++) {
      sum += directions[row * mean.length + column] * Math.fround(spread[row] * draws[row]);
    }
    return value + sum;
  });
}

/**
 * The mean of codes by weight: `styles.blend`. A code that was not fitted is shorter, and adds nothing there.
 *
 * @param {[Float32Array, number][]} parts @returns {Float32Array}
 */
export function blended(parts) {
  const sum = parts.reduce((total, [, weight]) => total + weight, 0);
  if (!(sum > 0) || parts.some(([, weight]) => !(weight >= 0))) {
    throw styleError("a blend needs styles with weights of 0 or more, not all 0, as in monet:0.7,klimt:0.3");
  }
  const longest = parts.map(([code]) => code).reduce((one, other) => (other.length > one.length ? other : one));
  return longest.map((_, at) => parts.reduce((total, [code, weight]) => total + (weight / sum) * (code[at] ?? 0), 0));
}

/** @param {string} text such as "random:7" @returns {bigint|null} its seed */
export function seedOf(text) {
  const match = /^random:(\d{1,18})$/i.exec(text.trim());
  return match && BigInt(match[1]);
}

/** @param {string} words such as "monet:0.7,random:7:0.3" @returns {[string, number][]} */
export function partsOf(words) {
  return words.split(",").map((part) => {
    const text = part.trim();
    const match = seedOf(text) === null && /^(.*):\s*([\d.eE+-]+)$/.exec(text);
    return match ? [match[1].trim(), Number(match[2])] : [text, 1];
  });
}

/**
 * The code that words mean, and the name a blend goes by.
 *
 * @param {string} words @param {(name: string) => Style|undefined} find @param {Spread|null} spread
 * @returns {{name: string, code: Float32Array}}
 */
export function resolve(words, find, spread) {
  const codeOf = (name) => {
    const seed = seedOf(name);
    if (seed !== null && spread) return randomCode(seed, spread);
    const found = find(name);
    if (!found) throw styleError(`no style is called '${name}'; choose one of the page`);
    return found.code;
  };
  const titleOf = (name) => (seedOf(name) === null ? (find(name)?.title ?? name) : name);
  const parts = partsOf(words);
  if (parts.length === 1) return { name: titleOf(parts[0][0]), code: codeOf(parts[0][0]) };
  const sum = parts.reduce((total, [, weight]) => total + weight, 0);
  return {
    name: parts.map(([name, weight]) => `${titleOf(name)} ${Math.round((100 * weight) / sum)}%`).join(" + "),
    code: blended(parts.map(([name, weight]) => [codeOf(name), weight])),
  };
}
