// The head: ridge regression in closed form from embeddings to classes, in double precision.
//
// With X [S, D] the embeddings that were taught and Y [S, N] their classes, one-hot,
//
//   W = Xᵀ (X Xᵀ + λ I)⁻¹ Y,   logits = scale · q W + bias,   p = softmax(logits / T).
//
// With c_n the mean of the K_n embeddings of class n, u their usual squared distance from it, and
// v = (10 u + Σ |x_s - c_(y_s)|²) / (10 + S - N), the strangeness of q is
//
//   log(min over n of |q - c_n|² / (1 + 1 / K_n) / v).
//
// T, u and the threshold, above which a picture shows none of the classes, are the calibration.

import { strangeness, temperature, threshold } from "../calibration.js";
import { softmax } from "../shares.js";

export class Head {
  #settings;
  #weights; // [N][D]
  #temperature = 1;
  #near = null; // what the strangeness needs: { means, counts, within, limit }

  /**
   * Learns classes from their embeddings.
   *
   * @param classes for each class its embeddings, at least one.
   * @param settings `lambda`, `scale`, `bias` and `calibration` (or null) of manifest.json.
   */
  constructor(classes, settings) {
    this.#settings = settings;
    this.#learn(classes, settings);
    if (settings.calibration) this.#calibrate(classes, settings.calibration);
  }

  /** `{ logits, probabilities, strangeness, none }` of an embedding. */
  answer(embedding) {
    const { scale, bias, calibration } = this.#settings;
    const logits = this.#weights.map((row) => scale * dot(row, embedding) + bias);
    const probabilities = softmax(logits.map((logit) => logit / this.#temperature));
    if (!this.#near) return { logits, probabilities, strangeness: null, none: false };
    const { means, counts, within, limit } = this.#near;
    const apart = means.map((mean) => distance(embedding, mean));
    const strange = strangeness(apart, counts, within, calibration.spread);
    return { logits, probabilities, strangeness: strange, none: strange > limit };
  }

  #learn(classes, settings) {
    const taught = classes.flat();
    const labels = classes.flatMap((list, label) => list.map(() => label));
    const system = taught.map((row, i) => {
      const products = new Float64Array(i + 1); // symmetric: its lower half
      for (let j = 0; j <= i; j++) products[j] = dot(row, taught[j]);
      products[i] += settings.lambda;
      return products;
    });
    const factor = cholesky(system);
    this.#weights = classes.map((_, n) => {
      const shares = solve(factor, labels.map((label) => Number(label === n)));
      return combination(taught, shares);
    });
  }

  #calibrate(classes, calibration) {
    const counts = classes.map((list) => list.length);
    this.#temperature = temperature(counts, calibration);
    const means = classes.map((list) => combination(list, list.map(() => 1 / list.length)));
    let within = 0;
    classes.forEach((list, n) => list.forEach((row) => (within += distance(row, means[n]))));
    this.#near = { means, counts, within, limit: threshold(counts, calibration) };
  }
}

/** The squared distance. */
function distance(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return sum;
}

function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** Σ shares[s] · rows[s]. */
function combination(rows, shares) {
  const sum = new Float64Array(rows[0].length);
  rows.forEach((row, s) => {
    for (let i = 0; i < sum.length; i++) sum[i] += shares[s] * row[i];
  });
  return sum;
}

/** The lower factor L with L Lᵀ = A, in place; A is positive definite, given by its lower half. */
function cholesky(a) {
  for (let i = 0; i < a.length; i++) {
    for (let j = 0; j <= i; j++) {
      let rest = a[i][j];
      for (let k = 0; k < j; k++) rest -= a[i][k] * a[j][k];
      a[i][j] = i === j ? Math.sqrt(rest) : rest / a[j][j];
    }
  }
  return a;
}

/** Solves L Lᵀ x = b. */
function solve(factor, b) {
  const x = Float64Array.from(b);
  for (let i = 0; i < x.length; i++) {
    for (let k = 0; k < i; k++) x[i] -= factor[i][k] * x[k];
    x[i] /= factor[i][i];
  }
  for (let i = x.length - 1; i >= 0; i--) {
    for (let k = i + 1; k < x.length; k++) x[i] -= factor[k][i] * x[k];
    x[i] /= factor[i][i];
  }
  return x;
}
