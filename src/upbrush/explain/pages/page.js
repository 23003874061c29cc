"use strict";
// The viewer: the small picture against the output, the map over it, and the numbers under the pointer.
(() => {
  const facts = JSON.parse(document.getElementById("facts").textContent);
  const $ = (name) => document.getElementById(name);
  document.documentElement.classList.add("js");
  $("stage-low").src = $("low").src;
  $("stage-output").src = $("output").src;

  const heat = $("heat"), paint = heat.getContext("2d");
  const values = new Image();
  let read = null; // RGBA of the numbers: added, unsteady, undecided above, changed below
  const [rows, columns] = facts.cells;

  const number = (x, y, kind) => {
    const at = (k, half) => (read[4 * ((y + half * rows) * columns + x) + k] / 255) * facts.most;
    const each = [at(0, 0), at(1, 0), at(2, 0), at(0, 1)];
    return kind === "map" ? Math.hypot(each[0], each[1], each[2]) : each[["added", "unsteady", "undecided", "changed"].indexOf(kind)];
  };
  const ramp = (share) => {
    let k = 1;
    while (k < facts.ramp.length - 1 && facts.ramp[k][0] < share) k += 1;
    const [from, to] = [facts.ramp[k - 1], facts.ramp[k]];
    const part = Math.min(1, Math.max(0, (share - from[0]) / (to[0] - from[0])));
    return [1, 2, 3, 4].map((j) => from[j] + part * (to[j] - from[j]));
  };
  const colours = Array.from({ length: 256 }, (_, k) => ramp(k / 255));
  const drawMap = () => {
    if (!read) return;
    const image = paint.createImageData(columns, rows), kind = $("kind").value;
    for (let y = 0; y < rows; y += 1) {
      for (let x = 0; x < columns; x += 1) {
        const [r, g, b, a] = colours[Math.round(Math.min(1, number(x, y, kind) / facts.top) * 255)];
        image.data.set([r, g, b, 255 * a], 4 * (y * columns + x));
      }
    }
    paint.putImageData(image, 0, 0);
  };
  values.onload = () => {
    const store = document.createElement("canvas");
    [store.width, store.height] = [columns, 2 * rows];
    const context = store.getContext("2d", { willReadFrequently: true });
    context.drawImage(values, 0, 0);
    read = context.getImageData(0, 0, columns, 2 * rows).data;
    drawMap();
  };
  values.src = facts.values;

  const wipe = () => {
    const share = Number($("wipe").value);
    $("stage-output").style.clipPath = `inset(0 0 0 ${share}%)`;
    $("edge").style.left = `calc(${share}% - 1px)`;
    $("edge").hidden = share <= 0 || share >= 100;
    $("tag-low").hidden = share < 12;
    $("tag-output").hidden = share > 88;
  };
  const fade = () => { heat.style.opacity = Number($("opacity").value) / 100; };
  $("wipe").addEventListener("input", wipe);
  $("opacity").addEventListener("input", fade);
  $("kind").addEventListener("change", drawMap);
  $("stage").addEventListener("pointermove", (event) => {
    if (!read) return;
    const box = $("stage").getBoundingClientRect();
    const x = Math.min(columns - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * columns)));
    const y = Math.min(rows - 1, Math.max(0, Math.floor(((event.clientY - box.top) / box.height) * rows)));
    const say = (kind) => number(x, y, kind).toFixed(1);
    $("here").textContent = `Here: invented ${say("map")} levels of 255 (added ${say("added")}, unsteady ${say("unsteady")}, ` +
      `undecided ${say("undecided")}); what was measured was altered by ${say("changed")}.`;
  });
  wipe();
  fade();
})();
