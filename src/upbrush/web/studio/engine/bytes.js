/** Bytes: joined, read as text and numbers, packed. */

/** @param {(Uint8Array|number[]|string)[]} parts texts are Latin-1 @returns {Uint8Array} */
export function joined(...parts) {
  const arrays = parts.map((part) => (typeof part === "string" ? latin(part) : part));
  const out = new Uint8Array(arrays.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of arrays) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** @param {string} text @returns {Uint8Array} */
export const latin = (text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0) & 0xff);

/** @param {Uint8Array} bytes @returns {string} */
export function textAt(bytes, from, length) {
  return String.fromCharCode(...bytes.subarray(from, from + length));
}

/** @param {Uint8Array} bytes @returns {DataView} */
export const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** A number in four bytes, the highest first. @returns {Uint8Array} */
export function big32(value) {
  return Uint8Array.of(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
}

/** A number in four bytes, the lowest first. @returns {Uint8Array} */
export const little32 = (value) => big32(value).reverse();

/** Pack as zlib does. @param {Uint8Array} bytes @returns {Promise<Uint8Array>} */
export const packed = (bytes) => through(bytes, new CompressionStream("deflate"));

/** Unpack what zlib packed. @param {Uint8Array} bytes @returns {Promise<Uint8Array>} */
export const unpacked = (bytes) => through(bytes, new DecompressionStream("deflate"));

async function through(bytes, stream) {
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());
}
