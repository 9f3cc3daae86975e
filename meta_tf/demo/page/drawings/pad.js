// A pad to draw on: by mouse, finger, pen or keys.

import { paint } from "./paint.js";

const STEP = 1 / 40; // of the pad, for an arrow key
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * Makes a canvas a pad.
 *
 * `changed()` is called after each stroke, and after strokes were taken away;
 * `begins()` before a stroke.
 */
export class Pad {
  strokes = [];
  #cursor = { x: 0.5, y: 0.5, down: false };
  #pointer = null; // the one that draws; other fingers do nothing

  constructor(canvas, { changed, begins = () => {} }) {
    this.canvas = canvas;
    this.#listen(changed, begins);
    new ResizeObserver(() => this.show()).observe(canvas);
  }

  get empty() {
    return this.strokes.length === 0;
  }

  clear() {
    this.strokes = [];
    this.#cursor.down = false;
    this.show();
  }

  undo() {
    this.strokes = this.strokes.slice(0, -1);
    this.#cursor.down = false;
    this.show();
  }

  show() {
    paint(this.canvas, this.strokes, this.canvas.matches(":focus-visible") ? this.#cursor : null);
  }

  #listen(changed, begins) {
    const { canvas } = this;
    const end = (event) => {
      if (event.pointerId !== this.#pointer) return;
      this.#pointer = null;
      changed();
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (this.#pointer !== null || event.button !== 0) return;
      begins();
      this.#pointer = event.pointerId;
      canvas.setPointerCapture(event.pointerId);
      this.strokes = [...this.strokes, [this.#place(event)]];
      this.show();
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.pointerId !== this.#pointer) return;
      // A browser may tell of several places at once.
      const events = event.getCoalescedEvents?.() ?? [];
      for (const each of events.length ? events : [event]) this.#extend(this.#place(each));
      this.show();
    });
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointercancel", end);
    canvas.addEventListener("keydown", (event) => this.#key(event, changed, begins));
    for (const name of ["focus", "blur"]) canvas.addEventListener(name, () => this.show());
  }

  #key(event, changed, begins) {
    const cursor = this.#cursor;
    if (event.key in ARROWS) {
      const [along, down] = ARROWS[event.key];
      const step = event.shiftKey ? 4 * STEP : STEP;
      cursor.x = inside(cursor.x + along * step);
      cursor.y = inside(cursor.y + down * step);
      if (cursor.down) this.#extend([cursor.x, cursor.y]);
    } else if (event.key === " " || event.key === "Enter") {
      if (!cursor.down) {
        begins();
        this.strokes = [...this.strokes, [[cursor.x, cursor.y]]];
      }
      cursor.down = !cursor.down;
      if (!cursor.down) changed();
    } else if (event.key === "Backspace" || event.key === "Escape") {
      if (event.key === "Escape") this.clear();
      else this.undo();
      changed();
    } else {
      return;
    }
    event.preventDefault();
    this.show();
  }

  #extend(point) {
    this.strokes.at(-1).push(point);
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [
      inside((event.clientX - box.left) / box.width),
      inside((event.clientY - box.top) / box.height),
    ];
  }
}

function inside(share) {
  return Math.min(1, Math.max(0, share));
}
