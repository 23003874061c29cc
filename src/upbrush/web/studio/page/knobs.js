/** The knobs of the page: read, set, shown. */
import { UpbrushError } from "../engine/errors.js";
import { targetSize } from "../engine/sizes.js";
import { fill } from "./sliding.js";
import { say, sayTime } from "./words.js";

const $ = (id) => document.getElementById(id);
const MEGA = 1e6;
const WORTH_TELLING_S = 3; // shorter waits are not announced

/** What the knobs say now. @returns {Object} the part of an order that does not depend on picture and style */
export function knobs() {
  const long = $("scale").value === "long";
  return {
    strength: Number($("strength").value) / 100,
    fidelity: Number($("fidelity").value) / 100,
    keepColours: $("colours").checked,
    scale: long ? null : Number($("scale").value),
    size: long ? `long:${Math.round(Number($("long").value)) || 0}` : null,
    wrap: $("wrap").checked,
    stereo: $("stereo").value || null,
    format: $("format").value,
  };
}

const [VALUES, CHECKS] = [
  ["strength", "fidelity", "scale", "long", "stereo", "format"],
  ["colours", "wrap"],
];

/** All positions, to be had again. */
export function positions() {
  const values = VALUES.map((id) => [id, $(id).value]);
  return Object.fromEntries([...values, ...CHECKS.map((id) => [id, $(id).checked])]);
}

/** @param {Object} kept what `positions` gave */
export function setPositions(kept) {
  for (const id of VALUES) if (id in kept) $(id).value = kept[id];
  for (const id of CHECKS) if (id in kept) $(id).checked = kept[id];
}

/** Show what follows from the knobs. @param {boolean} styled whether there is a style, without which some do nothing */
export function tellKnobs(styled) {
  for (const id of ["strength", "fidelity"]) {
    $(`${id}-now`).textContent = `${$(id).value} %`;
    fill($(id));
  }
  for (const id of ["strength", "colours"]) $(id).disabled = !styled;
  $("long-field").hidden = $("scale").value !== "long";
}

/**
 * How large the result will be, in words. Throws UpbrushError where it cannot be.
 *
 * @param {{width: number, height: number, perPixel: number|null}} easel
 * @param {Object} order @param {{pixels: number, result_pixels: number}} limits of who paints
 */
export function sizeWords({ width, height, perPixel, frames }, order, limits) {
  const [across, down] = targetSize(width, height, order.scale, order.size);
  const refuse = (key, most) => {
    throw new UpbrushError("LimitError", say(key, { width, height, across, down, most: Math.round(most / MEGA) }));
  };
  if (width * height > limits.pixels) refuse("too_many_in", limits.pixels);
  if (across * down > limits.result_pixels) refuse("too_many_out", limits.result_pixels);
  const axis = { side: [width, across], over: [height, down] }[order.stereo] ?? [];
  if (axis.some((side) => side % 2)) refuse("odd_eyes", 0);
  const seconds = secondsOf({ width, height, perPixel, frames }, order);
  const words = say("sizes", { width, height, across, down });
  return seconds < WORTH_TELLING_S ? words : `${words} · ${say("about_time", { time: sayTime(seconds) })}`;
}

/** How long it takes, judged by the last preview; 0 where none has been. */
export function secondsOf({ width, height, perPixel, frames }, order) {
  const [across] = targetSize(width, height, order.scale, order.size);
  const passes = across > 4 * width ? 1 + 4 ** 2 : 1; // the second enlarges what the first made
  return ((perPixel ?? 0) * width * height * passes * (order.clip ? frames : 1)) / 1000;
}
