/**
 * Painting by the server. It and `Local` answer the same calls:
 *
 * @typedef {Object} Order what is to be painted
 * @property {Blob} file
 * @property {string} name of the file
 * @property {number} pixels how many it has
 * @property {string|null} style words, null restores
 * @property {number} strength @property {number} fidelity @property {boolean} keepColours
 * @property {number|null} scale @property {string|null} size
 * @property {boolean} wrap all the way round @property {string|null} stereo two eyes: side or over
 * @property {string} format png, jpeg or webp; of a clip mp4, webm, gif or webp
 * @property {boolean} [clip]
 *
 * @typedef {Object} Watch
 * @property {AbortSignal} [signal]
 * @property {(share: number) => void} [progress]
 * @property {(id: string) => void} [began] told of the job that goes on even where the page does not
 * @property {() => void} [over] told when that job is there no longer
 * @property {(error: Error) => void} [silent] told that the service does not answer; it is asked again
 * @property {() => void} [heard] told that it has answered
 */
import { UpbrushError, stopped } from "../engine/errors.js";
import { wordsOf } from "../engine/png.js";

const AT_ONCE_PX = 147_000; // more pixels are more than one tile: a job, where it is to be told how far it is
const QUALITY = 95;
const [FIRST_PAUSE_MS, LONGEST_PAUSE_MS] = [500, 15_000]; // before the service is asked again
const DOWNLOADS = 4; // how often a result is tried to be had

export class Server {
  /** @param {Object} about what the service says of itself */
  constructor(about) {
    this.about = about;
    this.place = "server";
    this.films = true; // takes clips
  }

  /** Find the service of this page. The word in the address opens it, once. @returns {Promise<Server>} */
  static async open() {
    const token = new URLSearchParams(location.hash.slice(1)).get("token");
    if (token) {
      history.replaceState(null, "", location.pathname + location.search);
      await asked("v1/session", { method: "POST", headers: { authorization: `Bearer ${token}` } });
    }
    return new Server(await (await asked("v1")).json());
  }

  /** The library, then one's own. */
  async styles() {
    return (await (await asked("v1/styles")).json()).styles;
  }

  /** Make a style of pictures, or keep a .style file. @param {File[]} files @param {string} title */
  async addStyle(files, title) {
    const form = new FormData();
    form.append("name", title);
    for (const file of files) form.append(file.name.endsWith(".style") ? "style_file" : "picture", file, file.name);
    return (await asked("v1/styles", { method: "POST", body: form })).json();
  }

  /** @param {string} name */
  async removeStyle(name) {
    await asked(`v1/styles/${encodeURIComponent(name)}`, { method: "DELETE" });
  }

  /** The .style file of a style. @param {string} name @returns {Promise<Blob>} */
  async styleFile(name) {
    return (await asked(`v1/styles/${encodeURIComponent(name)}`)).blob();
  }

  /** @param {Order} order @param {Watch} [watch] @returns {Promise<{blob: Blob}>} */
  async paint(order, watch = {}) {
    const form = formOf(order);
    if (order.clip) return { blob: await this.job(form, "video", watch) };
    // A preview is none: whoever moves a slider would leave jobs behind.
    if (watch.progress && order.pixels > AT_ONCE_PX) return { blob: await this.job(form, "paint", watch) };
    const answer = await asked("v1/paint", { method: "POST", body: form, signal: watch.signal });
    return { blob: await answer.blob() };
  }

  /** The map of what was invented: six paintings, so always a job. @param {Order} order @param {Watch} [watch] */
  async invented(order, watch = {}) {
    const blob = await this.job(formOf(order), "invented", watch);
    const told = wordsOf(new Uint8Array(await blob.arrayBuffer()));
    return { blob, share: Number(told["Upbrush-Invented"]), top: Number(told["Upbrush-Top"]) };
  }

  /** Paint as a job, whose progress is told. @returns {Promise<Blob>} */
  async job(form, kind, watch) {
    form.append("kind", kind);
    const how = { method: "POST", body: form, signal: watch.signal };
    const { id } = await (await asked("v1/jobs", how)).json();
    watch.began?.(id);
    return this.follow(id, watch);
  }

