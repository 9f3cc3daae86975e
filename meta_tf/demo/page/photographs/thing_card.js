// The card of a thing: its name, its pictures, and how to add one.

import { takeChosen, takeDrops } from "./files.js";
import { paint } from "./square.js";

export class ThingCard {
  #items = new Map(); // of the list, by the examples' ids
  #parts;
  #words;
  #can;

  /**
   * @param thing `{ name, examples }`.
   * @param can what is called: `teach()`, `take(files)`, `rename(name)` (which returns the name it
   *   has then), `remove()`, `removeExample(example)`.
   */
  constructor(template, thing, can) {
    this.thing = thing;
    this.#can = can;
    this.element = template.content.firstElementChild.cloneNode(true);
    const find = (name) => this.element.querySelector(name);
    this.#parts = {
      name: find(".name"),
      count: find(".count"),
      remove: find(".remove"),
      examples: find(".examples"),
      teach: find(".teach"),
      files: find(".files"),
    };
    const { name, remove, teach, files } = this.#parts;
    name.addEventListener("change", () => {
      name.value = can.rename(name.value.trim());
    });
    name.addEventListener("keydown", ({ key }) => key === "Enter" && name.blur());
    teach.addEventListener("click", can.teach);
    remove.addEventListener("click", can.remove);
    takeChosen(files, find("input[type=file]"), can.take);
    takeDrops(this.element, can.take);
  }

  focus() {
    this.#parts.name.focus();
    this.#parts.name.select();
  }

  /** Says everything in other words, or of another name. */
  tell(words) {
    const { name, remove, teach, files } = this.#parts;
    this.#words = words;
    name.value = this.thing.name;
    name.setAttribute("aria-label", words.nameOf(this.thing.name));
    teach.textContent = words.teach;
    files.textContent = words.files;
    teach.setAttribute("aria-label", words.teachAs(this.thing.name));
    files.setAttribute("aria-label", words.filesOf(this.thing.name));
    remove.setAttribute("aria-label", words.removeOf(this.thing.name));
    this.show();
  }

  /** Shows its pictures, and how many; `adding` tells of files that are still to come. */
  show(adding = null) {
    const { examples } = this.thing;
    this.#parts.count.textContent = adding
      ? this.#words.adding(...adding)
      : this.#words.count(examples.length);
    const items = examples.map((example) => this.#items.get(example.id) ?? this.#item(example));
    this.#items = new Map(items.map((item, i) => [examples[i].id, item]));
    items.forEach((item, i) => {
      const label = this.#words.removeExample(this.thing.name, i + 1);
      const button = item.firstElementChild;
      button.setAttribute("aria-label", label);
      button.title = label;
    });
    this.#parts.examples.replaceChildren(...items);
  }

  /** Whether there is a picture to add. */
  allow(teaching) {
    this.#parts.teach.disabled = !teaching;
  }

  #item(example) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const canvas = document.createElement("canvas");
    button.type = "button";
    button.className = "thumbnail";
    button.append(canvas);
    button.addEventListener("click", () => this.#can.removeExample(example));
    item.append(button);
    paint(canvas, example.thumbnail);
    return item;
  }
}
