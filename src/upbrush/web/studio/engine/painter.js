/**
 * Picture in, picture out: `painter.py` in JavaScript.
 *
 * @typedef {Object} Engine the model's files behind calls
 * @property {number} scale
 * @property {number} overlapPx
 * @property {(thumbnail: Float32Array, code: Float32Array|null, strength: number, fidelity: number)
 *   => Promise<Float32Array>} modulate
 * @property {(low: Float32Array, height: number, width: number, mods: Float32Array) => Promise<Float32Array>} render
 *   planes in, planes out, `scale` times larger
 *
 * @typedef {Object} Knobs
 * @property {Float32Array|null} code a style's numbers: `styles.Style`
 * @property {number} strength 0 restores, 1 repaints
 * @property {number} fidelity 1 is truest to the picture, 0 is sharpest
 * @property {boolean} keepColours repaint strokes only
 * @property {number|null} scale how many times larger
 * @property {string|null} size instead of a scale
 * @property {boolean} [wrap] the picture goes all the way round
 * @property {"side"|"over"|null} [stereo] two eyes
 */
import { enlarged, spread } from "./alpha.js";
import { Canvas } from "./canvas.js";
import { UpbrushError, configError, stopped } from "./errors.js";
import { cutRound, enlargedRound, eyes, eyeTarget, joinedEyes, surrounded } from "./panorama.js";
import { isNeutral, stopOf } from "./pixels.js";
import { targetSize } from "./sizes.js";
import { cut, moved, times } from "./tiles.js";
import { thumbnail } from "./views.js";

export const TILE_PX = 256; // of low pixels: some 230 MB while it is rendered, and short enough to be stopped
const LUMA = [0.299, 0.587, 0.114].map(Math.fround); // ITU-R BT.601, full range

/**
 * Enlarge a picture; with a code, repaint it.
 *
 * @param {Engine} engine
 * @param {import("./pixels.js").Picture} source left as it is
 * @param {Knobs} knobs
 * @param {{progress?: (done: number, total: number) => void, signal?: {aborted: boolean}, tilePx?: number}} [watch]
 * @returns {Promise<import("./pixels.js").Picture>}
 */
export async function paint(engine, source, knobs, watch = {}) {
  for (const name of ["strength", "fidelity"]) {
    if (!(knobs[name] >= 0 && knobs[name] <= 1)) throw configError(`${name} ${knobs[name]} is not in 0…1`);
  }
  const { stereo = null, wrap = false } = knobs;
  const whole = targetSize(source.width, source.height, knobs.scale, knobs.size, engine.scale);
  const [across, down] = eyeTarget(whole, stereo);
  const code = knobs.strength > 0 ? knobs.code : null;
  const parts = eyes(source, stereo).map((eye) => partOf(eye, code === null || knobs.keepColours));
  const passes = plan(engine, parts[0].low, [down, across], watch.tilePx ?? TILE_PX, wrap);
  const total = parts.length * passes.reduce((sum, one) => sum + one.tiles.length, 0);
  let done = 0;
  watch.progress?.(0, total);
  for (const [number, one] of passes.entries()) {
    // Only the first pass paints in the style; what follows enlarges its strokes as they are. Eyes have one look.
    const lows = parts.map(({ low }) => low);
    const look = await lookOf(engine, lows, number === 0 ? code : null, knobs);
    // Between two passes 16 bits are kept: rounding to 8 would be seen as grain in the next.
    const like = number === passes.length - 1 ? source.pixels : new Uint16Array(0);
    for (const part of parts) {
      part.low = await run(engine, part.low, one, { ...look, grey: part.grey }, like, () => {
        watch.progress?.(++done, total);
        if (watch.signal?.aborted) throw stopped();
      });
    }
  }
  const larger = wrap ? enlargedRound : enlarged;
  const painted = parts.map(({ low, eye: { alpha, width, height } }) => ({
    ...low,
    alpha: alpha && larger(alpha, width, height, across, down),
  }));
  const { grey } = parts[0];
  return {
    ...source,
    ...joinedEyes(painted, stereo),
    grey: source.grey && grey,
    icc: source.grey && !grey && spaceOf(source.icc) === "GRAY" ? null : source.icc,
  };
}

/** What is painted of a picture, or of one eye of it: under what is transparent, the colours around it. */
function partOf(eye, keepsColours) {
  const { width, height, alpha } = eye;
  const low = { width, height, pixels: alpha ? spread(eye.pixels, alpha, width, height) : eye.pixels };
  return { eye, low, grey: keepsColours && (eye.grey || isNeutral(low.pixels)) };
}

/** The colour space that a profile is for, such as "RGB" or "GRAY"; null for what is no profile. */
export function spaceOf(icc) {
  if (!icc || icc.length < 132 || String.fromCharCode(...icc.subarray(36, 40)) !== "acsp") return null;
  return String.fromCharCode(...icc.subarray(16, 20)).trim();
}

