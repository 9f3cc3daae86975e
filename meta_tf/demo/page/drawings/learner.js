// The learner: it learns from pictures of a few classes, and says which class a new one is.
// What it is, and which files hold it, stands in manifest.json.

import { strangeness, temperature, threshold } from "../calibration.js";
import { manifest } from "../manifest.js";
import { labels, load, pictures, start } from "../runtime.js";
import { softmax } from "../shares.js";

export class Learner {
  #after; // [{ steps, adapt, predict }], for each number of steps that is shown; its own last
  #support = [];
  #counts = []; // of the drawings of each class
  #learned = []; // [{ steps, weights, predict }]
  #temperature = 1;
  #within = 0; // squared distances of the drawings from the means of their classes, summed

  /** What there is to choose from; with that, what runs it is ready. */
  static async choices() {
    const [written] = await Promise.all([manifest(), start()]);
    return written;
  }

  /** Loads one of the learners that the manifest tells of. */
  static async load(manifest) {
    const learner = new Learner();
    learner.manifest = manifest;
    learner.#after = [];
    for (const { steps, adapt, predict } of manifest.after) {
      learner.#after.push({ steps, adapt: await load(adapt), predict: await load(predict) });
    }
    return learner;
  }

  get #shape() {
    return [this.manifest.size, this.manifest.size, 1];
  }

  /** Runs everything once: the first time is slower, as a browser compiles what is needed. */
  async warm() {
    const blank = new Float32Array(this.manifest.size ** 2);
    await this.learn([[blank], [blank]]);
    await this.ask(blank);
  }

  /**
   * Learns from drawings of the classes 0 … n - 1.
   *
   * @param classes for each class its pictures, each of `manifest.size` squared numbers.
   * @returns the time it took, in ms; fewer steps than its own are there to be looked at.
   */
  async learn(classes) {
    const support = classes.flat();
    const y = labels(classes.flatMap((list, label) => list.map(() => label)));
    const x = pictures(support, this.#shape);
    const learned = [];
    let ms = 0;
    for (const { steps, adapt, predict } of this.#after) {
      const start = performance.now();
      learned.push({ steps, predict, weights: await adapt({ support_x: x, support_y: y }) });
      ms = performance.now() - start;
    }
    [this.#support, this.#learned] = [support, learned];
    this.#counts = classes.map((list) => list.length);
    const { calibration } = this.manifest;
    if (calibration) this.#temperature = temperature(this.#counts, calibration);
    if (this.#measures) {
      const own = await this.#logits(learned.at(-1), support, support.length);
      this.#within = 0;
      own.forEach((row, i) => (this.#within += this.#distances(row)[y.data[i]]));
    }
    return ms;
  }

  /**
   * What it takes a picture for.
   *
   * @returns for each number of steps `{ steps, logits, probabilities, none }`, of the classes
   *   that were learned; `none`: whether it is none of them, as far as the learner can say. An
   *   output beyond those is left out: a learner whose number of outputs is fixed never had an
   *   example for it.
   */
  async ask(picture) {
    // A learner that normalises by the batch at hand needs examples of all classes beside it.
    const batch = this.manifest.batch_with ? [...this.#support, picture] : [picture];
    const answers = [];
    for (const each of this.#learned) {
      const [logits] = await this.#logits(each, batch, 1);
      const probabilities = softmax(logits.map((logit) => logit / this.#temperature));
      answers.push({ steps: each.steps, logits, probabilities, none: this.#isNone(logits) });
    }
    return answers;
  }

  /** The logits of the last pictures of a batch, of the classes that were learned. */
  async #logits({ weights, predict }, batch, number) {
    const { predictions } = await predict({ query_x: pictures(batch, this.#shape), ...weights });
    const outputs = predictions.dims.at(-1);
    return Array.from({ length: number }, (_, i) => {
      const start = (batch.length - number + i) * outputs;
      return [...predictions.data.slice(start, start + this.#counts.length)];
    });
  }

  /** Whether its logits are distances, by which it can tell what is none of the classes. */
  get #measures() {
    return Boolean(this.manifest.calibration?.spread);
  }

  #distances(logits) {
    return logits.map((logit) => -logit / this.manifest.scale);
  }

  #isNone(logits) {
    if (!this.#measures) return false;
    const { calibration } = this.manifest;
    const apart = this.#distances(logits);
    const strange = strangeness(apart, this.#counts, this.#within, calibration.spread);
    return strange > threshold(this.#counts, calibration);
  }
}
