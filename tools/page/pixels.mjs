// The page's own code outside of a page: drawings in, what the learner would be given out.
//
//     node pixels.mjs SIZE PEN SIDE|drawn < drawings.json > pictures.float32
//
// `drawn` leaves drawings where they were drawn, and of the size that they were drawn in.

import { readFileSync, writeSync } from "node:fs";

import { GRID, picture, pixels } from "../../meta_tf/demo/page/drawings/pixels.js";

const [size, pen, side] = process.argv.slice(2).map(Number); // NaN: as they were drawn
const onGrid = (strokes) => strokes.map((stroke) => stroke.map(([x, y]) => [GRID * x, GRID * y]));
for (const strokes of JSON.parse(readFileSync(0, "utf8"))) {
  const made = Number.isNaN(side)
    ? picture(onGrid(strokes), { pen, size })
    : pixels(strokes, { pen, side, size });
  writeSync(1, new Uint8Array(made.buffer));
}
