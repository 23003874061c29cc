/**
 * PNG, read and written exactly: 16 bits, alpha and grey as they are stored, which a browser's canvas would round.
 *
 * Packing is the browser's own. Interlaced files are left to the browser.
 */
import { big32, joined, latin, packed, textAt, unpacked, viewOf } from "./bytes.js";

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
export const PALETTE = 3;
const CHANNELS = { 0: 1, 2: 3, [PALETTE]: 1, 4: 2, 6: 4 };
const XMP_KEY = "XML:com.adobe.xmp";
const MOST_PROFILE_BYTES = 16_000_000;

/** @param {Uint8Array} bytes */
export const isPng = (bytes) => SIGNATURE.every((byte, at) => bytes[at] === byte);

/** @param {Uint8Array} bytes @returns {{type: string, data: Uint8Array}[]} the chunks, as far as they are whole */
export function chunksOf(bytes) {
  const [view, chunks] = [viewOf(bytes), []];
  for (let at = SIGNATURE.length; at + 12 <= bytes.length;) {
    const length = view.getUint32(at);
    if (at + 12 + length > bytes.length) break;
    chunks.push({ type: textAt(bytes, at + 4, 4), data: bytes.subarray(at + 8, at + 8 + length) });
    at += 12 + length;
  }
  return chunks;
}

/** The plain words that a PNG says beside its picture, by their keys. @param {Uint8Array} bytes */
export function wordsOf(bytes) {
  const told = chunksOf(bytes).filter(({ type }) => type === "tEXt");
  return Object.fromEntries(told.map(({ data }) => textAt(data, 0, data.length).split("\0", 2)));
}

/**
 * The pixels of a PNG.
 *
 * @param {Uint8Array} bytes
 * @returns {Promise<{width: number, height: number, channels: number, samples: Uint8Array|Uint16Array}|null>} null for
 *   what is left to the browser, which knows what to do or to say
 */
export async function decoded(bytes) {
  const head = headOf(bytes);
  if (!head || !(head.colour in CHANNELS) || ![1, 2, 4, 8, 16].includes(head.depth) || head.interlaced) return null;
  const chunks = chunksOf(bytes);
  const find = (wanted) => chunks.find(({ type }) => type === wanted)?.data ?? null;
  const data = chunks.filter(({ type }) => type === "IDAT").map((chunk) => chunk.data);
  const raw = await unpacked(joined(...data)).catch(() => null);
  const bits = CHANNELS[head.colour] * head.depth;
  const rowBytes = Math.ceil((head.width * bits) / 8);
  if (!raw || raw.length < head.height * (rowBytes + 1)) return null;
  const rows = unfiltered(raw, rowBytes, head.height, Math.ceil(bits / 8));
  const stored = { ...head, channels: CHANNELS[head.colour], samples: samplesOf(rows, rowBytes, head) };
  return head.colour === PALETTE ? coloured(stored, find("PLTE"), find("tRNS")) : keyed(stored, find("tRNS"));
}

/** Bytes as samples; what has fewer than 8 bits is unpacked, and for grey brought to 0…255. */
function samplesOf(rows, rowBytes, { width, height, depth, colour }) {
  if (depth === 16) return wide(rows);
  if (depth === 8) return rows;
  const out = new Uint8Array(width * height);
  const [most, unit] = [2 ** depth - 1, colour === PALETTE ? 1 : 255 / (2 ** depth - 1)];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const byte = rows[y * rowBytes + ((x * depth) >> 3)];
      out[y * width + x] = ((byte >> (8 - depth - ((x * depth) & 7))) & most) * unit;
    }
  }
  return out;
}

/** Numbers of colours as colours. */
function coloured({ width, height, samples }, colours, opacities) {
  if (!colours) return null;
  const channels = opacities ? 4 : 3;
  const out = new Uint8Array(width * height * channels);
  for (let at = 0; at < samples.length; at++) {
    const number = samples[at];
    for (let k = 0; k < 3; k++) out[at * channels + k] = colours[3 * number + k] ?? 0;
    if (opacities) out[at * channels + 3] = opacities[number] ?? 255;
  }
  return { width, height, channels, samples: out };
}

/** With alpha, where one colour is declared to be transparent. */
function keyed(stored, key) {
  const { width, height, channels, samples, depth } = stored;
  if (!key || channels % 2 === 0) return stored;
  const stop = samples.BYTES_PER_ELEMENT === 2 ? 65535 : 255;
  const unit = depth < 8 ? 255 / (2 ** depth - 1) : 1;
  const clear = Array.from({ length: channels }, (_, k) => ((key[2 * k] << 8) | key[2 * k + 1]) * unit);
  const out = new samples.constructor(width * height * (channels + 1));
  for (let at = 0; at < width * height; at++) {
    let same = true;
    for (let k = 0; k < channels; k++) {
      out[at * (channels + 1) + k] = samples[at * channels + k];
      same &&= samples[at * channels + k] === clear[k];
    }
    out[at * (channels + 1) + channels] = same ? 0 : stop;
  }
  return { width, height, channels: channels + 1, samples: out };
}

/** What the first chunk says. @param {Uint8Array} bytes */
export function headOf(bytes) {
  if (bytes.length < 33) return null;
  const view = viewOf(bytes);
  return {
    width: view.getUint32(16),
    height: view.getUint32(20),
    depth: bytes[24],
    colour: bytes[25],
    interlaced: bytes[28] !== 0,
  };
}

