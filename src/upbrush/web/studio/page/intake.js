/** Pictures come in: dropped, pasted, chosen, or taken with the camera. */
import { say } from "./words.js";

const $ = (id) => document.getElementById(id);

/**
 * @param {(file: File, count?: number) => void} take
 * @param {(files: File[]) => void} takeStyles
 * @param {(error: Error) => void} complain
 */
export function intake(take, takeStyles, complain) {
  dropping(take);
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])].filter(({ type }) => type.startsWith("image/"));
    if (files.length) take(files[0], files.length);
  });
  for (const id of ["choose", "another"]) choosing($(id), $("file"), ([file]) => take(file));
  choosing($("own"), $("own-files"), takeStyles);
  for (const id of ["shoot", "again"]) {
    $(id).hidden = !navigator.mediaDevices?.getUserMedia;
    $(id).onclick = () => shoot(take, complain);
  }
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
    const files = event.dataTransfer.files;
    if (files.length) take(files[0], files.length);
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
    return complain(new Error(say("no_camera", { reason: error.message })));
  }
  video.srcObject = stream;
  dialog.onclose = () => stream.getTracks().forEach((track) => track.stop());
  $("camera-close").onclick = () => dialog.close();
  $("camera-shoot").onclick = () => {
    if (!video.videoWidth) return; // nothing has come from the camera yet
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => take(new File([blob], "camera.png", { type: "image/png" })), "image/png");
    dialog.close();
  };
  dialog.showModal();
  await video.play().catch(() => null); // closed before it began
}
