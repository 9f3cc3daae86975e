// The calibration of a learner: how sure it may be, and what is none of the classes.
//
// For classes with K_n taught examples, it holds the numbers of the formula of the `temperature`,
// the `thresholds`, rows [ways, shots, threshold], and the `spread`, the usual squared distance
// from a class's mean (Python: `Calibration` and `meta_tf.layers.strangeness`).

const USUAL_COUNTS = 10;
const TINY = 1e-12;

/** What logits are divided by, after K_n examples of each class: `counts`. */
export function temperature(counts, { temperature: formula }) {
  const [ways, shots] = size(counts);
  const [n, k] = [inside(ways, formula.ways), inside(shots, formula.shots)];
  return Math.exp(formula.constant + formula.log_ways * Math.log(n) + formula.log_shots * Math.log(k));
}

/**
 * Above which strangeness an example is none of the classes: the mean of the thresholds of other
 * sizes, weighted by d⁻⁴ with their distance d by the logarithms; beyond them that of the nearest.
 */
export function threshold(counts, { thresholds }) {
  const [ways, shots] = size(counts);
  const n = inside(ways, thresholds.map((row) => row[0]));
  const k = inside(shots, thresholds.map((row) => row[1]));
  let sum = 0;
  let weights = 0;
  for (const [w, s, value] of thresholds) {
    const square = Math.log(w / n) ** 2 + Math.log(s / k) ** 2;
    if (square < TINY) return value;
    weights += square ** -2;
    sum += value * square ** -2;
  }
  return sum / weights;
}

/**
 * How unlike all classes an example is.
 *
 * @param apart its squared distance from each class's mean.
 * @param counts the number of taught examples of each class.
 * @param within the sum of their squared distances from the means of their own classes.
 * @param spread of the calibration.
 */
export function strangeness(apart, counts, within, spread) {
  const nearest = Math.min(...apart.map((square, n) => square / (1 + 1 / counts[n])));
  const free = total(counts) - counts.length;
  const usual = (USUAL_COUNTS * spread + within) / (USUAL_COUNTS + free);
  return Math.log(Math.max(nearest, TINY) / usual);
}

function size(counts) {
  return [counts.length, total(counts) / counts.length];
}

function total(counts) {
  return counts.reduce((sum, count) => sum + count, 0);
}

function inside(number, numbers) {
  return Math.min(Math.max(number, Math.min(...numbers)), Math.max(...numbers));
}
