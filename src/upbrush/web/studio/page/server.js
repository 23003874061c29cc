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
 * @property {string} format png, jpeg or webp
 *
 * @typedef {{signal?: AbortSignal, progress?: (share: number) => void}} Watch
 */
import { UpbrushError } from "../engine/errors.js";

const AT_ONCE_PX = 250_000; // more pixels are painted as a job, which tells how far it is
const QUALITY = 95;

export class Server {
  /** @param {Object} about what the service says of itself */
  constructor(about) {
    this.about = about;
    this.place = "server";
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
    if (order.pixels > AT_ONCE_PX) return { blob: await job(form, "paint", watch) };
    const answer = await asked("v1/paint", { method: "POST", body: form, signal: watch.signal });
    return { blob: await answer.blob() };
  }

  /** The map of what was invented. @param {Order} order @param {Watch} [watch] */
  async invented(order, watch = {}) {
    const answer = await asked("v1/invented", { method: "POST", body: formOf(order), signal: watch.signal });
    const [share, top] = ["Upbrush-Invented", "Upbrush-Top"].map((name) => Number(answer.headers.get(name)));
    return { blob: await answer.blob(), share, top };
  }
}

function formOf(order) {
  const form = new FormData();
  form.append("picture", order.file, order.name);
  form.append("fidelity", order.fidelity);
  form.append("format", order.format);
  form.append("quality", QUALITY);
  if (order.style !== null) {
    form.append("style", order.style);
    form.append("strength", order.strength);
    form.append("keep_colours", order.keepColours);
  }
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

/** Paint as a job, whose progress is told; the service forgets it when its result is here. @returns {Promise<Blob>} */
async function job(form, kind, { signal, progress }) {
  form.append("kind", kind);
  const { id } = await (await asked("v1/jobs", { method: "POST", body: form, signal })).json();
  const forget = () => asked(`v1/jobs/${id}`, { method: "DELETE" }).catch(() => null);
  try {
    await ended(id, signal, progress);
    const { results, error } = await (await asked(`v1/jobs/${id}`)).json();
    const failed = results[0]?.error ?? error;
    if (failed) throw new UpbrushError(failed.type, failed.message);
    return await (await asked(results[0].url.replace(/^\//, ""), { signal })).blob();
  } finally {
    await forget();
  }
}

/** Wait for a job's end by its events. */
function ended(id, signal, progress) {
  return new Promise((resolve, reject) => {
    const events = new EventSource(new URL(`v1/jobs/${id}/events`, document.baseURI));
    const end = (settle, value) => {
      events.close();
      settle(value);
    };
    events.addEventListener("progress", ({ data }) => progress?.(JSON.parse(data).progress));
    for (const name of ["done", "failed", "cancelled"]) events.addEventListener(name, () => end(resolve));
    signal?.addEventListener("abort", () => end(reject, signal.reason));
  });
}