/** The enlargements that reach the target, the last one brought down to it. */
function plan(engine, { width, height }, target, tilePx, wrap) {
  const passes = [];
  while (!passes.length || height < target[0] || width < target[1]) {
    const tiles = (wrap ? cutRound : cut)(height, width, Math.max(tilePx, 2 * engine.overlapPx + 1), engine.overlapPx);
    [height, width] = [height * engine.scale, width * engine.scale];
    passes.push({ high: [height, width], target: [height, width], tiles, wrap });
  }
  passes.at(-1).target = target;
  return passes;
}

/** Sum the whole picture up, once, so that all its tiles have one look. */
async function lookOf(engine, lows, code, { strength, fidelity, keepColours }) {
  const summaries = lows.map((low) => thumbnail(low.pixels, low.width, low.height));
  const summary = summaries[0].map((_, at) => summaries.reduce((sum, one) => sum + one[at], 0) / summaries.length);
  const restored = code === null || keepColours ? await engine.modulate(summary, null, 0, fidelity) : null;
  if (code === null) return { mods: restored, restored: null };
  return { mods: await engine.modulate(summary, code, strength, fidelity), restored };
}

/** Render a pass. */
async function run(engine, low, one, look, like, told) {
  const { scale } = engine;
  const canvas = new Canvas(one.high, one.target, look.grey ? 1 : 3, like, one.wrap);
  const reach = one.wrap ? engine.overlapPx : 0;
  const seen = one.wrap ? surrounded(low, reach) : low;
  for (const tile of one.tiles) {
    const { outer, inner } = tile;
    const [height, width] = [outer.bottom - outer.top, outer.right - outer.left];
    const high = await rendered(engine, planesOf(seen, outer), height, width, look);
    const from = times(moved(inner, reach - outer.top, reach - outer.left), scale);
    canvas.put(times(inner, scale), high, width * scale, from.top, from.left);
    await new Promise((resolve) => setTimeout(resolve)); // lets messages in, so that a stop is heard
    told();
  }
  return { width: one.target[1], height: one.target[0], pixels: look.grey ? tripled(canvas.done) : canvas.done };
}

/** The part of a picture that a tile sees, as three planes of floats in 0…1. */
function planesOf({ pixels, width }, box) {
  const count = (box.bottom - box.top) * (box.right - box.left);
  const planes = new Float32Array(3 * count);
  const stop = stopOf(pixels);
  let to = 0;
  for (let y = box.top; y < box.bottom; y++) {
    for (let from = (y * width + box.left) * 3, end = from + 3 * (box.right - box.left); from < end; from += 3, to++) {
      planes[to] = pixels[from] / stop;
      planes[count + to] = pixels[from + 1] / stop;
      planes[2 * count + to] = pixels[from + 2] / stop;
    }
  }
  return planes;
}

/** Render a tile as its look wants it: pixels of three numbers in 0…1, or of one for grey. */
async function rendered(engine, low, height, width, look) {
  const high = clipped(await engine.render(low, height, width, look.mods));
  const count = high.length / 3;
  if (look.restored) {
    // Adding one number to R, G and B changes luminance and leaves both chroma differences as they are.
    const restored = clipped(await engine.render(low, height, width, look.restored));
    for (let at = 0; at < count; at++) {
      const more = luminance(high, at, count) - luminance(restored, at, count);
      for (let channel = 0; channel < 3; channel++) {
        high[channel * count + at] = restored[channel * count + at] + more;
      }
    }
  }
  return look.grey ? Float32Array.from({ length: count }, (_, at) => luminance(high, at, count)) : interleaved(high);
}

const luminance = (planes, at, count) =>
  LUMA[0] * planes[at] + LUMA[1] * planes[count + at] + LUMA[2] * planes[2 * count + at];

function clipped(planes) {
  const out = new Float32Array(planes.length);
  for (let at = 0; at < planes.length; at++) {
    const value = planes[at];
    if (!Number.isFinite(value)) {
      throw new UpbrushError("WeightsError", "the model gave numbers that are not finite; use another model");
    }
    out[at] = value < 0 ? 0 : value > 1 ? 1 : value;
  }
  return out;
}

function interleaved(planes) {
  const count = planes.length / 3;
  const out = new Float32Array(planes.length);
  for (let at = 0, to = 0; at < count; at++, to += 3) {
    out[to] = planes[at];
    out[to + 1] = planes[count + at];
    out[to + 2] = planes[2 * count + at];
  }
  return out;
}

function tripled(plane) {
  const out = new plane.constructor(plane.length * 3);
  for (let at = 0, to = 0; at < plane.length; at++, to += 3) out[to] = out[to + 1] = out[to + 2] = plane[at];
  return out;
}
