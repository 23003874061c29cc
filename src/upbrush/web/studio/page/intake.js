/** Pictures come in: dropped, pasted, chosen, or taken with the camera. */
import { say } from "./words.js";

const $ = (id) => document.getElementById(id);

/**
 * @param {(file: File) => void} take
 * @param {(files: File[]) => void} takeStyles
 * @param {(words: string) => void} complain
 */
export function intake(take, takeStyles, complain) {
  dropping(take);
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find(({ type }) => type.startsWith("image/"));
    if (file) take(file);
  });
  choosing($("choose"), $("file"), ([file]) => take(file));
  choosing($("another"), $("file"), ([file]) => take(file));
  choosing($("own"), $("own-files"), takeStyles);
  $("shoot").hidden = !navigator.mediaDevices?.getUserMedia;
  $("shoot").onclick = () => shoot(take, complain);
}

function dropping(take) {
  const holds = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  let depth = 0;
  const veil = (more) => {
    depth = Math.max(0, depth + more);
    $("veil").hidden = depth === 0;
  };
  document.addEventListener("dragenter", (event) => holds(event) && veil(1));
  document.addEventListener("dragleave", (event) => holds(event) && veil(-1));
  document.addEventListener("dragover", (event) => holds(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!holds(event)) return;
    event.preventDefault();
    veil(-depth);
    const [file] = event.dataTransfer.files;
    if (file) take(file);
  });
}

function choosing(button, input, use) {
  button.addEventListener("click", () => {
    input.value = "";
    input.onchange = () => input.files.length && use([...input.files]);
    input.click();
  });
}

/** Take a picture with the camera. */
async function shoot(take, complain) {
  const [dialog, video] = [$("camera"), $("camera-view")];
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      video: { facingMode: "environment", width: { ideal: 1920 } },
    });
  } catch (error) {
    return complain(say("no_camera", { reason: error.message }));
  }
  video.srcObject = stream;
  dialog.onclose = () => stream.getTracks().forEach((track) => track.stop());
  $("camera-close").onclick = () => dialog.close();
  $("camera-shoot").onclick = () => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => take(new File([blob], "camera.png", { type: "image/png" })), "image/png");
    dialog.close();
  };
  dialog.showModal();
  await video.play();
}
