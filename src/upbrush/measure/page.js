// All pictures of a case zoom together, about the same point, so that the same detail is compared in each.
for (const row of document.querySelectorAll(".row")) {
  const frames = row.querySelectorAll(".frame");
  const follow = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    row.style.setProperty("--x", `${Math.min(100, Math.max(0, (100 * (event.clientX - box.left)) / box.width))}%`);
    row.style.setProperty("--y", `${Math.min(100, Math.max(0, (100 * (event.clientY - box.top)) / box.height))}%`);
    row.classList.add("zoomed");
  };
  for (const frame of frames) {
    // The style picture is another picture: it is not looked at in the same place.
    if (frame.dataset.apart) continue;
    frame.addEventListener("pointermove", follow);
    frame.addEventListener("pointerdown", follow);
    frame.addEventListener("pointerleave", () => row.classList.remove("zoomed"));
  }
}
