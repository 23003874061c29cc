/**
 * Painting in this browser, off the page's thread. One order at a time; what is stopped ends at the next tile.
 *
 * Orders are {id, call, words}; answers {id, answer} or {id, error: {type, message}}; on the way {id, done, total}.
 * {id, stop: true} stops an order.
 */
import { UpbrushError, pictureError } from "./errors.js";
import { read, write } from "./files.js";
import { invented } from "./invention.js";
import { paint } from "./painter.js";
import { plainPixels } from "./pixels.js";
import { Runtime } from "./runtime.js";
import { targetSize } from "./sizes.js";
import { floatsOf, numbersOf, resolve, textOf } from "./styles.js";
import { styleView } from "./views.js";

const MOST_RESULT_PIXELS = 160_000_000;

let [engine, facts, queue] = [null, null, Promise.resolve()];
const [styles, stopping, spread] = [new Map(), new Map(), { of: null }];

const calls = {
  /** Open the model in a folder. */
  async open({ folder, gpu }) {
    const url = new URL(folder);
    const answer = await fetch(new URL("model.json", url));
    if (!answer.ok) throw new UpbrushError("WeightsError", `${url}model.json: not found; write the folder anew`);
    facts = await answer.json();
    for (const style of facts.styles) styles.set(style.name, { ...style, code: floatsOf(style.code) });
    if (facts.random) {
      spread.of = Object.fromEntries(Object.entries(facts.random).map(([key, text]) => [key, floatsOf(text)]));
    }
    engine = await Runtime.open(url, facts, gpu);
    return { provider: engine.provider, threads: engine.threads, version: facts.version, identity: facts.identity };
  },

  /** Know one's own styles, {name, title, code and mods as text…}. */
  async keep({ own }) {
    for (const [name, style] of styles) if (style.own) styles.delete(name);
    for (const style of own) styles.set(style.name, { ...style, code: numbersOf(style), own: true });
  },

  /** Sum pictures up as one style; returns the mean of their codes as text. */
  async encode({ files }) {
    const codes = [];
    for (const file of files) {
      const picture = await read(file);
      codes.push(await engine.encode(styleView(plainPixels(picture), picture.width, picture.height)));
    }
    return textOf(codes[0].map((_, at) => codes.reduce((sum, code) => sum + code[at], 0) / codes.length));
  },

  /** The code that words mean, as text, and the name of what they mean. */
  async resolve({ style }) {
    const { name, code } = resolve(style, (one) => styles.get(one), spread.of);
    return { name, code: textOf(code), model: facts.identity };
  },

  /** Paint a file: a Blob with its size. */
  async paint({ file, knobs, format, quality }, watch) {
    const source = await read(file);
    checkRoom(source, knobs);
    const style = knobs.style ? resolve(knobs.style, (one) => styles.get(one), spread.of) : null;
    const painted = await paint(engine, source, { ...knobs, code: style?.code ?? null }, watch);
    const note = { software: `upbrush ${facts.version}`, model: facts.identity, fidelity: `${knobs.fidelity}` };
    if (style) Object.assign(note, { style: style.name, strength: `${knobs.strength}` });
    const blob = await write(painted, { format, quality, note });
    return { blob, width: painted.width, height: painted.height };
  },

  /** The map of what was invented, as a PNG to lay over. */
  async invented({ file, knobs }, watch) {
    const source = await read(file);
    const style = knobs.style ? resolve(knobs.style, (one) => styles.get(one), spread.of) : null;
    const found = await invented(engine, source, { ...knobs, code: style?.code ?? null }, watch);
    const blob = await write(found.layer, { format: "png", quality: 100, note: { explains: "invented detail" } });
    return { blob, share: found.share, level: found.level, top: found.top };
  },
};

/** Refuse what a page's memory does not hold, before the work. */
function checkRoom({ width, height }, { scale, size }) {
  const [across, down] = targetSize(width, height, scale, size, engine.scale);
  if (across * down <= MOST_RESULT_PIXELS) return;
  throw pictureError(
    `the result would have ${across}x${down} pixels, a browser holds ${MOST_RESULT_PIXELS / 1e6} million; ` +
      "ask for less, or use the command line",
  );
}

async function serve({ id, call, words }) {
  const signal = stopping.get(id);
  try {
    if (signal.aborted) throw new DOMException("stopped", "AbortError");
    const progress = (done, total) => self.postMessage({ id, done, total });
    self.postMessage({ id, answer: await calls[call](words, { signal, progress }) });
  } catch (error) {
    if (!(error instanceof UpbrushError) && error.name !== "AbortError") console.warn(error);
    self.postMessage({ id, error: { type: error.type ?? error.name, message: error.message } });
  } finally {
    stopping.delete(id);
  }
}

self.onmessage = ({ data }) => {
  if (data.stop) {
    const signal = stopping.get(data.id);
    if (signal) signal.aborted = true;
    return;
  }
  stopping.set(data.id, { aborted: false });
  queue = queue.then(() => serve(data));
};
