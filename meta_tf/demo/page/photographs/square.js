// Pictures as the network takes them: their middle square (`crop`), or all of them stretched to a
// square, resized as Python does it.

import { resize } from "../lanczos.js";

const MOST = 4; // times the size: what is larger is first made smaller by the browser

/** A picture or a video's frame as a square, on a new canvas [size, size]. */
export function square(source, size, crop) {
  const { height, width, used } = sizes(source, crop);
  const [canvas, context] = blank(size, size);
  const [left, top] = [(width - used.width) / 2, (height - used.height) / 2];
  context.drawImage(source, left, top, used.width, used.height, 0, 0, size, size);
  return canvas;
}

/** The same with Python's filter. */
export function exactSquare(source, size, crop) {
  const { height, width, used } = sizes(source, crop);
  const smaller = (side, part) => Math.round(Math.min(1, (MOST * size) / part) * side);
  const [rows, columns] = [smaller(height, used.height), smaller(width, used.width)];
  const [whole, given] = blank(rows, columns);
  given.drawImage(source, 0, 0, columns, rows);
  if (rows === size && columns === size) return whole;
  const { data } = given.getImageData(0, 0, columns, rows);
  const [canvas, context] = blank(size, size);
  // Rounds, and cuts off where the filter overshoots at edges.
  const rounded = Uint8ClampedArray.from(resize(data, rows, columns, size, 4, crop));
  context.putImageData(new ImageData(rounded, size), 0, 0);
  return canvas;
}

/** The sizes of a picture, and of the part in its middle that is used. */
function sizes(source, crop) {
  const width = source.videoWidth ?? source.width;
  const height = source.videoHeight ?? source.height;
  const side = Math.min(width, height);
  return { height, width, used: crop ? { height: side, width: side } : { height, width } };
}

function blank(height, width) {
  const canvas = Object.assign(document.createElement("canvas"), { height, width });
  const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  context.fillStyle = "white"; // under transparent pictures
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  return [canvas, context];
}

/** The numbers of a canvas, row after row, red, green and blue from 0 to `white`. */
export function pixels(canvas, white) {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const numbers = new Float32Array((data.length / 4) * 3);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    numbers[to++] = (data[from] * white) / 255;
    numbers[to++] = (data[from + 1] * white) / 255;
    numbers[to++] = (data[from + 2] * white) / 255;
  }
  return numbers;
}

/** A small JPEG of a canvas, as bytes. */
export async function thumbnail(canvas, side = 96) {
  const blob = await new Promise((done) => square(canvas, side, true).toBlob(done, "image/jpeg", 0.8));
  return new Uint8Array(await blob.arrayBuffer());
}

/** Paints a thumbnail's bytes on a canvas; one that cannot be read stays empty. */
export async function paint(canvas, bytes) {
  try {
    const picture = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }));
    [canvas.width, canvas.height] = [picture.width, picture.height];
    canvas.getContext("2d").drawImage(picture, 0, 0);
    picture.close();
  } catch {
    canvas.width = canvas.height = 1;
  }
}
