/**
 * What a painting invented: `explain/invention.py` in JavaScript, with the colours of `explain/heat.py`.
 *
 * Three witnesses, in levels of 255: what the small picture cannot hold, what moves when it is asked mirrored, and what
 * moves with the fidelity knob. Together they are the map: the root of the sum of their squares.
 */
import { beyond, planeOf } from "./determined.js";
import { paint } from "./painter.js";
import { stopOf } from "./pixels.js";

const MOST_CELLS = 1_000_000;
const [VISIBLE, LEVELS] = [8, 255];
const FIDELITIES = [0, 0.5, 1];
const MIRRORS = [
  [false, true],
  [true, false],
  [true, true],
]; // top with bottom, left with right
const TOPS = [16, 32, 64];
// Share of the top, then red, green, blue and opacity: as in heat.py.
const RAMP = [
  [0.0, 255, 245, 190, 0.0],
  [0.12, 254, 224, 130, 0.3],
  [0.3, 253, 160, 70, 0.62],
  [0.55, 240, 70, 35, 0.8],
  [0.8, 190, 10, 40, 0.9],
  [1.0, 95, 0, 60, 0.95],
];

/** The same engine with mods held, so that equivalent pictures differ by what is rendered only. */
function held(engine) {
  const kept = [];
  let next = 0;
  return {
    scale: engine.scale,
    overlapPx: engine.overlapPx,
    render: (...words) => engine.render(...words),
    again: () => (next = 0),
    modulate: async (...words) => {
      if (next === kept.length) kept.push(await engine.modulate(...words));
      return kept[next++];
    },
  };
}

/**
 * The map of what was invented, as a picture to lay over the painting.
 *
 * @returns {Promise<{layer: import("./pixels.js").Picture, share: number, level: number, top: number}>} share of the
 *   picture with `VISIBLE` levels or more, the root mean square in levels, and where the colours end
 */
export async function invented(engine, source, knobs, watch = {}) {
  const others = FIDELITIES.filter((one) => one !== knobs.fidelity);
  const paintings = 1 + MIRRORS.length + others.length;
  let number = 0;
  const steps = () => {
    const mine = number++;
    return { ...watch, progress: (done, total) => watch.progress?.(mine * total + done, paintings * total) };
  };
  const steady = held(engine);
  const painted = await paint(steady, source, knobs, steps());
  const shape = cellsOf(source);
  const squares = cellMeans(added(painted, source), painted, shape);
  for (const mirror of MIRRORS) {
    steady.again();
    const answer = await paint(steady, mirrored(source, mirror), knobs, steps());
    const gap = gaps(painted, mirrored(answer, mirror), shape);
    gap.forEach((value, at) => (squares[at] += value / MIRRORS.length));
  }
  const undecided = new Float32Array(squares.length);
  for (const fidelity of others) {
    const answer = await paint(engine, source, { ...knobs, fidelity }, steps());
    gaps(painted, answer, shape).forEach((value, at) => (undecided[at] = Math.max(undecided[at], value)));
  }
  const weight = weightsOf(source, shape);
  const map = squares.map((value, at) => (weight[at] > 0 ? Math.sqrt(value + undecided[at]) : 0));
  return summary(map, weight, shape);
}

/** @returns {[number, number]} rows and columns of the map */
function cellsOf({ width, height }) {
  const side = Math.ceil(Math.sqrt((width * height) / MOST_CELLS));
  return [Math.ceil(height / side), Math.ceil(width / side)];
}

/** Squares of what was added, a mean over the channels, levels squared. */
function added(painted, { width, height }) {
  const squares = new Float32Array(painted.width * painted.height);
  for (let channel = 0; channel < 3; channel++) {
    const more = beyond(planeOf(painted, channel), width, height);
    for (let at = 0; at < squares.length; at++) squares[at] += (LEVELS * more[at]) ** 2 / 3;
  }
  return squares;
}

function gaps(painted, answer, shape) {
  const unit = LEVELS / stopOf(painted.pixels);
  const squares = new Float32Array(painted.width * painted.height);
  for (let at = 0; at < squares.length; at++) {
    for (let k = 0; k < 3; k++)
      squares[at] += (unit * (painted.pixels[3 * at + k] - answer.pixels[3 * at + k])) ** 2 / 3;
  }
  return cellMeans(squares, painted, shape);
}

/** Means over so many cells; each sample belongs to one. */
function cellMeans(values, { width, height }, [rows, columns]) {
  const cellOf = (count, length) => {
    const cells = new Int32Array(length);
    for (let cell = 0; cell < count; cell++) cells.fill(cell, Math.floor((cell * length) / count));
    return cells;
  };
  const [rowOf, columnOf] = [cellOf(rows, height), cellOf(columns, width)];
  const [sums, counts] = [new Float64Array(rows * columns), new Uint32Array(rows * columns)];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const cell = rowOf[y] * columns + columnOf[x];
      sums[cell] += values[y * width + x];
      counts[cell] += 1;
    }
  }
  return Float32Array.from(sums, (sum, cell) => sum / Math.max(1, counts[cell]));
}

function mirrored(picture, [rows, columns]) {
  const { width, height } = picture;
  const turn = (samples, channels) => {
    const out = new samples.constructor(samples.length);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const from = (rows ? height - 1 - y : y) * width + (columns ? width - 1 - x : x);
        for (let k = 0; k < channels; k++) out[(y * width + x) * channels + k] = samples[from * channels + k];
      }
    }
    return out;
  };
  return { ...picture, pixels: turn(picture.pixels, 3), alpha: picture.alpha && turn(picture.alpha, 1) };
}

/** How much of each cell can be seen. */
function weightsOf({ alpha, width, height }, shape) {
  if (!alpha?.some((value) => value > 0)) return new Float32Array(shape[0] * shape[1]).fill(1);
  const stop = stopOf(alpha);
  return cellMeans(
    Float32Array.from(alpha, (value) => value / stop),
    { width, height },
    shape,
  );
}

function summary(map, weight, [height, width]) {
  const sorted = map.slice().sort();
  const place = 0.95 * (sorted.length - 1);
  const most = sorted[Math.floor(place)] + (place % 1) * (sorted[Math.ceil(place)] - sorted[Math.floor(place)]);
  const top = TOPS.find((one) => most <= one) ?? TOPS.at(-1);
  let [seen, strong, squares] = [0, 0, 0];
  map.forEach((value, at) => {
    seen += weight[at];
    if (value >= VISIBLE) strong += weight[at];
    squares += weight[at] * value ** 2;
  });
  const layer = { width, height, ...coloured(map, top), grey: false, exif: null, icc: null, xmp: null, dpi: null };
  return { layer, share: strong / seen, level: Math.sqrt(squares / seen), top };
}

/** The colours of a map, 0…top and beyond. */
function coloured(map, top) {
  const [pixels, alpha] = [new Uint8Array(3 * map.length), new Uint8Array(map.length)];
  map.forEach((value, at) => {
    const share = Math.min(value / top, 1);
    const next = Math.max(
      1,
      RAMP.findIndex(([from]) => share <= from),
    );
    const [low, high] = [RAMP[next - 1], RAMP[next]];
    const part = (share - low[0]) / (high[0] - low[0]);
    const mix = (k) => low[k] + part * (high[k] - low[k]);
    for (let k = 0; k < 3; k++) pixels[3 * at + k] = Math.round(mix(k + 1));
    alpha[at] = Math.round(255 * mix(4));
  });
  return { pixels, alpha };
}
