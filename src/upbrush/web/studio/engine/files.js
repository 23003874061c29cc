/**
 * Files to pictures and back, in a browser: `picture.py` in JavaScript, as far as a browser reads and writes.
 *
 * PNG is read and written here, exactly. JPEG, WebP, AVIF and what else the browser knows are decoded by it, without
 * converting colours: the numbers stay in the space of their profile, which is written beside them again.
 */
import { pictureError } from "./errors.js";
import { dpiOf, noteOf, orientationOf, rewritten } from "./exif.js";
import * as jpeg from "./jpeg.js";
import { spaceOf } from "./painter.js";
import { eightBits, isNeutral, turned } from "./pixels.js";
import * as png from "./png.js";
import * as webp from "./webp.js";

const MOST_PIXELS = 40_000_000;

/** @param {Blob} file @returns {Promise<import("./pixels.js").Picture>} */
export async function read(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const beside = await besidesOf(bytes);
  const turn = orientationOf(beside.exif);
  const stored = png.isPng(bytes) ? await storedPng(bytes) : null;
  const picture = turned(stored ?? (await drawn(file, bytes, beside)), turn);
  const kept = ["RGB", "GRAY"].includes(spaceOf(beside.icc)) && !beside.cmyk ? beside.icc : null;
  const dpi = sensible(beside.dpi ?? dpiOf(beside.exif));
  return {
    ...picture,
    exif: beside.exif,
    icc: kept,
    xmp: upright(beside.xmp),
    dpi: dpi && turn > 4 ? [dpi[1], dpi[0]] : dpi,
  };
}

async function besidesOf(bytes) {
  if (png.isPng(bytes)) return png.besides(bytes);
  if (jpeg.isJpeg(bytes)) return jpeg.besides(bytes);
  if (webp.isWebp(bytes)) return webp.besides(bytes);
  return { exif: null, icc: null, xmp: null, dpi: null, grey: false };
}

function sensible(dpi) {
  return dpi?.every((value) => Number.isFinite(value) && value > 1 && value < 1e5)
    ? dpi.map((value) => Math.round(value * 100) / 100)
    : null;
}

/** An XMP packet whose orientation is reset: the pixels are upright already. */
function upright(xmp) {
  if (!xmp?.length) return null;
  const text = new TextDecoder("latin1").decode(xmp);
  const reset = text.replace(/(tiff:Orientation\s*(?:=\s*["']|>\s*))[2-8]/, "$11");
  return Uint8Array.from(xmp, (byte, at) => (text[at] === reset[at] ? byte : 0x31));
}

async function storedPng(bytes) {
  const head = png.headOf(bytes);
  if (head && head.width * head.height > MOST_PIXELS) throw tooLarge(head.width, head.height);
  const found = await png.decoded(bytes);
  if (!found) return null;
  const { width, height, channels, samples } = found;
  const [count, grey] = [width * height, channels < 3];
  const pixels = channels === 3 ? samples : new samples.constructor(3 * count);
  if (channels !== 3) {
    for (let at = 0; at < count; at++) {
      for (let k = 0; k < 3; k++) pixels[3 * at + k] = samples[at * channels + (grey ? 0 : k)];
    }
  }
  const alpha = channels % 2 ? null : samples.filter((_, at) => at % channels === channels - 1);
  return { width, height, pixels, alpha, grey: grey || (head.colour === png.PALETTE && isNeutral(pixels)) };
}

const tooLarge = (width, height) =>
  pictureError(
    `the picture has ${width}x${height} pixels, in a browser at most ${MOST_PIXELS / 1e6} million are painted; ` +
      "use the command line",
  );

/** A picture that the browser decodes, its numbers as stored. It is turned later: not every browser does so. */
async function drawn(file, bytes, beside) {
  const known = [jpeg, webp].find((kind) => (kind.isJpeg ?? kind.isWebp)(bytes));
  const bare = known ? new Blob([known.bare(bytes)], { type: file.type }) : file;
  const bitmap = await createImageBitmap(bare, { colorSpaceConversion: "none", premultiplyAlpha: "none" }).catch(() => {
    throw pictureError("this browser cannot read the file; give a PNG, a JPEG or a WebP, or let the server paint it");
  });
  const { width, height } = bitmap;
  if (width * height > MOST_PIXELS) throw tooLarge(width, height);
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  const count = width * height;
  const pixels = new Uint8Array(3 * count);
  const alpha = new Uint8Array(count);
  for (let at = 0; at < count; at++) {
    pixels[3 * at] = data[4 * at];
    pixels[3 * at + 1] = data[4 * at + 1];
    pixels[3 * at + 2] = data[4 * at + 2];
    alpha[at] = data[4 * at + 3];
  }
  const opaque = jpeg.isJpeg(bytes) || !alpha.some((value) => value < 255);
  return { width, height, pixels, alpha: opaque ? null : alpha, grey: beside.grey };
}

/**
 * Write a picture with all that it carries.
 *
 * @param {import("./pixels.js").Picture} picture
 * @param {{format: "png"|"jpeg"|"webp", quality: number, note: Record<string, string>}} how
 * @returns {Promise<Blob>}
 */
export async function write(picture, { format, quality, note }) {
  const { width, height } = picture;
  const software = noteOf(note);
  const exif = rewritten(picture.exif, [width, height], picture.dpi, software);
  const grey = picture.grey && format === "png"; // a browser's canvas has no grey
  const space = grey ? "GRAY" : "RGB";
  const icc = spaceOf(picture.icc) === space ? picture.icc : null;
  const beside = { exif, icc, xmp: picture.xmp, dpi: picture.dpi, software };
  if (format === "png") return writtenPng(picture, beside);
  const blob = await drawnAs(picture, `image/${format}`, quality / 100);
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const whole =
    format === "jpeg"
      ? jpeg.withBesides(bytes, beside)
      : webp.withBesides(bytes, beside, width, height, Boolean(picture.alpha));
  return new Blob([whole], { type: blob.type });
}

async function writtenPng({ width, height, pixels, alpha, grey }, beside) {
  const colours = grey ? 1 : 3;
  const channels = colours + (alpha ? 1 : 0);
  let samples = pixels;
  if (channels !== 3) {
    samples = new pixels.constructor(width * height * channels);
    for (let at = 0; at < width * height; at++) {
      for (let k = 0; k < colours; k++) samples[at * channels + k] = pixels[3 * at + k];
      if (alpha) samples[at * channels + colours] = alpha[at];
    }
  }
  return png.encoded(width, height, channels, samples, await png.besideChunks(beside));
}

async function drawnAs({ width, height, pixels, alpha }, type, quality) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  if (!context) throw pictureError(`this browser cannot write ${width}x${height} as ${type}; choose PNG`);
  const image = context.createImageData(width, height);
  const [colours, opacity] = [eightBits(pixels), alpha && eightBits(alpha)];
  for (let at = 0; at < width * height; at++) {
    const share = opacity && type === "image/jpeg" ? opacity[at] / 255 : 1; // JPEG has no transparency: laid on white
    for (let k = 0; k < 3; k++) image.data[4 * at + k] = Math.round(colours[3 * at + k] * share + 255 * (1 - share));
    image.data[4 * at + 3] = opacity && share === 1 && type !== "image/jpeg" ? opacity[at] : 255;
  }
  context.putImageData(image, 0, 0);
  const blob = await canvas.convertToBlob({ type, quality });
  if (blob.type !== type) throw pictureError(`this browser cannot write ${type}; choose PNG or JPEG`);
  return blob;
}