function unfiltered(raw, rowBytes, height, step) {
  const out = new Uint8Array(rowBytes * height);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (rowBytes + 1)];
    const from = y * (rowBytes + 1) + 1;
    const to = y * rowBytes;
    for (let x = 0; x < rowBytes; x++) {
      const left = x >= step ? out[to + x - step] : 0;
      const above = y > 0 ? out[to + x - rowBytes] : 0;
      const corner = x >= step && y > 0 ? out[to + x - rowBytes - step] : 0;
      out[to + x] = raw[from + x] + guess(filter, left, above, corner);
    }
  }
  return out;
}

function guess(filter, left, above, corner) {
  if (filter === 0) return 0;
  if (filter === 1) return left;
  if (filter === 2) return above;
  if (filter === 3) return (left + above) >> 1;
  const sum = left + above - corner;
  const [a, b, c] = [Math.abs(sum - left), Math.abs(sum - above), Math.abs(sum - corner)];
  return a <= b && a <= c ? left : b <= c ? above : corner;
}

function wide(bytes) {
  const out = new Uint16Array(bytes.length / 2);
  for (let at = 0; at < out.length; at++) out[at] = (bytes[2 * at] << 8) | bytes[2 * at + 1];
  return out;
}

/**
 * Write a PNG.
 *
 * @param {number} width @param {number} height @param {number} channels 1 to 4
 * @param {Uint8Array|Uint16Array} samples height * width * channels
 * @param {Uint8Array[]} extra chunks to stand before the pixels, see `chunk`
 * @returns {Promise<Blob>}
 */
export async function encoded(width, height, channels, samples, extra = []) {
  const deep = samples.BYTES_PER_ELEMENT === 2;
  const colour = { 1: 0, 2: 4, 3: 2, 4: 6 }[channels];
  const head = joined(big32(width), big32(height), [deep ? 16 : 8, colour, 0, 0, 0]);
  const rows = filtered(
    deep ? narrow(samples) : samples,
    width * channels * (deep ? 2 : 1),
    height,
    channels * (deep ? 2 : 1),
  );
  const parts = [SIGNATURE, chunk("IHDR", head), ...extra, chunk("IDAT", await packed(rows)), chunk("IEND", [])];
  return new Blob(parts, { type: "image/png" });
}

function narrow(samples) {
  const out = new Uint8Array(samples.length * 2);
  for (let at = 0; at < samples.length; at++) {
    out[2 * at] = samples[at] >> 8;
    out[2 * at + 1] = samples[at] & 255;
  }
  return out;
}

/** Each row as the difference to the row above, or for the first to its left: quick, and packs photographs well. */
function filtered(bytes, rowBytes, height, step) {
  const out = new Uint8Array((rowBytes + 1) * height);
  for (let y = 0; y < height; y++) {
    const [from, to, back] = [y * rowBytes, y * (rowBytes + 1) + 1, y === 0 ? step : rowBytes];
    out[to - 1] = y === 0 ? 1 : 2;
    for (let x = 0; x < rowBytes; x++)
      out[to + x] = bytes[from + x] - (y === 0 && x < step ? 0 : bytes[from + x - back]);
  }
  return out;
}

/** One chunk with its length and checksum. @param {string} type @param {Uint8Array|number[]} data */
export function chunk(type, data) {
  const body = joined(latin(type), data);
  return joined(big32(body.length - 4), body, big32(checksum(body)));
}

let table = null;

function checksum(bytes) {
  table ??= Uint32Array.from({ length: 256 }, (_, byte) => {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
    return value;
  });
  let sum = 0xffffffff;
  for (const byte of bytes) sum = table[(sum ^ byte) & 255] ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}

/** What travels beside a PNG's pixels. @param {Uint8Array} bytes */
export async function besides(bytes) {
  const found = { exif: null, icc: null, xmp: null, dpi: null, grey: [0, 4].includes(headOf(bytes)?.colour) };
  for (const { type, data } of chunksOf(bytes)) {
    if (type === "eXIf") found.exif = data.slice();
    if (type === "iTXt" && textAt(data, 0, XMP_KEY.length) === XMP_KEY) found.xmp = await textOf(data);
    if (type === "iCCP") found.icc = await profileOf(data);
    if (type === "pHYs" && data[8] === 1) {
      const view = viewOf(data);
      found.dpi = [view.getUint32(0) * 0.0254, view.getUint32(4) * 0.0254];
    }
  }
  return found;
}

async function textOf(data) {
  let at = XMP_KEY.length + 1;
  const isPacked = data[at] === 1;
  at = data.indexOf(0, at + 2) + 1; // behind the language
  at = data.indexOf(0, at) + 1; // and the translated key
  const text = data.slice(at);
  return isPacked ? unpacked(text).catch(() => null) : text;
}

async function profileOf(data) {
  const profile = await unpacked(data.slice(data.indexOf(0) + 2)).catch(() => null);
  return profile && profile.length <= MOST_PROFILE_BYTES ? profile : null;
}

/** The chunks that carry what travels beside the pixels. */
export async function besideChunks({ exif, icc, xmp, dpi, software }) {
  const chunks = [chunk("tEXt", joined("Software\0", software))];
  if (icc) chunks.push(chunk("iCCP", joined("ICC Profile\0\0", await packed(icc))));
  if (dpi) {
    const [across, down] = dpi.map((value) => Math.floor(value / 0.0254 + 0.5));
    chunks.push(chunk("pHYs", joined(big32(across), big32(down), [1])));
  }
  if (exif) chunks.push(chunk("eXIf", exif));
  if (xmp) chunks.push(chunk("iTXt", joined(`${XMP_KEY}\0\0\0\0\0`, xmp)));
  return chunks;
}
