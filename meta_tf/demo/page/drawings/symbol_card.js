// A symbol to teach: its card with a name, a pad, and the drawings of it so far.

import { Pad } from "./pad.js";
import { paint } from "./paint.js";

export class SymbolCard {
  earlier = []; // drawings beside the one on the pad
  #number = 0;
  #words = null;
  #parts;
  #changed;

  /** `changed()` is called when its drawings change, `removed(symbol)` by its own button. */
  constructor(template, { changed, renamed, removed }) {
    this.#changed = changed;
    this.element = template.content.firstElementChild.cloneNode(true);
    const find = (name) => this.element.querySelector(name);
    this.#parts = {
      name: find(".name"),
      remove: find(".remove"),
      clear: find(".clear"),
      more: find(".more"),
      earlier: find(".earlier"),
    };
    this.pad = new Pad(find(".pad"), { changed: () => this.#show(changed) });
    const { name, remove, clear, more } = this.#parts;
    name.addEventListener("input", () => {
      this.#label();
      renamed();
    });
    remove.addEventListener("click", () => removed(this));
    clear.addEventListener("click", () => {
      this.pad.clear();
      this.#show(changed);
    });
    more.addEventListener("click", () => {
      this.teach(this.pad.strokes);
      this.pad.clear();
      this.pad.canvas.focus();
      this.#show(changed);
    });
  }

  /** All drawings of it, each a list of strokes. */
  get drawings() {
    return this.pad.empty ? this.earlier : [...this.earlier, this.pad.strokes];
  }

  get name() {
    return this.#parts.name.value.trim() || this.#words.names[this.#number - 1];
  }

  /** Adds a drawing. */
  teach(strokes) {
    if (this.drawings.length === 0) this.pad.strokes = strokes;
    else this.earlier = [...this.earlier, strokes];
    this.pad.show();
    this.#show();
  }

  /** Says everything in other words, or under another number. */
  tell(words, number, removable) {
    const { name, remove, clear, more } = this.#parts;
    [this.#words, this.#number] = [words, number];
    name.placeholder = words.names[number - 1];
    name.setAttribute("aria-label", words.nameOf(number));
    clear.textContent = words.clear;
    more.textContent = words.more;
    remove.hidden = !removable;
    this.#label();
    this.#show();
  }

  #label() {
    const { remove, clear, more } = this.#parts;
    const words = this.#words;
    this.pad.canvas.setAttribute("aria-label", words.padOf(this.name));
    remove.setAttribute("aria-label", words.removeOf(this.name));
    clear.setAttribute("aria-label", words.clearOf(this.name));
    more.setAttribute("aria-label", words.moreOf(this.name));
  }

  #show(then = () => {}) {
    const { clear, more, earlier } = this.#parts;
    clear.disabled = more.disabled = this.pad.empty;
    earlier.replaceChildren(...this.earlier.map((strokes, i) => this.#thumbnail(strokes, i)));
    earlier.querySelectorAll("canvas").forEach((canvas, i) => paint(canvas, this.earlier[i]));
    then();
  }

  #thumbnail(strokes, i) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "thumbnail";
    button.setAttribute("aria-label", this.#words.removeDrawing(this.name, i + 1));
    button.title = this.#words.removeDrawing(this.name, i + 1);
    button.append(document.createElement("canvas"));
    button.addEventListener("click", () => {
      this.earlier = this.earlier.filter((other) => other !== strokes);
      this.#show(this.#changed);
    });
    item.append(button);
    return item;
  }
}
