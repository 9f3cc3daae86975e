// The answer: which thing, how sure, and a bar for each.

import { bar, percent, setBar } from "../shares.js";
import { paint } from "./square.js";

const MOST = 8; // bars in the order of the things; of more things, the likeliest
const parts = { answer: document.querySelector("#answer"), bars: document.querySelector("#bars") };
let rows = []; // { item, thing, thumbnail }

/** Says what has to be done first. */
export function ask(text) {
  parts.answer.textContent = text;
  parts.answer.className = "answer hint";
  parts.bars.replaceChildren();
  parts.bars.classList.remove("none");
  rows = [];
}

/** The answer in a few words. */
export function inShort(words, { things, probabilities, none }) {
  if (none) return words.noneOfThese;
  const best = probabilities.indexOf(Math.max(...probabilities));
  return `${things[best].name} ${percent(probabilities[best])}`;
}

/**
 * Shows an answer.
 *
 * @param answer `{ things, probabilities, none }`: those that were learned, and whether the picture
 *   shows none of them.
 */
export function show(words, { things, probabilities, none }) {
  const best = probabilities.indexOf(Math.max(...probabilities));
  parts.answer.className = "answer";
  say(none ? words.isNone : words.isThis(things[best].name, percent(probabilities[best])));
  parts.bars.classList.toggle("none", none);
  const shown = things.map((thing, i) => ({ thing, share: probabilities[i], best: i === best && !none }));
  if (things.length > MOST) shown.sort((a, b) => b.share - a.share).splice(MOST);
  if (rows.length !== shown.length) {
    rows = shown.map(() => ({ item: bar("", 0, false), thumbnail: null }));
    parts.bars.replaceChildren(...rows.map(({ item }) => item));
  }
  shown.forEach(({ thing, share, best: isBest }, i) => {
    setBar(rows[i].item, thing.name, share, isBest);
    const { thumbnail } = thing.examples[0];
    if (rows[i].thumbnail !== thumbnail) paint(rows[i].item.querySelector("canvas"), thumbnail);
    rows[i].thumbnail = thumbnail;
  });
}

/** Only when it changes: a screen reader reads it out. */
function say(text) {
  if (parts.answer.textContent !== text) parts.answer.textContent = text;
}
