// The network: it embeds a picture, which is all that the head needs of it.

import { load, pictures, start } from "../runtime.js";

export class Network {
  #run;
  #shape;

  /** Loads the network that manifest.json names, and runs it once: the first time is slower. */
  static async load({ embed, size }) {
    await start();
    const network = new Network();
    network.#run = await load(embed);
    network.#shape = [size, size, 3];
    await network.embed(new Float32Array(size * size * 3));
    return network;
  }

  /** The embedding of a picture, given as `pixels` of square.js; `ms` is the time it took. */
  async embed(picture) {
    const start = performance.now();
    const { embeddings } = await this.#run({ pixels: pictures([picture], this.#shape) });
    return { embedding: embeddings.data.slice(), ms: performance.now() - start };
  }
}
