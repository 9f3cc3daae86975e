// Making a picture smaller as the training data was made smaller: by a Lanczos filter of
// radius 3, widened by the factor of the reduction.

const RADIUS = 3;

/** A square picture [from, from], row after row, as [to, to]; sums of both axes apart. */
export function shrink(picture, from, to) {
  const weights = filter(from, to);
  const rows = new Float32Array(to * from);
  for (let row = 0; row < to; row++) {
    for (const [source, weight] of weights[row]) {
      for (let x = 0; x < from; x++) rows[row * from + x] += weight * picture[source * from + x];
    }
  }
  const small = new Float32Array(to * to);
  for (let column = 0; column < to; column++) {
    for (const [source, weight] of weights[column]) {
      for (let y = 0; y < to; y++) small[y * to + column] += weight * rows[y * from + source];
    }
  }
  return small;
}

/** For each small pixel the large ones that it is made of: [[index, weight], …]. */
function filter(from, to) {
  const factor = from / to;
  return Array.from({ length: to }, (_, place) => {
    const centre = (place + 0.5) * factor;
    const first = Math.max(0, Math.ceil(centre - RADIUS * factor - 0.5));
    const last = Math.min(from - 1, Math.floor(centre + RADIUS * factor - 0.5));
    const parts = [];
    for (let i = first; i <= last; i++) parts.push([i, lanczos((i + 0.5 - centre) / factor)]);
    const sum = parts.reduce((total, [, weight]) => total + weight, 0);
    return parts.map(([i, weight]) => [i, weight / sum]);
  });
}

function lanczos(x) {
  if (x === 0) return 1;
  if (Math.abs(x) >= RADIUS) return 0;
  const angle = Math.PI * x;
  return (RADIUS * Math.sin(angle) * Math.sin(angle / RADIUS)) / (angle * angle);
}
