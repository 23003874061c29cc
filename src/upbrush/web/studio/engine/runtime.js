/**
 * The model's three files behind calls, run by ONNX Runtime Web. To be used in a worker.
 *
 * One binary serves every browser: it computes with WebAssembly everywhere, and with WebGPU where the browser has both
 * a graphics processor and JavaScript Promise Integration (JSPI), by which WebAssembly waits for it.
 */
import { UpbrushError } from "./errors.js";

const VENDOR = new URL("../vendor/", import.meta.url);
const FILES = ["encoder", "modulator", "renderer"];
const MOST_THREADS = 8;
const AGREE = 1 / 255; // how far a graphics processor's trial tile may be from WebAssembly's

let runtime = null;

/** Unpack what was stored packed; a server that has unpacked it already is fine, too. */
export async function unpacked(answer) {
  const bytes = new Uint8Array(await answer.arrayBuffer());
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes.buffer;
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

async function fetched(url) {
  const answer = await fetch(url);
  if (!answer.ok) {
    throw new UpbrushError("WeightsError", `${url.pathname}: not found (${answer.status}); write the folder anew`);
  }
  return answer;
}

/** Load ONNX Runtime once. */
async function open() {
  if (!("Suspending" in WebAssembly)) {
    // Without JSPI nothing can wait, and on the CPU nothing has to: the same binary runs with these stand-ins.
    WebAssembly.Suspending = function Suspending(call) {
      return call;
    };
    WebAssembly.promising =
      (call) =>
      async (...words) =>
        call(...words);
    WebAssembly.noPromises = true;
  }
  const [ort, binary] = await Promise.all([
    import("../vendor/ort.jspi.min.mjs"),
    fetched(new URL("ort-wasm-simd-threaded.jspi.wasm.gz", VENDOR)).then(unpacked),
  ]);
  ort.env.logLevel = "error";
  ort.env.wasm.wasmBinary = binary;
  ort.env.wasm.wasmPaths = { mjs: new URL("ort-wasm-simd-threaded.jspi.mjs", VENDOR).href };
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, MOST_THREADS) : 1;
  return ort;
}

/** Is there a graphics processor that WebAssembly can wait for? One that is only imitated is slower than none. */
async function hasGpu(imitated) {
  try {
    const adapter = WebAssembly.noPromises ? null : await navigator.gpu?.requestAdapter();
    return Boolean(adapter) && (imitated || !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter));
  } catch {
    return false;
  }
}

/** The model run in this browser: an `Engine` of painter.js. */
export class Runtime {
  /** @param {Object} ort @param {Object} facts of model.json @param {Record<string, Object>} sessions */
  constructor(ort, facts, sessions, provider) {
    [this.ort, this.sessions, this.provider] = [ort, sessions, provider];
    [this.scale, this.overlapPx, this.codeSize] = [facts.scale, facts.overlap_px, facts.code_size];
    this.threads = ort.env.wasm.numThreads;
  }

  /**
   * Open a model.
   *
   * @param {URL} folder with the three files
   * @param {Object} facts what model.json says
   * @param {boolean|"imitated"} gpu whether a graphics processor may be used, for trials even an imitated one
   * @returns {Promise<Runtime>}
   */
  static async open(folder, facts, gpu = true) {
    runtime ??= open();
    const ort = await runtime;
    const files = await Promise.all(
      FILES.map(async (name) => {
        const answer = await fetched(new URL(`${name}.onnx`, folder));
        return new Uint8Array(await answer.arrayBuffer());
      }),
    );
    const sessions = {};
    for (const [at, name] of FILES.entries()) sessions[name] = await session(ort, files[at], "wasm");
    const plain = new Runtime(ort, facts, sessions, "wasm");
    return gpu && (await hasGpu(gpu === "imitated")) ? faster(plain, files[2], facts) : plain;
  }

  /** One run of a file. @returns {Promise<Float32Array>} */
  async run(name, feed) {
    const tensors = Object.entries(feed).map(([key, [data, dims]]) => [
      key,
      new this.ort.Tensor("float32", data, dims),
    ]);
    const answer = await this.sessions[name].run(Object.fromEntries(tensors));
    const tensor = Object.values(answer)[0];
    const data = await tensor.getData();
    tensor.dispose();
    return data;
  }

  /** Sum a style picture's view up. @returns {Promise<Float32Array>} */
  async encode({ pixels, width, height }) {
    const count = width * height;
    const planes = new Float32Array(3 * count);
    for (let at = 0; at < planes.length; at++) planes[at] = pixels[(at % count) * 3 + Math.floor(at / count)] / 255;
    return this.run("encoder", { style: [planes, [1, 3, height, width]] });
  }

  /** Turn thumbnail, code and knobs into mods. @returns {Promise<Float32Array>} */
  async modulate(thumbnail, code, strength, fidelity) {
    const mods = await this.run("modulator", {
      thumbnail: [thumbnail, [1, 6, 32, 32]],
      code: [code?.slice(0, this.codeSize) ?? new Float32Array(this.codeSize), [1, this.codeSize]],
      strength: [Float32Array.of(strength), [1, 1]],
      fidelity: [Float32Array.of(fidelity), [1, 1]],
    });
    const fitted = code?.subarray(this.codeSize) ?? []; // of a fitted style: what is added to its mods
    return fitted.length ? mods.map((value, at) => value + strength * fitted[at]) : mods;
  }

  /** Enlarge one tile. @returns {Promise<Float32Array>} */
  async render(low, height, width, mods) {
    // The Renderer mirrors what lies before a border: where a side is one pixel long, there is nothing.
    const [rows, columns] = [Math.max(2, height), Math.max(2, width)];
    const seen = repeated(low, height, width, rows, columns);
    const high = await this.run("renderer", { low: [seen, [1, 3, rows, columns]], mods: [mods, [1, mods.length]] });
    return repeated(high, this.scale * rows, this.scale * columns, this.scale * height, this.scale * width);
  }
}

/** Planes of one size cut to another, or their last row and column repeated. @returns {Float32Array} */
function repeated(planes, height, width, rows, columns) {
  if (height === rows && width === columns) return planes;
  return Float32Array.from({ length: 3 * rows * columns }, (_, at) => {
    const [y, x] = [Math.floor(at / columns) % rows, at % columns];
    const plane = Math.floor(at / (rows * columns));
    return planes[(plane * height + Math.min(y, height - 1)) * width + Math.min(x, width - 1)];
  });
}

const session = (ort, bytes, provider) =>
  ort.InferenceSession.create(bytes, { executionProviders: [provider], logSeverityLevel: 3 });

/** The same model with its renderer on the graphics processor, if that draws a trial tile as WebAssembly does. */
async function faster(plain, renderer, facts) {
  try {
    const sessions = { ...plain.sessions, renderer: await session(plain.ort, renderer, "webgpu") };
    const quick = new Runtime(plain.ort, facts, sessions, "webgpu");
    const px = 2 * plain.overlapPx + 2;
    const low = Float32Array.from({ length: 3 * px * px }, (_, at) => ((at * 7919) % 256) / 255);
    const mods = await plain.modulate(new Float32Array(6 * 32 * 32).fill(0.3), null, 0, 0.5);
    const [one, other] = [await plain.render(low, px, px, mods), await quick.render(low, px, px, mods)];
    if (one.every((value, at) => Math.abs(value - other[at]) < AGREE)) return quick;
  } catch (error) {
    console.info("WebGPU cannot run the model here, WebAssembly does:", error.message);
  }
  return plain;
}
