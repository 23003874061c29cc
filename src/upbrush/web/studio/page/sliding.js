/** Sliders show how far they are filled, in every browser. */

/** @param {HTMLInputElement} slider */
export function fill(slider) {
  const { min, max, value } = slider;
  slider.style.setProperty("--at", `${(100 * (value - min)) / (max - min)}%`);
}

document.addEventListener("input", ({ target }) => target.type === "range" && fill(target));
