/**
 * Cut a picture into overlapping tiles: `tiles.py` in JavaScript. Pure; everything is in low pixels.
 *
 * @typedef {{top: number, left: number, bottom: number, right: number}} Box rows and columns, the last not included
 * @typedef {{outer: Box, inner: Box}} Tile what is rendered, and the part of it that is kept
 */

/** A box so much further down and to the right. @param {Box} box @returns {Box} */
export function moved(box, rows, columns) {
  return { top: box.top + rows, left: box.left + columns, bottom: box.bottom + rows, right: box.right + columns };
}

/** The box that this one becomes when the picture is enlarged. @param {Box} box @returns {Box} */
export function times(box, scale) {
  return { top: box.top * scale, left: box.left * scale, bottom: box.bottom * scale, right: box.right * scale };
}

/**
 * Tiles of at most tilePx a side, in reading order; the inner boxes cover the picture exactly once.
 *
 * @returns {Tile[]}
 */
export function cut(height, width, tilePx, overlapPx) {
  if (height < 1 || width < 1 || overlapPx < 0 || tilePx <= 2 * overlapPx) {
    throw new RangeError(`cannot cut ${height}x${width} into tiles of ${tilePx} with an overlap of ${overlapPx}`);
  }
  const columns = spans(width, tilePx, overlapPx);
  return spans(height, tilePx, overlapPx).flatMap(([top, bottom, innerTop, innerBottom]) =>
    columns.map(([left, right, innerLeft, innerRight]) => ({
      outer: { top, left, bottom, right },
      inner: { top: innerTop, left: innerLeft, bottom: innerBottom, right: innerRight },
    })),
  );
}

/** One axis: [outer start, outer end, inner start, inner end] of each piece. */
function spans(length, tilePx, overlapPx) {
  if (length <= tilePx) return [[0, length, 0, length]];
  const count = Math.ceil((length - 2 * overlapPx) / (tilePx - 2 * overlapPx));
  const step = Math.ceil((length - 2 * overlapPx) / count);
  const outerPx = step + 2 * overlapPx;
  const starts = Array.from({ length: count }, (_, index) => Math.min(index * step, length - outerPx));
  const seams = [0, ...starts.slice(1).map((start) => start + overlapPx), length];
  return starts.map((start, index) => [start, start + outerPx, seams[index], seams[index + 1]]);
}
