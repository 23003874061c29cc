// The page of a study. It knows questions by number and pictures by names that say nothing.
import { makeCloser } from "/closer.js";

const $ = (id) => document.getElementById(id);
const PATIENCE_MS = 250; // after a question appears: a second tap that was meant for the last one is not an answer
const RETRIES_MS = [500, 1000, 2000, 4000, 8000];
let study, words, closer, state, kept, shownAt = null;

const memory = { // where the browser forbids storage, a reload begins anew
  key: () => `upbrush-survey-${study.id}`,
  get() { try { return localStorage.getItem(this.key()); } catch { return kept; } },
  set(token) {
    kept = token;
    try { token ? localStorage.setItem(this.key(), token) : localStorage.removeItem(this.key()); } catch { /* kept */ }
  },
};
const later = (ms) => new Promise((done) => setTimeout(done, ms));
const banner = (text) => { $("banner").textContent = text; $("banner").hidden = !text; };

function show(id) {
  for (const main of document.querySelectorAll("main")) main.hidden = main.id !== id;
}

function say(text) {
  $("message").textContent = text;
  show("note");
}

// One request, tried again for as long as the server is away or cannot write.
async function ask(method, path, body) {
  for (let tries = 0; ; tries++) {
    let reply = null;
    try {
      const headers = { "content-type": "application/json" };
      if (memory.get()) headers.authorization = `Bearer ${memory.get()}`;
      reply = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
    } catch { /* no connection */ }
    if (reply && reply.status < 500) {
      banner("");
      return { status: reply.status, content: await reply.json() };
    }
    banner(words ? words.connection : "…");
    await later(RETRIES_MS[Math.min(tries, RETRIES_MS.length - 1)]);
  }
}

async function load(image, url) {
  for (let tries = 0; ; tries++) {
    image.src = tries ? `${url}?again=${tries}` : url;
    try {
      await image.decode();
      banner("");
      return;
    } catch {
      banner(words.connection);
      await later(RETRIES_MS[Math.min(tries, RETRIES_MS.length - 1)]);
    }
  }
}

function fill(word, n) {
  return words[word].replace("{n}", n);
}

function welcome() {
  const lines = [];
  if (study.pairs) lines.push(fill("welcome_pairs", study.pairs));
  if (study.ratings) lines.push(fill("welcome_ratings", study.ratings));
  lines.push(fill("welcome_minutes", study.minutes));
  $("outline").replaceChildren(...lines.map((line) => {
    const entry = document.createElement("li");
    entry.textContent = line;
    return entry;
  }));
  $("how").textContent = matchMedia("(hover: none)").matches ? words.how_touch : words.how_keys;
  show("welcome");
}

async function begin() {
  $("agree").disabled = true;
  const invitation = new URLSearchParams(location.hash.slice(1)).get("invitation") || "";
  const { status, content } = await ask("POST", "/api/begin", { invitation });
  $("agree").disabled = false;
  if (status !== 200) return say(status === 403 ? content.error : fill("trouble", content.error));
  memory.set(content.token);
  await go(content);
}

// What the server says comes next.
async function go(next) {
  state = next;
  shownAt = null;
  if (state.phase === "pair" || state.phase === "rate") return question();
  if (state.phase === "end") return show("end");
  $("number").textContent = fill("number", state.number);
  $("next").hidden = !study.kiosk;
  show("done");
}

async function question() {
  const asked = state.position, rating = state.phase === "rate";
  const stage = $("stage");
  $("question").textContent = words[rating ? "rating_question" : "question"];
  $("progress").max = state.total;
  $("progress").value = state.position;
  $("count").textContent = `${state.position + 1} / ${state.total}`;
  buttons(rating);
  stage.classList.add("loading");
  show("asking");
  closer.reset();
  const places = ["left", "reference", "right"].filter((place) => state[place]);
  for (const place of ["left", "reference", "right"]) $(place).hidden = !places.includes(place);
  stage.classList.toggle("alone", places.length === 1);
  stage.classList.toggle("rating", rating);
  await Promise.all(places.map((place) => load($(place).querySelector("img"), state[place])));
  if (state.position !== asked) return;
  arrange();
  stage.classList.remove("loading");
  for (const url of state.soon) new Image().src = url;
  shownAt = performance.now();
  setTimeout(() => { if (state.position === asked) lock(false); }, PATIENCE_MS);
}

