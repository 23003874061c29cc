/** One picture in every style, on one page; a click takes the style. */
import { tileOf, titleOf } from "./shelf.js";
import { announce } from "./telling.js";
import { say } from "./words.js";

const $ = (id) => document.getElementById(id);
const AT_ONCE = 2;

/**
 * @param {Object[]} styles
 * @param {Set<string>} chosen names of those that are chosen now
 * @param {number} aspect width over height of the picture
 * @param {(name: string, signal: AbortSignal) => Promise<Blob>} paint one small painting
 * @param {(name: string) => void} choose
 */
export async function showGrid(styles, chosen, aspect, paint, choose) {
  const [dialog, stopping, urls] = [$("grid"), new AbortController(), []];
  $("grid-cells").style.setProperty("--aspect", aspect);
  const cells = styles.map((style) => {
    const cell = tileOf(titleOf(style), null);
    cell.classList.add("waiting");
    cell.setAttribute("aria-pressed", String(chosen.has(style.name)));
    cell.onclick = () => {
      dialog.close();
      choose(style.name);
    };
    return cell;
  });
  $("grid-cells").replaceChildren(...cells);
  $("grid-close").onclick = () => dialog.close();
  dialog.onclose = () => {
    stopping.abort();
    urls.forEach((url) => URL.revokeObjectURL(url));
  };
  dialog.showModal();
  let [next, done] = [0, 0];
  const tell = () => ($("grid-count").textContent = say("grid_count", { done, total: styles.length }));
  tell();
  const work = async () => {
    while (next < styles.length && !stopping.signal.aborted) {
      const at = next++;
      const blob = await paint(styles[at].name, stopping.signal);
      const url = URL.createObjectURL(blob);
      urls.push(url);
      const image = Object.assign(document.createElement("img"), { src: url, alt: "" });
      cells[at].querySelector(".face").replaceWith(image);
      cells[at].classList.remove("waiting");
      done += 1;
      tell();
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    announce($("grid-count").textContent);
  } catch (error) {
    dialog.close(); // what is told of it is told on the page
    throw error;
  }
}
