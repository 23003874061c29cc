/** Pictures to begin with, for who has none at hand; one click takes one. */
import { say } from "./words.js";

const $ = (id) => document.getElementById(id);
const FOLDER = new URL("../examples/", import.meta.url);

/** Show those that there are. @param {(file: File) => void} take */
export async function showExamples(take) {
  const answer = await fetch(new URL("examples.json", FOLDER)).catch(() => null);
  if (!answer?.ok) return;
  $("examples-row").replaceChildren(...(await answer.json()).map((name) => thumbnail(name, take)));
  tellExamples();
  $("examples").hidden = false;
}

/** Tell their names in the language of the page. */
export function tellExamples() {
  for (const button of $("examples-row").children) {
    button.title = say("example", { name: say(`example_${button.dataset.name}`) });
    button.setAttribute("aria-label", button.title);
  }
}

function thumbnail(name, take) {
  const url = new URL(name, FOLDER);
  const button = document.createElement("button");
  [button.type, button.className, button.dataset.name] = ["button", "example", name.replace(/\.\w+$/, "")];
  button.append(Object.assign(document.createElement("img"), { src: url, alt: "" }));
  button.onclick = async () => {
    const blob = await (await fetch(url)).blob();
    await take(new File([blob], name, { type: blob.type }));
  };
  return button;
}
