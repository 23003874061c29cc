/** The command line that paints the same. Pure. */

const SAFE = /^[\w@%+=:,./-]+$/;

/** A word as a shell takes it. @param {string} word */
export const quoted = (word) => (SAFE.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

/** @param {string} name of a file @returns {string} without its suffix */
export const stemOf = (name) => name.replace(/\.[^.]*$/, "") || "picture";

/** What the result is called. */
export function resultName({ name, style, format }) {
  const names = (style ?? "restored").split(",").map((part) => part.replace(/(?<!^random):[\d.]+$/, ""));
  const how = names
    .join("-")
    .replace(/[^\p{L}\p{N}]+/gu, "-")
    .replace(/^-|-$/g, "");
  return `${stemOf(name)}-${how}.${format === "jpeg" ? "jpg" : format}`;
}

/**
 * @param {import("./server.js").Order} order
 * @param {Set<string>} own names of one's own styles, which the command line reads from files
 * @returns {string}
 */
export function commandOf(order, own) {
  const words = ["upbrush", order.clip ? "video" : "paint", quoted(order.name)];
  if (order.style !== null) {
    const named = order.style.split(",").map((part) => {
      const name = part.replace(/(?<!^random):[\d.]+$/, "");
      return own.has(name) ? part.replace(name, `${name}.style`) : part;
    });
    words.push("--style", quoted(named.join(",")));
    if (order.strength !== 1) words.push("--strength", order.strength);
    if (order.keepColours) words.push("--keep-colours");
  }
  if (order.fidelity !== 0.5) words.push("--fidelity", order.fidelity);
  if (order.size !== null) words.push("--size", order.size);
  else if (order.scale !== 4) words.push("--scale", order.scale);
  if (order.wrap) words.push("--wrap");
  if (order.stereo) words.push("--stereo", order.stereo);
  words.push("-o", quoted(resultName(order)));
  return words.join(" ");
}
