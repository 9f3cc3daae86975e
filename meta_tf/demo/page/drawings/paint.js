// Showing strokes, and the learner's pictures, on a canvas.

const PEN = 0.04; // of the canvas's side

/** Paints strokes in the canvas's own text colour, sharp on any screen. */
export function paint(canvas, strokes, cursor = null) {
  const side = fit(canvas);
  const context = canvas.getContext("2d");
  const { color, accentColor } = getComputedStyle(canvas);
  context.clearRect(0, 0, side, side);
  Object.assign(context, { lineCap: "round", lineJoin: "round", lineWidth: PEN * side });
  context.strokeStyle = color;
  for (const stroke of strokes) {
    context.beginPath();
    const [first, ...others] = stroke;
    context.moveTo(first[0] * side, first[1] * side);
    // A line to the same point makes a dot of a lone one.
    for (const [x, y] of others.length ? others : [first]) context.lineTo(x * side, y * side);
    context.stroke();
  }
  if (cursor) {
    context.strokeStyle = accentColor === "auto" ? color : accentColor;
    context.lineWidth = 0.01 * side;
    context.beginPath();
    const radius = cursor.down ? 0.025 : 0.045;
    context.arc(cursor.x * side, cursor.y * side, radius * side, 0, 2 * Math.PI);
    context.stroke();
  }
}

/** Paints a picture [size, size] of numbers from 0 to 1, each as a square of the ink. */
export function paintPicture(canvas, picture, size) {
  const side = fit(canvas);
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, side, side);
  context.fillStyle = getComputedStyle(canvas).color;
  const edge = (i) => Math.round((i * side) / size);
  picture.forEach((value, i) => {
    const [row, column] = [Math.floor(i / size), i % size];
    context.globalAlpha = value;
    const [x, y] = [edge(column), edge(row)];
    context.fillRect(x, y, edge(column + 1) - x, edge(row + 1) - y);
  });
  context.globalAlpha = 1;
}

/** Gives the canvas as many pixels as the screen has there, and returns how many. */
function fit(canvas) {
  const side = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio));
  if (canvas.width !== side || canvas.height !== side) canvas.width = canvas.height = side;
  return side;
}
