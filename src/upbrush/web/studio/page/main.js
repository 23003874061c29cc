/** The studio: what a person does, told to the painter; what the painter makes, shown. */
import { targetSize } from "../engine/sizes.js";
import { commandOf, resultName } from "./command.js";
import { Easel } from "./easel.js";
import { showGrid } from "./grid.js";
import { intake } from "./intake.js";
import { Local } from "./local.js";
import { Server } from "./server.js";
import { Shelf } from "./shelf.js";
import { announce, complain } from "./telling.js";
import { Viewer } from "./viewer.js";
import { firstLanguage, keepLanguage, say, speak } from "./words.js";
import { busy, stop, work } from "./working.js";

const $ = (id) => document.getElementById(id);
const GRID_PX = 96;
const HAS_SERVER = document.querySelector('meta[name="upbrush-server"]').content === "yes";
const KEPT_THEME = "upbrush-theme";
const KEPT_PLACE = "upbrush-place";

const viewer = new Viewer();
const easel = new Easel(
  (copy, signal) => painter.paint({ ...order(), ...copy, ...SMALL }, { signal }),
  shown,
  complain,
);
const shelf = new Shelf(changed, removeStyle);
const painters = {}; // those that were opened, by their place
const SMALL = { name: "preview.png", scale: 4, size: null, format: "png" };
const urls = {}; // what is shown now: before, after, overlay

let painter = null;
let result = null;

/** What is asked for now. @returns {import("./server.js").Order} */
function order() {
  const long = $("scale").value === "long";
  return {
    file: easel.file,
    name: easel.file?.name || "picture.png",
    pixels: easel.width * easel.height,
    style: shelf.words,
    strength: Number($("strength").value) / 100,
    fidelity: Number($("fidelity").value) / 100,
    keepColours: $("colours").checked,
    scale: long ? null : Number($("scale").value),
    size: long ? `long:${Math.round(Number($("long").value)) || 0}` : null,
    format: $("format").value,
  };
}

/** A style or a knob is another: what was painted is out of date. */
function changed() {
  tell();
  outdated();
  if (easel.file && painter) {
    viewer.fade();
    easel.refresh();
  }
}

/** A result of other settings is not offered any more. */
function outdated() {
  result = null;
  $("download").hidden = true;
  hideInvented();
}

/** Everything on the page that follows from the knobs. */
function tell() {
  const now = order();
  $("strength-now").textContent = `${$("strength").value} %`;
  $("fidelity-now").textContent = `${$("fidelity").value} %`;
  for (const id of ["strength", "colours"]) $(id).disabled = now.style === null;
  $("long-field").hidden = now.size === null;
  $("command").textContent = commandOf(now, shelf.own);
  $("style-file").hidden = ![...shelf.own].some((name) => shelf.mix.some((part) => part.name === name));
  for (const id of ["paint", "grid-open", "invented"]) $(id).disabled = !easel.file || !painter;
  $("sizes").textContent = easel.file ? sizeWords(now) : "";
}

function sizeWords({ scale, size }) {
  try {
    const [across, down] = targetSize(easel.width, easel.height, scale, size);
    return say("sizes", { width: easel.width, height: easel.height, across, down });
  } catch (error) {
    $("paint").disabled = true;
    return error.message;
  }
}

/** Take a picture up. @param {File} file */
async function take(file) {
  stop();
  easel.rest();
  try {
    await easel.put(file);
  } catch {
    return complain(new Error(say("not_a_picture")));
  }
  $("alert").hidden = true;
  $("empty").hidden = true;
  $("another").hidden = false;
  viewer.before(fresh("before", file), easel.width, easel.height, file.name);
  changed();
  announce($("sizes").textContent);
}

/** The address of a blob, in place of the last one for the same use. */
function fresh(use, blob) {
  const old = urls[use];
  if (old) setTimeout(() => URL.revokeObjectURL(old), 5000);
  urls[use] = blob && URL.createObjectURL(blob);
  return urls[use];
}

/** A preview is there. */
function shown(blob, fine, milliseconds) {
  if (result) return;
  const words = { name: order().name, style: shelf.title };
  viewer.after(fresh("after", blob), 4 * easel.width, say("shown_preview"), say("preview_alt", words));
  $("view").dataset.preview = fine ? "fine" : "small";
  $("view").dataset.milliseconds = Math.round(milliseconds);
  if (fine) announce(say("previewed"));
}

/** Paint at full size. */
async function paintFull() {
  const asked = order();
  easel.rest();
  const done = await work("painting", (watch) => painter.paint(asked, watch));
  if (!done) return changed();
  const image = await createImageBitmap(done.blob);
  result = { blob: done.blob, name: resultName(asked) };
  const [width, height] = [image.width, image.height];
  image.close();
  const url = fresh("after", done.blob);
  const alt = say("full_alt", { name: asked.name, width, height, style: shelf.title });
  await viewer.after(url, width, say("shown_full", { width, height }), alt);
  Object.assign($("download"), { href: url, download: result.name });
  $("download").hidden = false;
  $("view").dataset.preview = "none";
  announce(say("painted", { width, height }));
  $("download").focus();
}