// Pictures beside or below each other, whichever shows them larger; never larger than their own pixels.
function arrange() {
  const stage = $("stage"), figures = [...stage.querySelectorAll("figure")].filter((figure) => !figure.hidden);
  if (!figures.length) return;
  const first = figures[0].querySelector("img"), rem = 16, gap = 12, pad = 12, label = figures.length > 1 ? 1.6 * rem : 0;
  const small = 0.6; // the reference's share below each other, where room is short
  const shares = figures.length - (figures.length > 2 ? 1 - small : 0);
  const wide = stage.clientWidth - 2 * pad, high = stage.clientHeight - 2 * pad;
  const cell = {
    row: [(wide - gap * (figures.length - 1)) / figures.length, high - label],
    column: [wide - 2 * label, (high - gap * (figures.length - 1)) / shares],
  };
  const fit = ([width, height]) => Math.min(1, width / first.naturalWidth, height / first.naturalHeight);
  const layout = fit(cell.row) >= fit(cell.column) ? "row" : "column";
  stage.classList.toggle("column", layout === "column");
  const scale = fit(cell[layout]);
  for (const figure of figures) {
    const image = figure.querySelector("img");
    // A reference of another size, as the low picture, is brought to the others' size.
    const part = figure.id === "reference" && layout === "column" ? small : 1;
    const [width, height] = [first.naturalWidth * scale * part, first.naturalHeight * scale * part];
    const own = figure.id === "reference" ? Math.min(width / image.naturalWidth, height / image.naturalHeight) : scale;
    image.style.width = `${image.naturalWidth * own}px`;
    image.style.height = `${image.naturalHeight * own}px`;
  }
  arrange.scale = scale * devicePixelRatio;
}

function buttons(rating) {
  const list = rating
    ? [1, 2, 3, 4, 5].map((n) => [String(n), words[`rating_${n}`], ""])
    : [["left", words.choose_a, "←"], ...(study.ties ? [["tie", words.choose_tie, "↓"]] : []), ["right", words.choose_b, "→"]];
  $("choices").classList.toggle("scale", rating);
  $("choices").replaceChildren(...list.map(([choice, text, key]) => {
    const button = document.createElement("button");
    button.dataset.choice = choice;
    button.disabled = true;
    if (rating) button.append(bold(choice), text);
    else button.append(...(choice === "right" ? [text, hint(key)] : [hint(key), text]));
    button.addEventListener("click", () => choose(choice));
    return button;
  }));
}

function bold(text) {
  const element = document.createElement("b");
  element.textContent = text;
  return element;
}

function hint(text) {
  const element = document.createElement("kbd");
  element.textContent = text;
  element.ariaHidden = "true";
  return element;
}

function lock(locked) {
  for (const button of $("choices").children) button.disabled = locked;
}

async function choose(choice) {
  const button = [...$("choices").children].find((one) => one.dataset.choice === choice);
  if (!button || button.disabled || shownAt === null) return;
  const seconds = Math.min(3600, (performance.now() - shownAt) / 1000);
  shownAt = null;
  lock(true);
  const scale = Math.min(100, arrange.scale);
  await after(await ask("POST", "/api/answer", { position: state.position, choice, seconds, scale }));
}

async function after({ status, content }) {
  if (status === 200) return go(content);
  if (status === 401) {
    memory.set(null);
    return welcome();
  }
  return say(fill("trouble", content.error));
}

function rate() {
  $("satisfaction").replaceChildren(...[1, 2, 3, 4, 5].map((n) => {
    const label = document.createElement("label"), input = document.createElement("input"), text = document.createElement("span");
    Object.assign(input, { type: "radio", name: "satisfaction", value: n });
    input.addEventListener("change", () => { $("send").disabled = false; });
    text.append(bold(n), words[`rating_${n}`]);
    label.append(input, text);
    return label;
  }));
}

async function finish(event) {
  event.preventDefault();
  $("send").disabled = true;
  const satisfaction = Number(new FormData($("final")).get("satisfaction"));
  await after(await ask("POST", "/api/finish", { satisfaction, comment: $("comment").value }));
}

async function forget() {
  const button = $("delete");
  if (!button.dataset.sure) {
    button.dataset.sure = "yes";
    button.textContent = words.delete_really;
    return;
  }
  await ask("DELETE", "/api/me");
  memory.set(null);
  say(words.deleted);
}

function nextPerson() {
  memory.set(null);
  location.reload();
}

function keys(event) {
  if ($("asking").hidden || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "tie" }[event.key] || event.key;
  if (key === "z" || key === "Z") closer.toggle();
  else if ([...$("choices").children].some((one) => one.dataset.choice === key)) choose(key);
  else return;
  event.preventDefault();
}

async function start() {
  study = (await ask("GET", "/api/study")).content;
  words = study.words;
  document.documentElement.lang = words.language;
  document.title = words.title;
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = words[element.dataset.word];
  $("reference").querySelector("img").alt = words.reference;
  closer = makeCloser($("stage"), $("closer"), words);
  rate();
  $("agree").addEventListener("click", begin);
  $("final").addEventListener("submit", finish);
  $("delete").addEventListener("click", forget);
  $("next").addEventListener("click", nextPerson);
  document.addEventListener("keydown", keys);
  addEventListener("resize", () => { if (!$("asking").hidden) { closer.reset(); arrange(); } });
  if (!memory.get()) return welcome();
  await after(await ask("GET", "/api/state"));
}

start();
