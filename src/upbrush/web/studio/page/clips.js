/** Clips: one frame of theirs stands on the easel to try things on; all of them are painted by the service. */
const FRAMES_A_SECOND = 25; // about; only for saying how long it takes
const PLACE = 0.3; // where in a clip the frame is taken
const FORMATS = {
  picture: { png: "PNG", jpeg: "JPEG", webp: "WebP" },
  clip: { mp4: "MP4", webm: "WebM", gif: "GIF", webp: "WebP" },
};
const $ = (id) => document.getElementById(id);

/** Is a file a clip, by its kind or its name? @param {File} file */
export const isClip = (file) => file.type.startsWith("video/") || /\.(mp4|m4v|mov|mkv|webm|avi)$/i.test(file.name);

/** How many frames a moving picture has; 1 where the browser cannot tell. @param {File} file */
export async function framesOf(file) {
  const type = file.type || "image/png";
  if (!globalThis.ImageDecoder || !(await ImageDecoder.isTypeSupported(type))) return 1;
  const decoder = new ImageDecoder({ data: await file.arrayBuffer(), type });
  try {
    await decoder.tracks.ready;
    await decoder.completed;
    return decoder.tracks.selectedTrack?.frameCount ?? 1;
  } catch {
    return 1;
  } finally {
    decoder.close();
  }
}

/**
 * A frame of a clip. Throws for what the browser cannot play.
 *
 * @param {Blob} clip
 * @returns {Promise<{bitmap: ImageBitmap, frames: number}>} frames: about how many there are
 */
export async function filmed(clip) {
  const [video, url] = [document.createElement("video"), URL.createObjectURL(clip)];
  const until = (event) =>
    new Promise((resolve, reject) => {
      video.addEventListener(event, resolve, { once: true });
      video.addEventListener("error", () => reject(video.error), { once: true });
    });
  try {
    const loaded = until("loadeddata");
    Object.assign(video, { muted: true, preload: "auto", src: url });
    await loaded;
    const seconds = Number.isFinite(video.duration) ? video.duration : 0;
    if (seconds) {
      const there = until("seeked");
      video.currentTime = PLACE * seconds;
      await there;
    }
    return { bitmap: await createImageBitmap(video), frames: Math.max(1, Math.round(seconds * FRAMES_A_SECOND)) };
  } finally {
    video.removeAttribute("src");
    URL.revokeObjectURL(url);
  }
}

/** A frame as a picture file. @param {ImageBitmap} bitmap @returns {Promise<Blob>} */
export function still(bitmap) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}

/** Offer the formats of clips, or of pictures. @param {boolean} clip @param {string} name of the file that is new */
export function offerFormats(clip, name) {
  const kind = clip ? "clip" : "picture";
  if ($("format").dataset.kind !== kind) {
    const options = Object.entries(FORMATS[kind]).map(([value, words]) => new Option(words, value));
    $("format").replaceChildren(...options);
    $("format").dataset.kind = kind;
  }
  if (clip && /\.gif$/i.test(name)) $("format").value = "gif";
}

/** Play a painted clip. @param {string} url @param {string} type */
export function play(url, type) {
  const moving = type.startsWith("image/");
  const screen = document.createElement(moving ? "img" : "video");
  if (!moving) Object.assign(screen, { controls: true, autoplay: true, loop: true, muted: true });
  else screen.alt = "";
  screen.src = url;
  $("screen-view").replaceChildren(screen);
  $("screen-close").onclick = () => $("screen").close();
  $("screen").onclose = () => $("screen-view").replaceChildren();
  $("screen").showModal();
}
