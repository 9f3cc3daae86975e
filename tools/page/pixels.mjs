// The page's own code outside of a page: drawings in, what the learner would be given out.
//
//     node pixels.mjs SIZE placed|drawn < drawings.json > pictures.float32
//
// `drawn` leaves drawings where they were drawn, and of the size that they were drawn in.

import { readFileSync, writeSync } from "node:fs";

import { GRID, picture, pixels } from "../../meta_tf/demo/page/pixels.js";

const [size, how] = [Number(process.argv[2]), process.argv[3]];
const onGrid = (strokes) => strokes.map((stroke) => stroke.map(([x, y]) => [GRID * x, GRID * y]));
for (const strokes of JSON.parse(readFileSync(0, "utf8"))) {
  const made = how === "drawn" ? picture(onGrid(strokes), size) : pixels(strokes, size);
  writeSync(1, new Uint8Array(made.buffer));
}
