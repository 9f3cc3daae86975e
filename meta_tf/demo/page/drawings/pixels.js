// From the strokes of a pen to the picture that a learner takes: drawn anew with the pen and in
// the size of what it was trained on, then made smaller as Omniglot's pictures are.
//
// A stroke is a list of points [x, y], from 0 to 1 from the left and from the top.

import { resize } from "../lanczos.js";

export const GRID = 105; // Omniglot's drawings are 105 x 105 pixels
const LARGEST_FACTOR = 4; // a dot stays one

/**
 * The picture of strokes, row after row: ink 1 on a ground of 0.
 *
 * @param pen its width, in pixels of the grid.
 * @param side the longer side of the drawing there.
 * @param size the picture is [size, size].
 */
export function pixels(strokes, { pen, side, size }) {
  return picture(place(strokes, side), { pen, size });
}

/** The picture of strokes whose points are in pixels of the grid, where they are. */
export function picture(strokes, { pen, size }) {
  const paper = ink(strokes, pen).map((inked) => 1 - inked);
  // Rounded to 1/255, as in a file of a picture. The filter overshoots at edges.
  return resize(paper, GRID, GRID, size).map((light) => {
    return 1 - Math.round(255 * Math.min(1, Math.max(0, light))) / 255;
  });
}

/** The strokes in pixels of the grid: in its middle, their longer side as is said. */
export function place(strokes, longer) {
  const points = strokes.flat();
  const [left, right] = range(points.map(([x]) => x));
  const [top, bottom] = range(points.map(([, y]) => y));
  const side = Math.max(right - left, bottom - top);
  const factor = side > 0 ? Math.min(longer / side, LARGEST_FACTOR * GRID) : GRID;
  const moved = ([x, y]) => [
    GRID / 2 + factor * (x - (left + right) / 2),
    GRID / 2 + factor * (y - (top + bottom) / 2),
  ];
  return strokes.map((stroke) => stroke.map(moved));
}

/** Which pixels of the grid a round pen touches by their centre: 1, and 0 elsewhere. */
export function ink(strokes, pen) {
  const paper = new Float32Array(GRID * GRID);
  for (const stroke of strokes) {
    stroke.forEach((point, i) => drawLine(paper, pen / 2, stroke[Math.max(0, i - 1)], point));
  }
  return paper;
}

function drawLine(paper, reach, [x0, y0], [x1, y1]) {
  const [left, right] = pixelsFrom(Math.min(x0, x1) - reach, Math.max(x0, x1) + reach);
  const [top, bottom] = pixelsFrom(Math.min(y0, y1) - reach, Math.max(y0, y1) + reach);
  const [along, down] = [x1 - x0, y1 - y0];
  const length2 = along * along + down * down;
  for (let row = top; row <= bottom; row++) {
    for (let column = left; column <= right; column++) {
      const [x, y] = [column + 0.5 - x0, row + 0.5 - y0];
      const share = length2 ? Math.min(1, Math.max(0, (x * along + y * down) / length2)) : 0;
      const distance2 = (x - share * along) ** 2 + (y - share * down) ** 2;
      if (distance2 <= reach * reach) paper[row * GRID + column] = 1;
    }
  }
}

function pixelsFrom(low, high) {
  return [Math.max(0, Math.floor(low)), Math.min(GRID - 1, Math.floor(high))];
}

function range(numbers) {
  return [Math.min(...numbers), Math.max(...numbers)];
}
