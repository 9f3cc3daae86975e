// The answer: which symbol, how sure, a bar for each, and a button to teach each.

import { bar, element, percent } from "../shares.js";
import { paint } from "./paint.js";

const parts = {
  answer: document.querySelector("#answer"),
  bars: document.querySelector("#bars"),
  teach: document.querySelector("#teach"),
  choices: document.querySelector("#choices"),
};

/** Says what has to be done first. */
export function ask(text) {
  parts.answer.textContent = text;
  parts.answer.className = "answer hint";
  parts.bars.replaceChildren();
  parts.teach.hidden = true;
}

/**
 * Shows an answer.
 *
 * @param symbols those that were learned, in the order of the probabilities.
 * @param answer `{ probabilities, none }`: whether the drawing is none of them.
 * @param before what it said before it was taught the drawing that it is asked about, as
 *   `{ name, share }`; null if it was not.
 * @param teach called with the symbol of the button that was pressed.
 */
export function show(words, symbols, { probabilities, none }, before, teach) {
  const best = probabilities.indexOf(Math.max(...probabilities));
  const said = [symbols[best].name, percent(probabilities[best])];
  parts.answer.className = "answer";
  parts.answer.textContent = words.isThis(...said);
  if (before) parts.answer.textContent = words.nowThis(...said, before.name, percent(before.share));
  else if (none) parts.answer.textContent = words.isNone;
  const shown = before || !none ? best : -1;
  const bars = symbols.map((symbol, i) => bar(symbol.name, probabilities[i], i === shown));
  parts.bars.replaceChildren(...bars);
  bars.forEach((item, i) => paint(item.querySelector("canvas"), symbols[i].drawings[0]));
  parts.teach.hidden = Boolean(before);
  parts.choices.replaceChildren(
    ...symbols.map((symbol) => {
      const button = element("button", "", symbol.name);
      button.type = "button";
      button.setAttribute("aria-label", words.teachAs(symbol.name));
      button.addEventListener("click", () => teach(symbol));
      return button;
    }),
  );
}
