// Looking closer: every picture on the stage enlarged about the same point, which follows the pointer.

export function makeCloser(stage, button, words) {
  const images = () => [...stage.querySelectorAll("img")].filter((image) => image.offsetParent !== null);
  let on = false, pressed = null;

  function show(wanted, x = 0.5, y = 0.5) {
    on = wanted;
    stage.classList.toggle("closer", on);
    button.setAttribute("aria-pressed", on);
    button.textContent = on ? words.whole : words.closer;
    for (const image of images()) {
      // Every picture's own pixels at least, and twice as large as they were.
      const factor = Math.max(2, image.naturalWidth / image.clientWidth || 2);
      image.style.transformOrigin = `${100 * x}% ${100 * y}%`;
      image.style.transform = on ? `scale(${factor})` : "none";
    }
  }

  function place(event) {
    const box = event.target.closest(".frame").getBoundingClientRect();
    const part = (value, from, size) => Math.min(1, Math.max(0, (value - from) / size));
    return [part(event.clientX, box.left, box.width), part(event.clientY, box.top, box.height)];
  }

  stage.addEventListener("pointerdown", (event) => {
    if (!event.target.closest(".frame") || !event.isPrimary) return;
    pressed = { x: event.clientX, y: event.clientY, moved: false };
    if (on) show(true, ...place(event));
  });
  stage.addEventListener("pointermove", (event) => {
    if (!event.target.closest(".frame") || !event.isPrimary) return;
    if (pressed && Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) > 8) pressed.moved = true;
    if (on) show(true, ...place(event));
  });
  stage.addEventListener("pointercancel", () => { pressed = null; });
  stage.addEventListener("pointerup", (event) => {
    if (pressed && !pressed.moved && event.target.closest(".frame")) show(!on, ...place(event));
    pressed = null;
  });
  button.addEventListener("click", () => show(!on));
  return { toggle: () => show(!on), reset: () => show(false) };
}
