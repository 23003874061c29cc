/** What travels beside a WebP's pixels: found, and put back. The pixels are the browser's. */
import { joined, little32, textAt, viewOf } from "./bytes.js";

const [HAS_ICC, HAS_ALPHA, HAS_EXIF, HAS_XMP] = [0x20, 0x10, 0x08, 0x04];

/** @param {Uint8Array} bytes */
export const isWebp = (bytes) => textAt(bytes, 0, 4) === "RIFF" && textAt(bytes, 8, 4) === "WEBP";

function chunksOf(bytes) {
  const [view, chunks] = [viewOf(bytes), []];
  for (let at = 12; at + 8 <= bytes.length;) {
    const length = view.getUint32(at + 4, true);
    chunks.push({ type: textAt(bytes, at, 4), data: bytes.subarray(at + 8, at + 8 + length) });
    at += 8 + length + (length & 1);
  }
  return chunks;
}

/** @param {Uint8Array} bytes */
export function besides(bytes) {
  const found = { exif: null, icc: null, xmp: null, dpi: null, grey: false };
  for (const { type, data } of chunksOf(bytes)) {
    if (type === "EXIF") found.exif = textAt(data, 0, 4) === "Exif" ? data.slice(6) : data.slice();
    if (type === "XMP ") found.xmp = data.slice();
    if (type === "ICCP") found.icc = data.slice();
  }
  return found;
}

/** A WebP of the browser's with what travels beside the pixels. */
export function withBesides(bytes, { exif, icc, xmp }, width, height, alpha) {
  const pixels = chunksOf(bytes).filter(({ type }) => ["ALPH", "VP8 ", "VP8L"].includes(type));
  const flags = (icc ? HAS_ICC : 0) | (alpha ? HAS_ALPHA : 0) | (exif ? HAS_EXIF : 0) | (xmp ? HAS_XMP : 0);
  const sides = joined(little32(width - 1).slice(0, 3), little32(height - 1).slice(0, 3));
  const body = [chunk("VP8X", joined([flags, 0, 0, 0], sides))];
  if (icc) body.push(chunk("ICCP", icc));
  body.push(...pixels.map(({ type, data }) => chunk(type, data)));
  if (exif) body.push(chunk("EXIF", exif));
  if (xmp) body.push(chunk("XMP ", xmp));
  const all = joined("WEBP", ...body);
  return joined("RIFF", little32(all.length), all);
}

function chunk(type, data) {
  return joined(type, little32(data.length), data, data.length & 1 ? [0] : []);
}

/** A WebP without what would make a browser turn it or convert its colours. */
export function bare(bytes) {
  const kept = chunksOf(bytes).filter(({ type }) => !["EXIF", "XMP ", "ICCP"].includes(type));
  const body = kept.map(({ type, data }) => {
    if (type !== "VP8X") return chunk(type, data);
    const head = data.slice();
    head[0] &= ~(HAS_ICC | HAS_EXIF | HAS_XMP);
    return chunk(type, head);
  });
  const all = joined("WEBP", ...body);
  return joined("RIFF", little32(all.length), all);
}