  /**
   * Wait for a job's result. The service forgets the job when its result is here, or when the person stops it: whatever
   * else happens, hours of painting stay where they are, and can be followed again.
   *
   * @param {string} id @param {Watch} [watch] @returns {Promise<Blob>}
   */
  async follow(id, watch = {}) {
    const place = `v1/jobs/${encodeURIComponent(id)}`;
    const forget = async () => {
      const answer = await asked(place, { method: "DELETE" }).catch(() => null);
      if (answer?.status === 200) await asked(place, { method: "DELETE" }).catch(() => null); // it had not ended
      watch.over?.();
    };
    try {
      const { results, error } = await ended(place, watch);
      const failed = results[0]?.error ?? error;
      if (!failed && results[0]?.url) {
        const blob = await brought(results[0].url.replace(/^\//, ""), watch);
        await forget();
        return blob;
      }
      watch.over?.(); // nothing will come of it
      throw failed ? new UpbrushError(failed.type, failed.message) : stopped();
    } catch (error) {
      if (watch.signal?.aborted) await forget();
      else if (error.status === 404) watch.over?.();
      throw error;
    }
  }

  /** Is the job still there? Where nobody answers it may be. @param {string} id */
  async knows(id) {
    return asked(`v1/jobs/${encodeURIComponent(id)}`).then(
      () => true,
      (error) => error.status !== 404,
    );
  }
}

function formOf(order) {
  const form = new FormData();
  form.append(order.clip ? "clip" : "picture", order.file, order.name);
  form.append("fidelity", order.fidelity);
  form.append(order.clip ? "container" : "format", order.format);
  form.append("quality", QUALITY);
  if (order.style !== null) {
    form.append("style", order.style);
    form.append("strength", order.strength);
    form.append("keep_colours", order.keepColours);
  }
  if (order.wrap) form.append("wrap", true);
  if (order.stereo) form.append("stereo", order.stereo);
  if (order.size !== null) form.append("size", order.size);
  else if (order.scale !== null) form.append("scale", order.scale);
  return form;
}

/**
 * One request; an answer that is no good is thrown as the service says it. Who is asked to wait, waits. A proxy's word
 * that there is no service is thrown as fetch throws it where nobody answers.
 */
async function asked(path, how = {}) {
  for (;;) {
    const answer = await fetch(new URL(path, document.baseURI), how);
    if (answer.ok) return answer;
    const { error } = await answer.json().catch(() => ({ error: null }));
    const seconds = Number(answer.headers.get("Retry-After"));
    if ((answer.status !== 429 && answer.status !== 503) || !(seconds > 0)) {
      const words = error?.message ?? `${answer.status} ${answer.statusText}`;
      if (!error && answer.status >= 500) throw new TypeError(words);
      throw Object.assign(new UpbrushError(error?.type ?? "Error", words), { status: answer.status });
    }
    await pause(seconds * 1000, how.signal);
  }
}

/** Does an error pass by itself, when the service is there again? */
const passes = (error) => error instanceof TypeError || error.status >= 500;

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const off = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", off);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", off, { once: true });
  });
}

/** Wait for a job's end: by its events, and where they break off by asking, ever less often. @returns what it became */
async function ended(place, { signal, progress, silent, heard }) {
  for (let wait = FIRST_PAUSE_MS; ; wait = Math.min(2 * wait, LONGEST_PAUSE_MS)) {
    if (await listened(place, signal, progress)) wait = FIRST_PAUSE_MS;
    try {
      const job = await (await asked(place, { signal })).json();
      heard?.();
      if (job.state !== "waiting" && job.state !== "running") return job;
      progress?.(job.progress);
    } catch (error) {
      if (!passes(error)) throw error;
      silent?.(error);
    }
    await pause(wait, signal);
  }
}

/** Listen to a job's events until they end, however they do. @returns {Promise<boolean>} whether anything was heard */
function listened(place, signal, progress) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const events = new EventSource(new URL(`${place}/events`, document.baseURI));
    let any = false;
    const end = (settle, value) => {
      events.close();
      signal?.removeEventListener("abort", off);
      settle(value);
    };
    const off = () => end(reject, signal.reason);
    events.addEventListener("progress", ({ data }) => {
      any = true;
      progress?.(JSON.parse(data).progress);
    });
    for (const name of ["done", "failed", "cancelled", "error"]) {
      events.addEventListener(name, () => end(resolve, any));
    }
    signal?.addEventListener("abort", off, { once: true });
  });
}

/** Bring a result; one that breaks off on its way is tried again, a few times. @returns {Promise<Blob>} */
async function brought(url, { signal, silent, heard }) {
  for (let turn = 1, wait = FIRST_PAUSE_MS; ; turn += 1, wait *= 2) {
    try {
      const blob = await (await asked(url, { signal })).blob();
      heard?.();
      return blob;
    } catch (error) {
      if (!passes(error) || turn === DOWNLOADS) throw error;
      silent?.(error);
    }
    await pause(wait, signal);
  }
}
