/**
 * EXIF: what describes the photograph is kept, what describes the old file is not. `metadata.py` in JavaScript.
 *
 * Values stay the bytes they were, in the byte order they were in; only places and what is new are written.
 *
 * @typedef {{tag: number, type: number, count: number, bytes: Uint8Array}} Entry
 */
import { joined, latin, viewOf } from "./bytes.js";

const [ORIENTATION, SOFTWARE, X_RESOLUTION, Y_RESOLUTION, UNIT] = [0x0112, 0x0131, 0x011a, 0x011b, 0x0128];
const [EXIF_IFD, GPS_IFD, INTEROP_IFD] = [0x8769, 0x8825, 0xa005];
const [PIXEL_WIDTH, PIXEL_HEIGHT] = [0xa002, 0xa003];
const DESCRIPTIVE = new Set([
  ...[0x010e, 0x010f, 0x0110, SOFTWARE, 0x0132, 0x013b, 0x013c, 0x8298], // caption, camera, time, author, rights
  ...[0x4746, 0x4749, 0x9c9b, 0x9c9c, 0x9c9d, 0x9c9e, 0x9c9f], // stars, and the title and keywords of Windows
]);
const SIZES = { 1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8 };
const MOST_ENTRIES = 1000;

/** Read a directory. @param {Uint8Array} tiff @returns {Map<number, Entry>} empty where it is damaged */
function directory(tiff, at, little) {
  const [view, entries] = [viewOf(tiff), new Map()];
  if (at < 8 || at + 2 > tiff.length) return entries;
  const count = Math.min(view.getUint16(at, little), MOST_ENTRIES);
  for (let index = 0; index < count; index++) {
    const from = at + 2 + 12 * index;
    if (from + 12 > tiff.length) break;
    const [tag, type, many] = [
      view.getUint16(from, little),
      view.getUint16(from + 2, little),
      view.getUint32(from + 4, little),
    ];
    const length = (SIZES[type] ?? Infinity) * many;
    const place = length <= 4 ? from + 8 : view.getUint32(from + 8, little);
    if (place + length <= tiff.length)
      entries.set(tag, { tag, type, count: many, bytes: tiff.slice(place, place + length) });
  }
  return entries;
}

/** @param {Uint8Array|null} tiff @returns {{little: boolean, main: Map, exif: Map, gps: Map}|null} */
function parsed(tiff) {
  if (!tiff || tiff.length < 14) return null;
  const little = tiff[0] === 0x49;
  const view = viewOf(tiff);
  if ((tiff[0] !== 0x49 && tiff[0] !== 0x4d) || view.getUint16(2, little) !== 42) return null;
  const main = directory(tiff, view.getUint32(4, little), little);
  const inner = (tag) => {
    const entry = main.get(tag);
    return entry ? directory(tiff, numberOf(entry, little), little) : new Map();
  };
  return { little, main, exif: inner(EXIF_IFD), gps: inner(GPS_IFD) };
}

function numberOf(entry, little) {
  const view = viewOf(entry.bytes);
  return entry.type === 3 ? view.getUint16(0, little) : entry.bytes.length >= 4 ? view.getUint32(0, little) : 0;
}

/** How a picture is to be turned, 1 to 8; 1 is upright. @param {Uint8Array|null} tiff */
export function orientationOf(tiff) {
  const found = parsed(tiff);
  const entry = found?.main.get(ORIENTATION);
  const value = entry ? numberOf(entry, found.little) : 1;
  return value >= 1 && value <= 8 ? value : 1;
}

/** Dots per inch, where EXIF says them. @returns {[number, number]|null} */
export function dpiOf(tiff) {
  const found = parsed(tiff);
  const [across, down] = [found?.main.get(X_RESOLUTION), found?.main.get(Y_RESOLUTION)];
  if (across?.type !== 5 || down?.type !== 5) return null;
  const unit = found.main.get(UNIT);
  const inch = unit && numberOf(unit, found.little) === 3 ? 2.54 : 1;
  return [across, down].map(({ bytes }) => {
    const view = viewOf(bytes);
    return (view.getUint32(0, found.little) / view.getUint32(4, found.little)) * inch;
  });
}