/** Show what was invented, or hide it. */
async function invented() {
  if (urls.overlay) return hideInvented();
  easel.rest();
  const found = await work("looking", (watch) => painter.invented(order(), watch));
  if (!found) return;
  viewer.overlay(fresh("overlay", found.blob));
  $("invented").setAttribute("aria-pressed", "true");
  $("legend").hidden = false;
  $("legend-most").textContent = say("levels", { top: found.top });
  $("legend-words").textContent = say("legend_words", { share: Math.round(100 * found.share) });
  announce($("legend-words").textContent);
}

function hideInvented() {
  fresh("overlay", null);
  viewer.overlay(null);
  $("invented").setAttribute("aria-pressed", "false");
  $("legend").hidden = true;
}

async function grid() {
  const copy = await easel.copy(GRID_PX);
  const now = order();
  const style = now.strength > 0 ? {} : { strength: 1 };
  const paint = async (name, signal) =>
    (await painter.paint({ ...now, ...copy, ...SMALL, ...style, style: name }, { signal })).blob;
  easel.rest();
  const chosen = new Set(shelf.mix.map((part) => part.name));
  await showGrid(shelf.styles, chosen, easel.width / easel.height, paint, (name) => {
    if (shelf.mix.some((part) => part.name === name)) return;
    $("several").checked = false;
    shelf.choose(name);
  }).catch((error) => error.name === "AbortError" || complain(error));
}

/** Make a style of one's own pictures. @param {File[]} files */
async function takeStyles(files) {
  try {
    const title =
      files[0].name
        .replace(/\.[^.]*$/, "")
        .replace(/[,:]+/g, " ")
        .slice(0, 60) || "style";
    const made = await painter.addStyle(files, title);
    shelf.show(await painter.styles());
    shelf.choose(made.name);
    announce(say("own_kept", { name: made.title }));
  } catch (error) {
    complain(error);
  }
}

async function removeStyle(name) {
  try {
    await painter.removeStyle(name);
    shelf.show(await painter.styles());
    changed();
  } catch (error) {
    complain(error);
  }
}

/** Paint here or there from now on. @param {"server"|"browser"} place */
async function moveTo(place) {
  busy(say("opening"));
  try {
    painters[place] ??= await (place === "browser" ? Local : Server).open();
    painter = painters[place];
    localStorage.setItem(KEPT_PLACE, place);
    shelf.show(await painter.styles());
  } catch (error) {
    complain(error);
  } finally {
    busy(null);
    $("local").checked = painter?.place === "browser";
    tellPlace();
    changed();
  }
}

function tellPlace() {
  const here = painter?.place === "browser";
  const loopback = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
  const key = here ? "private_here" : loopback ? "private_local" : "private_server";
  $("privacy").textContent = say(key, { host: location.host });
  const { provider, threads } = painter?.about ?? {};
  $("local-switch").title = here ? say(`engine_${provider}`, { threads }) : "";
}

async function save() {
  const names = shelf.mix.map((part) => part.name).filter((name) => shelf.own.has(name));
  for (const name of names) {
    const link = document.createElement("a");
    Object.assign(link, { href: URL.createObjectURL(await painter.styleFile(name)), download: `${name}.style` });
    link.click();
  }
}

async function copyCommand() {
  try {
    await navigator.clipboard.writeText($("command").textContent);
  } catch {
    return getSelection().selectAllChildren($("command")); // pages that are not secure may not write there
  }
  $("copy").textContent = say("copied");
  announce(say("copied"));
  setTimeout(() => ($("copy").textContent = say("copy")), 1500);
}

function wire() {
  intake(take, takeStyles, complain);
  for (const id of ["strength", "fidelity", "colours"]) $(id).addEventListener("input", changed);
  for (const id of ["scale", "long", "format"]) {
    $(id).addEventListener("input", () => {
      tell();
      outdated();
    });
  }
  $("paint").onclick = paintFull;
  $("stop").onclick = stop;
  $("invented").onclick = invented;
  $("grid-open").onclick = grid;
  $("copy").onclick = copyCommand;
  $("style-file").onclick = save;
  $("alert-close").onclick = () => ($("alert").hidden = true);
  $("local").onchange = () => moveTo($("local").checked ? "browser" : "server");
  $("theme").onchange = () => {
    localStorage.setItem(KEPT_THEME, $("theme").value);
    document.documentElement.dataset.theme = $("theme").value;
  };
  $("language").onchange = async () => {
    keepLanguage($("language").value);
    await retell($("language").value);
  };
}

async function retell(language) {
  await speak(language);
  $("compare").setAttribute("aria-label", say("divider"));
  $("zoombar").setAttribute("aria-label", say("zoom"));
  viewer.tellDivider();
  tellPlace();
  shelf.draw();
  tell();
}

async function start() {
  $("theme").value = localStorage.getItem(KEPT_THEME) ?? "auto";
  document.documentElement.dataset.theme = $("theme").value;
  $("language").value = firstLanguage();
  $("local-switch").hidden = !HAS_SERVER;
  wire();
  await retell($("language").value);
  await moveTo(HAS_SERVER ? (localStorage.getItem(KEPT_PLACE) ?? "server") : "browser");
  document.documentElement.dataset.ready = "yes";
}

start();
