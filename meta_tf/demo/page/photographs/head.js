// The head: ridge regression in closed form from embeddings to classes, in double precision.
//
// With X [S, D] the embeddings that were taught and Y [S, N] their classes, one-hot,
//
//   W = Xᵀ (X Xᵀ + λ I)⁻¹ Y,   logits = scale · q W + bias.

export class Head {
  #settings;
  #weights; // [N][D]

  /**
   * Learns classes from their embeddings.
   *
   * @param classes for each class its embeddings, at least one.
   * @param settings `lambda`, `scale` and `bias` of manifest.json.
   */
  constructor(classes, settings) {
    this.#settings = settings;
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

  /** The logits of the classes for an embedding. */
  logits(embedding) {
    const { scale, bias } = this.#settings;
    return this.#weights.map((row) => scale * dot(row, embedding) + bias);
  }
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
