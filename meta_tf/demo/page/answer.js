// The answer: which symbol, how sure, a bar for each, and a button to teach each.

import { paint } from "./paint.js";

const parts = {
  answer: document.querySelector("#answer"),
  bars: document.querySelector("#bars"),
  teach: document.querySelector("#teach"),
  choices: document.querySelector("#choices"),
};

/** A share as a text such as `98 %`, on one line, never rounded up to certainty. */
export function percent(share) {
  return `${Math.min(99.9, 100 * share).toFixed(share > 0.1 && share < 0.99 ? 0 : 1)}\u00a0%`;
}

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
 * @param before what it said before it was taught the drawing that it is asked about, as
 *   `{ name, share }`; null if it was not.
 * @param teach called with the symbol of the button that was pressed.
 */
export function show(words, symbols, probabilities, before, teach) {
  const best = probabilities.indexOf(Math.max(...probabilities));
  const said = [symbols[best].name, percent(probabilities[best])];
  parts.answer.className = "answer";
  parts.answer.textContent = before
    ? words.nowThis(...said, before.name, percent(before.share))
    : words.isThis(...said);
  const bars = symbols.map((symbol, i) => bar(symbol, probabilities[i], i === best));
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

function bar(symbol, share, isBest) {
  const item = element("li", isBest ? "bar best" : "bar");
  const track = element("span", "track");
  const fill = element("span", "fill");
  fill.style.width = `${100 * share}%`;
  track.append(fill);
  item.append(
    element("canvas", "drawn"),
    element("span", "label", symbol.name),
    track,
    element("span", "share", percent(share)),
  );
  return item;
}

function element(kind, name, text = "") {
  const made = document.createElement(kind);
  made.className = name;
  made.textContent = text;
  if (kind === "canvas") made.setAttribute("aria-hidden", "true");
  return made;
}