/**
 * The directory of an output: the kept EXIF with the new size, the resolution and the note.
 *
 * @param {Uint8Array|null} tiff the input's
 * @param {[number, number]} size width, height
 * @param {[number, number]|null} dpi
 * @param {string} software how the picture was made, see `noteOf`
 * @returns {Uint8Array}
 */
export function rewritten(tiff, [width, height], dpi, software) {
  const found = parsed(tiff) ?? { little: true, main: new Map(), exif: new Map(), gps: new Map() };
  const { little } = found;
  const main = new Map([...found.main].filter(([tag]) => DESCRIPTIVE.has(tag)));
  const exif = new Map([...found.exif].filter(([tag]) => tag !== INTEROP_IFD));
  for (const [tag, side] of [
    [PIXEL_WIDTH, width],
    [PIXEL_HEIGHT, height],
  ]) {
    if (exif.has(tag)) exif.set(tag, { tag, type: 4, count: 1, bytes: word32(side, little) });
  }
  if (dpi) {
    for (const [tag, value] of [
      [X_RESOLUTION, dpi[0]],
      [Y_RESOLUTION, dpi[1]],
    ]) {
      const bytes = joined(word32(Math.round(value * 100), little), word32(100, little));
      main.set(tag, { tag, type: 5, count: 1, bytes });
    }
    main.set(UNIT, { tag: UNIT, type: 3, count: 1, bytes: little ? Uint8Array.of(2, 0) : Uint8Array.of(0, 2) });
  }
  const said = latin(`${software}\0`);
  main.set(SOFTWARE, { tag: SOFTWARE, type: 2, count: said.length, bytes: said });
  return written(main, exif, found.gps, little);
}

/**
 * How a picture was made, as upbrush reads it again from the tag Software.
 *
 * @param {Record<string, string>} note @returns {string} ASCII
 */
export const noteOf = (note) => `upbrush ${ascii(JSON.stringify(note))}`;

const ascii = (text) =>
  text.replace(/[^\x20-\x7e]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);

function written(main, exif, gps, little) {
  const pointer = (tag) => ({ tag, type: 4, count: 1, bytes: new Uint8Array(4) });
  if (exif.size) main.set(EXIF_IFD, pointer(EXIF_IFD));
  if (gps.size) main.set(GPS_IFD, pointer(GPS_IFD));
  const header = little ? [0x49, 0x49, 42, 0, 8, 0, 0, 0] : [0x4d, 0x4d, 0, 42, 0, 0, 0, 8];
  let at = 8 + packedLength(main);
  for (const [tag, entries] of [
    [EXIF_IFD, exif],
    [GPS_IFD, gps],
  ]) {
    if (!entries.size) continue;
    main.get(tag).bytes = word32(at, little);
    at += packedLength(entries);
  }
  const parts = [packedDirectory(main, 8, little)];
  for (const entries of [exif, gps]) {
    if (entries.size)
      parts.push(packedDirectory(entries, 8 + parts.reduce((sum, part) => sum + part.length, 0), little));
  }
  return joined(header, ...parts);
}

const even = (length) => length + (length & 1);

function packedLength(entries) {
  const beyond = [...entries.values()].filter(({ bytes }) => bytes.length > 4);
  return 2 + 12 * entries.size + 4 + beyond.reduce((sum, { bytes }) => sum + even(bytes.length), 0);
}

/** A directory and its values, to stand at a place. */
function packedDirectory(entries, place, little) {
  const sorted = [...entries.values()].sort((one, other) => one.tag - other.tag);
  const out = new Uint8Array(packedLength(entries));
  const view = viewOf(out);
  view.setUint16(0, sorted.length, little);
  let beyond = 2 + 12 * sorted.length + 4;
  sorted.forEach(({ tag, type, count, bytes }, index) => {
    const at = 2 + 12 * index;
    view.setUint16(at, tag, little);
    view.setUint16(at + 2, type, little);
    view.setUint32(at + 4, count, little);
    if (bytes.length <= 4) out.set(bytes, at + 8);
    else {
      view.setUint32(at + 8, place + beyond, little);
      out.set(bytes, beyond);
      beyond += even(bytes.length);
    }
  });
  return out;
}

function word32(value, little) {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, little);
  return bytes;
}
