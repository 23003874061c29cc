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
 * @typedef {{signal?: AbortSignal, progress?: (share: number) => void, began?: (id: string) => void}} Watch
 *   began: told of the job that goes on even where the page does not
 */
import { UpbrushError } from "../engine/errors.js";
import { wordsOf } from "../engine/png.js";

const AT_ONCE_PX = 147_000; // more pixels are more than one tile, and painted as a job, which tells how far it is
const QUALITY = 95;

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
    if (order.pixels > AT_ONCE_PX) return { blob: await this.job(form, "paint", watch) };
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

  /** Wait for a job's result; the service forgets it when it is here. @param {string} id @returns {Promise<Blob>} */
  async follow(id, { signal, progress } = {}) {
    const place = `v1/jobs/${encodeURIComponent(id)}`;
    try {
      await ended(place, signal, progress);
      const { results, error } = await (await asked(place)).json();
      const failed = results[0]?.error ?? error;
      if (failed) throw new UpbrushError(failed.type, failed.message);
      return await (await asked(results[0].url.replace(/^\//, ""), { signal })).blob();
    } finally {
      const stopped = await asked(place, { method: "DELETE" }).catch(() => null);
      if (stopped?.status === 200) await asked(place, { method: "DELETE" }).catch(() => null); // it had not ended
    }
  }

  /** Is the job still there? @param {string} id */
  async knows(id) {
    return asked(`v1/jobs/${encodeURIComponent(id)}`).then(
      () => true,
      () => false,
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

/** One request; an answer that is no good is thrown as the service says it. Who is asked to wait, waits. */
async function asked(path, how = {}) {
  for (;;) {
    const answer = await fetch(new URL(path, document.baseURI), how);
    if (answer.ok) return answer;
    const { error } = await answer.json().catch(() => ({ error: null }));
    const seconds = Number(answer.headers.get("Retry-After"));
    if ((answer.status !== 429 && answer.status !== 503) || !(seconds > 0)) {
      throw new UpbrushError(error?.type ?? "Error", error?.message ?? `${answer.status} ${answer.statusText}`);
    }
    await pause(seconds * 1000, how.signal);
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

/** Wait for a job's end by its events. */
function ended(place, signal, progress) {
  return new Promise((resolve, reject) => {
    const events = new EventSource(new URL(`${place}/events`, document.baseURI));
    const end = (settle, value) => {
      events.close();
      settle(value);
    };
    events.addEventListener("progress", ({ data }) => progress?.(JSON.parse(data).progress));
    for (const name of ["done", "failed", "cancelled"]) events.addEventListener(name, () => end(resolve));
    events.addEventListener("error", () => {
      // What the browser does not ask for again by itself is answered by asking for the job.
      if (events.readyState === EventSource.CLOSED) end(resolve);
    });
    signal?.addEventListener("abort", () => end(reject, signal.reason));
  });
}
