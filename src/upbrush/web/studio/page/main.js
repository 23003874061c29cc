/** The studio: what a person does, told to the painter; what the painter makes, shown. */
import { targetSize } from "../engine/sizes.js";
import { filmed, offerFormats, play, still } from "./clips.js";
import { commandOf, resultName } from "./command.js";
import { Easel } from "./easel.js";
import { showExamples, tellExamples } from "./examples.js";
import { showGrid } from "./grid.js";
import { intake } from "./intake.js";
import { keepJob, keepPicture, keepSettings, recall } from "./keeping.js";
import { knobs, positions, secondsOf, setPositions, sizeWords, tellKnobs } from "./knobs.js";
import { Local } from "./local.js";
import { Server } from "./server.js";
import { Shelf } from "./shelf.js";
import { announce, answered, complain, remark, settle } from "./telling.js";
import { Viewer } from "./viewer.js";
import { firstLanguage, keepLanguage, say, speak } from "./words.js";
import { busy, stop, work } from "./working.js";

const $ = (id) => document.getElementById(id);
const GRID_PX = 96;
const INVENTING = 6; // paintings that the map of what was invented takes
const MEGA = 2 ** 20;
const HAS_SERVER = document.querySelector('meta[name="upbrush-server"]').content === "yes";
const KEPT_THEME = "upbrush-theme";
const KEPT_PLACE = "upbrush-place";

const viewer = new Viewer();
const easel = new Easel(
  (copy, signal) => painter.paint({ ...order(), ...SMALL, ...copy }, { signal }),
  shown,
  complain,
);
const shelf = new Shelf(changed, removeStyle);
const painters = {}; // those that were opened, by their place
const SMALL = { name: "preview.png", scale: 4, size: null, clip: false };
const urls = {}; // what is shown now: before, after, overlay

let painter = null;
let result = null;
let left = null; // a job at the service that nobody waits for any more, and what it was asked for

