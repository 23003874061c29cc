/** What travels beside a JPEG's pixels: found, and put back. The pixels are the browser's. */
import { joined, latin, textAt, viewOf } from "./bytes.js";

const [EXIF, XMP, ICC] = ["Exif\0\0", "http://ns.adobe.com/xap/1.0/\0", "ICC_PROFILE\0"];
const MOST_SEGMENT = 65533;

/** @param {Uint8Array} bytes */
export const isJpeg = (bytes) => bytes[0] === 0xff && bytes[1] === 0xd8;

/** The segments before the pixels. @returns {{marker: number, data: Uint8Array, from: number, to: number}[]} */
function segmentsOf(bytes) {
  const [view, segments] = [viewOf(bytes), []];
  for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff;) {
    const marker = bytes[at + 1];
    const to = at + 2 + view.getUint16(at + 2);
    if (marker === 0xda || to > bytes.length) break;
    segments.push({ marker, data: bytes.subarray(at + 4, to), from: at, to });
    at = to;
  }
  return segments;
}

/** @param {Uint8Array} bytes */
export function besides(bytes) {
  const found = { exif: null, icc: null, xmp: null, dpi: null, grey: false, cmyk: false };
  const profile = [];
  for (const { marker, data } of segmentsOf(bytes)) {
    const starts = (word) => textAt(data, 0, word.length) === word;
    if (marker === 0xe1 && starts(EXIF)) found.exif ??= data.slice(EXIF.length);
    else if (marker === 0xe1 && starts(XMP)) found.xmp ??= data.slice(XMP.length);
    else if (marker === 0xe2 && starts(ICC)) profile[data[ICC.length] - 1] = data.slice(ICC.length + 2);
    else if (marker === 0xe0 && starts("JFIF\0") && data[7] > 0) found.dpi = density(data);
    else if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      [found.grey, found.cmyk] = [data[5] === 1, data[5] === 4];
    }
  }
  if (profile.length) found.icc = joined(...profile.filter(Boolean));
  return found;
}

function density(data) {
  const view = viewOf(data);
  const inch = data[7] === 2 ? 2.54 : 1;
  return [view.getUint16(8) * inch, view.getUint16(10) * inch];
}

/** A JPEG of the browser's with what travels beside the pixels in place of what the browser wrote. */
export function withBesides(bytes, { exif, icc, xmp, dpi }) {
  const parts = [bytes.slice(0, 2)];
  if (dpi) {
    const [across, down] = dpi.map((value) => Math.round(value));
    parts.push(segment(0xe0, joined("JFIF\0", [1, 1, 1, across >> 8, across & 255, down >> 8, down & 255, 0, 0])));
  }
  if (exif && exif.length + EXIF.length <= MOST_SEGMENT) parts.push(segment(0xe1, joined(EXIF, exif)));
  if (xmp && xmp.length + XMP.length <= MOST_SEGMENT) parts.push(segment(0xe1, joined(XMP, xmp)));
  if (icc) parts.push(...profileSegments(icc));
  const kept = segmentsOf(bytes).filter(({ marker }) => ![0xe1, 0xe2, dpi ? 0xe0 : 0xe1].includes(marker));
  const end = segmentsOf(bytes).at(-1)?.to ?? 2;
  return joined(...parts, ...kept.map(({ from, to }) => bytes.slice(from, to)), bytes.subarray(end));
}

function profileSegments(icc) {
  const room = MOST_SEGMENT - ICC.length - 2;
  const count = Math.ceil(icc.length / room);
  return Array.from({ length: count }, (_, at) =>
    segment(0xe2, joined(ICC, [at + 1, count], icc.subarray(at * room, (at + 1) * room))),
  );
}

function segment(marker, data) {
  const length = data.length + 2;
  return joined(latin(`\xff${String.fromCharCode(marker)}`), [length >> 8, length & 255], data);
}

/** A JPEG without what would make a browser turn it or convert its colours. */
export const bare = (bytes) => withBesides(bytes, { exif: null, icc: null, xmp: null, dpi: null });
