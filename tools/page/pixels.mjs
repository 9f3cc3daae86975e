// The page's own code outside of a page: drawings in, what the learner would be given out.
//
//     node pixels.mjs SIZE < drawings.json > pictures.float32

import { readFileSync, writeSync } from "node:fs";

import { pixels } from "../../meta_tf/demo/page/pixels.js";

const size = Number(process.argv[2]);
for (const strokes of JSON.parse(readFileSync(0, "utf8"))) {
  writeSync(1, new Uint8Array(pixels(strokes, size).buffer));
}
