// How the learner came to its answer: step by step, or by distances.

import { percent } from "../shares.js";
import { paintPicture } from "./paint.js";

const parts = {
  how: document.querySelector("#how"),
  seen: document.querySelector("#seen"),
  learned: document.querySelector("#learned"),
  explained: document.querySelector("#explained"),
  details: document.querySelector("#details"),
};

/** Takes it all away. */
export function hide() {
  parts.how.hidden = true;
}

/**
 * Shows it.
 *
 * @param manifest of the learner: its `shows` is "steps", "distances" or "confidence".
 * @param learned `{ drawings, ms }`: from how many it learned, and in what time.
 */
export function show(words, manifest, symbols, picture, answers, learned) {
  parts.how.hidden = false;
  parts.seen.setAttribute("aria-label", words.seen);
  paintPicture(parts.seen, picture, manifest.size);
  parts.learned.textContent = words.learned(learned.drawings, Math.max(1, Math.round(learned.ms)));
  parts.explained.textContent = words.explained[manifest.shows];
  const columns = COLUMNS[manifest.shows](words, answers, manifest);
  const names = symbols.map((symbol) => symbol.name);
  const last = answers.at(-1).probabilities;
  parts.details.replaceChildren(table(words, names, columns, last.indexOf(Math.max(...last))));
}

const COLUMNS = { steps: ofSteps, distances: ofDistances, confidence: ofConfidence };

/** A column for each number of steps. */
function ofSteps(words, answers) {
  return answers.map(({ steps, probabilities }) => ({
    title: words.afterSteps(steps),
    cells: probabilities.map(percent),
  }));
}

/** The distances, which the logits are but for sign and scale, and what they mean. */
function ofDistances(words, answers, { scale }) {
  const distances = answers.at(-1).logits.map((logit) => (-logit / scale).toPrecision(3));
  return [{ title: words.distance, cells: distances }, ...ofConfidence(words, answers)];
}

function ofConfidence(words, answers) {
  return [{ title: words.confidence, cells: answers.at(-1).probabilities.map(percent) }];
}

function table(words, names, columns, best) {
  const body = document.createDocumentFragment();
  const head = document.createElement("tr");
  for (const title of [words.symbol, ...columns.map((column) => column.title)]) {
    head.append(cell("th", title, "col"));
  }
  body.append(head);
  names.forEach((name, i) => {
    const row = document.createElement("tr");
    if (i === best) row.className = "best";
    row.append(cell("th", name, "row"), ...columns.map(({ cells }) => cell("td", cells[i])));
    body.append(row);
  });
  return body;
}

function cell(kind, text, scope = null) {
  const made = document.createElement(kind);
  made.textContent = text;
  if (scope) made.scope = scope;
  return made;
}
