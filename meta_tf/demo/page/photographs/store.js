// What was taught, kept in the browser (IndexedDB) until it is forgotten.
//
// A class is { id, name, place }; an example { id, of, place, embedding, thumbnail }, `of` the id of
// its class. Embeddings by another network say nothing here, so each network has a store of its
// own.

export class Store {
  #database;

  /** Opens the store of a network; without IndexedDB, a store that keeps nothing. */
  static async open(network) {
    const store = new Store();
    try {
      store.#database = await opened(`meta_tf photographs ${network}`);
    } catch {
      store.#database = null;
    }
    return store;
  }

  /** Whether anything is kept. */
  get keeps() {
    return this.#database !== null;
  }

  /** All classes, each with its `examples`. */
  async read() {
    if (!this.keeps) return [];
    const transaction = this.#database.transaction(["classes", "examples"]);
    const all = (name) => result(transaction.objectStore(name).getAll());
    const [classes, examples] = await Promise.all([all("classes"), all("examples")]);
    const inOrder = (list) => list.sort((a, b) => a.place - b.place);
    return inOrder(classes).map((each) => ({
      ...each,
      examples: inOrder(examples.filter(({ of }) => of === each.id)),
    }));
  }

  /** Keeps classes with all their examples, all or none of them. */
  async put(classes) {
    await this.#change((kept) => {
      for (const { examples, ...each } of classes) {
        kept("classes").put(each);
        for (const example of examples) kept("examples").put(example);
      }
    });
  }

  /** Keeps a class's name and place. */
  async putClass({ id, name, place }) {
    await this.#change((kept) => kept("classes").put({ id, name, place }));
  }

  /** Keeps one more example. */
  async putExample(example) {
    await this.#change((kept) => kept("examples").put(example));
  }

  async removeExample({ id }) {
    await this.#change((kept) => kept("examples").delete(id));
  }

  /** Deletes classes with all their examples. */
  async remove(classes) {
    await this.#change((kept) => {
      for (const { id, examples } of classes) {
        kept("classes").delete(id);
        for (const example of examples) kept("examples").delete(example.id);
      }
    });
  }

  async #change(change) {
    if (!this.keeps) return;
    const transaction = this.#database.transaction(["classes", "examples"], "readwrite");
    change((name) => transaction.objectStore(name));
    await new Promise((done, failed) => {
      transaction.oncomplete = done;
      transaction.onabort = transaction.onerror = () => failed(transaction.error);
    });
  }
}

function opened(name) {
  const request = indexedDB.open(name, 1);
  request.onupgradeneeded = () => {
    for (const kind of ["classes", "examples"]) {
      request.result.createObjectStore(kind, { keyPath: "id" });
    }
  };
  return result(request);
}

function result(request) {
  return new Promise((done, failed) => {
    request.onsuccess = () => done(request.result);
    request.onerror = () => failed(request.error);
  });
}
