// Resizing a picture as Python does: by a Lanczos filter of radius 3, widened by the factor of a
// reduction.

const RADIUS = 3;

/**
 * The middle square of a picture [height, width, channels], row after row, as [to, to, channels], in
 * float32; sums of both axes apart. Without `crop`, the whole picture, stretched.
 */
export function resize(picture, height, width, to, channels = 1, crop = true) {
  const factor = (side) => (crop ? Math.min(height, width) : side) / to;
  const down = filter(height, factor(height), to);
  const across = filter(width, factor(width), to);
  const line = width * channels;
  const rows = new Float32Array(to * line);
  for (let row = 0; row < to; row++) {
    for (const [source, weight] of down[row]) {
      const [at, under] = [source * line, row * line];
      for (let x = 0; x < line; x++) rows[under + x] += weight * picture[at + x];
    }
  }
  const made = new Float32Array(to * to * channels);
  for (let column = 0; column < to; column++) {
    for (const [source, weight] of across[column]) {
      for (let y = 0; y < to; y++) {
        const [at, under] = [y * line + source * channels, (y * to + column) * channels];
        for (let c = 0; c < channels; c++) made[under + c] += weight * rows[at + c];
      }
    }
  }
  return made;
}

/** For each new pixel the old ones, of `from`, that it is made of: [[index, weight], …]. */
function filter(from, factor, to) {
  const wide = Math.max(1, factor);
  const left = (from - factor * to) / 2;
  return Array.from({ length: to }, (_, place) => {
    const centre = left + (place + 0.5) * factor;
    const first = Math.max(0, Math.ceil(centre - RADIUS * wide - 0.5));
    const last = Math.min(from - 1, Math.floor(centre + RADIUS * wide - 0.5));
    const parts = [];
    for (let i = first; i <= last; i++) parts.push([i, lanczos((i + 0.5 - centre) / wide)]);
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
