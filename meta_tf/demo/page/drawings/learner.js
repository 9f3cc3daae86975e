// The learner: it learns from pictures of a few classes, and says which class a new one is.
// What it is, and which files hold it, stands in manifest.json.

import { manifest } from "../manifest.js";
import { labels, load, pictures, start } from "../runtime.js";
import { softmax } from "../shares.js";

export class Learner {
  #after; // [{ steps, adapt, predict }], for each number of steps that is shown; its own last
  #support = [];
  #ways = 0;
  #learned = []; // [{ steps, weights, predict }]

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
    [this.#support, this.#ways, this.#learned] = [support, classes.length, learned];
    return ms;
  }

  /**
   * What it takes a picture for.
   *
   * @returns for each number of steps `{ steps, logits, probabilities }`, of the classes that
   *   were learned. An output beyond those is left out: a learner whose number of outputs is
   *   fixed never had an example for it.
   */
  async ask(picture) {
    // A learner that normalises by the batch at hand needs company of all classes.
    const batch = this.manifest.company ? [...this.#support, picture] : [picture];
    const x = pictures(batch, this.#shape);
    const answers = [];
    for (const { steps, weights, predict } of this.#learned) {
      const { predictions } = await predict({ query_x: x, ...weights });
      const outputs = predictions.dims.at(-1);
      const row = predictions.data.slice((batch.length - 1) * outputs);
      const logits = [...row.slice(0, this.#ways)];
      answers.push({ steps, logits, probabilities: softmax(logits) });
    }
    return answers;
  }
}
