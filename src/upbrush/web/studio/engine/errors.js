/** What can go wrong, by the names of the Python package: the page shows `message` as it is. */

/** A mistake that a person can mend: one line that says what was found, what was expected and what to do. */
export class UpbrushError extends Error {
  /** @param {string} type such as "PictureError" @param {string} message one line */
  constructor(type, message) {
    super(message);
    this.type = type;
    this.name = type;
  }
}

/** @param {string} message @returns {UpbrushError} */
export const pictureError = (message) => new UpbrushError("PictureError", message);

/** @param {string} message @returns {UpbrushError} */
export const styleError = (message) => new UpbrushError("StyleError", message);

/** @param {string} message @returns {UpbrushError} */
export const configError = (message) => new UpbrushError("ConfigError", message);

/** Thrown where a person stopped the work. @returns {DOMException} */
export const stopped = () => new DOMException("stopped", "AbortError");