/** What is asked for now. @returns {import("./server.js").Order} */
function order() {
  return {
    file: easel.file,
    name: easel.file?.name || "picture.png",
    pixels: easel.width * easel.height,
    style: shelf.words,
    clip: easel.clip,
    ...knobs(),
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
  $("play").hidden = true;
  $("paint").hidden = false;
  hideInvented();
  if (easel.file) keepSettings({ ...positions(), mix: shelf.mix });
}

/** Everything on the page that follows from the knobs. */
function tell() {
  const now = order();
  tellKnobs(now.style !== null);
  $("command").textContent = commandOf(now, shelf.own);
  $("style-file").hidden = ![...shelf.own].some((name) => shelf.mix.some((part) => part.name === name));
  for (const id of ["paint", "grid-open", "invented"]) $(id).disabled = !easel.file || !painter;
  $("invented").hidden = now.clip;
  $("file-name").textContent = $("file-name").title = now.name;
  tellSize();
}

function tellSize() {
  $("sizes").textContent = "";
  $("sizes").classList.remove("bad");
  if (!easel.file || !painter) return;
  try {
    if (easel.clip && !painter.films) throw new Error(say("no_clips", { name: easel.file.name }));
    const { width, height, frames } = easel;
    const perPixel = result ? null : easel.perPixel; // what is done takes no time any more
    $("sizes").textContent = sizeWords({ width, height, frames, perPixel }, order(), painter.about.limits);
  } catch (error) {
    $("sizes").textContent = error.message;
    $("sizes").classList.add("bad");
    for (const id of ["paint", "invented"]) $(id).disabled = true;
  }
}

/** Take a picture up. @param {File} file @param {number} [count] of files that came together */
async function take(file, count = 1) {
  try {
    await easel.put(file, painter?.films);
  } catch {
    const key = !file.size ? "empty_file" : file.type.startsWith("video/") ? "no_clips" : "not_a_picture";
    return complain(new Error(say(key, { name: file.name })));
  }
  stop(); // not before: a file that is none calls nothing off
  easel.rest();
  settle();
  const fromStart = !$("empty").hidden;
  $("stage").classList.remove("empty");
  $("empty").hidden = true;
  $("strip").hidden = false;
  offerFormats(easel.clip, file.name);
  delete $("view").dataset.preview; // there is none of this picture
  viewer.before(fresh("before", await easel.shown()), easel.width, easel.height, file.name);
  changed();
  announce($("sizes").textContent);
  if (fromStart && document.documentElement.dataset.ready && !$("panel").contains(document.activeElement)) {
    $("compare").focus(); // what had the focus is gone
  }
  if (count > 1) remark(say("first_of", { name: file.name, count }));
  else if (!easel.clip && easel.frames > 1) remark(say("first_frame", { name: file.name }));
  await keepPicture(file);
}

/** The address of a blob, in place of the last one for the same use. */
function fresh(use, blob) {
  const old = urls[use];
  if (old) setTimeout(() => URL.revokeObjectURL(old), 5000);
  urls[use] = blob && URL.createObjectURL(blob);
  return urls[use];
}

/** Are two orders for the same painting? */
const alike = (one, other) => one.file === other.file && JSON.stringify(one) === JSON.stringify(other);

/** A preview is there. */
function shown(blob, fine, milliseconds) {
  answered();
  if (result) return;
  const words = { name: order().name, style: shelf.title };
  viewer.after(fresh("after", blob), 4 * easel.width, say("shown_preview"), say("preview_alt", words));
  $("view").dataset.preview = fine ? "fine" : "small";
  $("view").dataset.milliseconds = Math.round(milliseconds);
  tellSize();
  if (fine) announce(say("previewed"));
}

/**
 * Paint at full size; or wait for what the service paints since before a reload, or since its answer was lost.
 *
 * @param {string|null} [job]
 */
async function paintFull(job = null) {
  const asked = order();
  easel.rest();
  job ??= left && painter.follow && alike(left.asked, asked) ? left.id : null;
  const began = (id) => {
    left = { id, asked };
    keepJob(id);
  };
  const over = () => keepJob((left = null));
  if (job) {
    began(job);
    settle();
  }
  const done = await work("painting", secondsOf(easel, asked), async (watch) => {
    const told = { ...watch, began, over, silent: complain, heard: answered };
    return job ? { blob: await painter.follow(job, told) } : painter.paint(asked, told);
  });
  if (!done) {
    $("paint").focus();
    if (left) remark(say("left_there"));
    return changed();
  }
  const film = done.blob.type.startsWith("video/");
  const opening = film ? filmed(done.blob).then(({ bitmap }) => bitmap) : createImageBitmap(done.blob);
  const image = await opening.catch(() => null); // too large for the browser to show, it can still be downloaded
  const sizes = () => targetSize(easel.width, easel.height, asked.scale, asked.size);
  const [width, height] = image ? [image.width, image.height] : sizes();
  result = { blob: done.blob, name: resultName(asked) };
  const url = fresh("result", done.blob);
  if (image) {
    const seen = film ? fresh("after", await still(image)) : url;
    image.close();
    const alt = say("full_alt", { name: asked.name, width, height, style: shelf.title });
    await viewer.after(seen, width, say("shown_full", { width, height }), alt);
  }
  Object.assign($("download"), { href: url, download: result.name });
  tellDownload();
  tellSize();
  $("download").hidden = false;
  $("paint").hidden = true;
  $("play").hidden = !asked.clip;
  $("play").onclick = () => play(url, done.blob.type);
  $("view").dataset.preview = "none";
  announce(say("painted", { width, height }));
  $("download").focus();
}

function tellDownload() {
  if (!result) return;
  const { size, type } = result.blob;
  const words = say("bytes", { size: (size / MEGA).toFixed(size < 10 * MEGA ? 1 : 0) });
  $("download-size").textContent = `${type.replace(/.*\//, "").toUpperCase()} · ${words}`;
}

/** Show what was invented, or hide it. */
async function invented() {
  if (urls.overlay) return hideInvented();
  easel.rest();
  const asked = order();
  const found = await work("looking", INVENTING * secondsOf(easel, asked), (watch) =>
    painter.invented(asked, { ...watch, silent: complain, heard: answered }),
  );
  $("invented").focus();
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
    (await painter.paint({ ...now, ...SMALL, ...copy, ...style, style: name }, { signal })).blob;
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
    settle();
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
  for (const id of ["strength", "fidelity", "colours", "wrap", "stereo"]) $(id).addEventListener("input", changed);
  for (const id of ["scale", "long", "format"]) {
    $(id).addEventListener("input", () => {
      tell();
      outdated();
    });
  }
  for (const id of ["more", "command-box"]) {
    $(id).addEventListener("toggle", () => $(id).open && $(id).scrollIntoView({ block: "nearest" }));
  }
  $("paint").onclick = () => paintFull();
  $("stop").onclick = stop;
  $("invented").onclick = invented;
  $("grid-open").onclick = grid;
  $("copy").onclick = copyCommand;
  $("style-file").onclick = save;
  $("alert-close").onclick = settle;
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
  tellExamples();
  tellDownload();
  shelf.draw();
  tell();
}

/** What was on the page before it was loaded again. */
async function takeUp(kept) {
  if (!kept) return;
  await take(kept.file);
  if (kept.settings) {
    setPositions(kept.settings);
    shelf.take(kept.settings.mix);
    changed();
  }
  if (kept.job && painter?.knows && (await painter.knows(kept.job))) paintFull(kept.job);
  else keepJob(null);
}

async function start() {
  $("theme").value = localStorage.getItem(KEPT_THEME) ?? "auto";
  document.documentElement.dataset.theme = $("theme").value;
  $("language").value = firstLanguage();
  $("local-switch").hidden = !HAS_SERVER;
  wire();
  const kept = recall();
  await retell($("language").value);
  showExamples(take);
  await moveTo(HAS_SERVER ? (localStorage.getItem(KEPT_PLACE) ?? "server") : "browser");
  await takeUp(await kept);
  document.documentElement.dataset.ready = "yes";
}

start();
