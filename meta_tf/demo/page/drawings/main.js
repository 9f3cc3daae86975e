// The page: symbols are taught above, a drawing is asked about below.

import { keepOffline } from "../keep_offline.js";
import { preferred, speak } from "../words.js";
import * as answer from "./answer.js";
import * as choice from "./choice.js";
import * as details from "./details.js";
import { Learner } from "./learner.js";
import { Pad } from "./pad.js";
import { pixels } from "./pixels.js";
import { SymbolCard } from "./symbol_card.js";
import { en } from "./words/en.js";
import { zh } from "./words/zh.js";

const LANGUAGES = { en, zh };
const FEWEST = 2;
const AT_FIRST = 3;
const $ = (name) => document.querySelector(name);

const page = {
  words: LANGUAGES[preferred(LANGUAGES)],
  learners: [], // as manifest.json tells of them
  ways: 2, // how many symbols all of them can tell apart
  wanted: null, // the one that was chosen last, while it is fetched
  learner: null, // the one that is asked
  symbols: [],
  stale: true, // whether the drawings have changed since it learned
  learned: null, // { classes, drawings, ms }: their pictures, how many, and the time it took
  taught: null, // what it said before it was taught the drawing on the pad: { name, share }
  answer: null, // the last: { symbols, picture, answers, ms }
};
export const question = new Pad($("#question"), { changed: update, begins: beginQuestion });
let queue = Promise.resolve();
const loaded = new Map(); // learners by their manifests

// For tests of the page: what it holds, and when it has made up its mind.
export const state = page;
export const settled = () => queue;

start();

async function start() {
  for (let i = 0; i < AT_FIRST; i++) addSymbol();
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => changeLanguage(button.dataset.language));
  }
  $("#add").addEventListener("click", () => {
    addSymbol().pad.canvas.focus();
    tell();
  });
  $("#undo").addEventListener("click", () => takeAway(() => question.undo()));
  $("#clear").addEventListener("click", () => takeAway(() => question.clear()));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  changeLanguage(preferred(LANGUAGES));
  try {
    ({ learners: page.learners, ways: page.ways } = await Learner.choices());
    await choose(page.learners[0]);
  } catch (error) {
    fail(error);
    return;
  }
  performance.mark("ready");
  document.documentElement.dataset.ready = "yes";
  keepOffline();
}

/** Makes a learner the one that learns and answers; it is warmed while somebody draws. */
async function choose(manifest) {
  page.wanted = manifest;
  if (!loaded.has(manifest)) loaded.set(manifest, await Learner.load(manifest));
  if (page.wanted !== manifest) return; // another was chosen meanwhile
  const learner = loaded.get(manifest);
  queue = queue.then(async () => {
    await learner.warm();
    page.learner = learner;
    page.taught = null;
    page.stale = true;
    tell();
  });
  update();
}

function addSymbol() {
  const symbol = new SymbolCard($("template#card"), {
    changed: taughtAnew,
    renamed: update,
    removed: removeSymbol,
  });
  page.symbols.push(symbol);
  $("#cards").append(symbol.element);
  symbol.tell(page.words, page.symbols.length, true);
  return symbol;
}

function removeSymbol(symbol) {
  page.symbols = page.symbols.filter((other) => other !== symbol);
  symbol.element.remove();
  tell();
  taughtAnew();
  $("#add").focus();
}

function changeLanguage(language) {
  page.words = LANGUAGES[language];
  speak(page.words, language);
  tell();
  update();
}

/** Names, labels, and what can be pressed. */
function tell() {
  const { words, symbols, learner } = page;
  symbols.forEach((symbol, i) => symbol.tell(words, i + 1, symbols.length > FEWEST));
  question.canvas.setAttribute("aria-label", words.questionPad);
  $("#add").hidden = symbols.length >= Math.min(words.names.length, page.ways);
  const told = learner?.manifest;
  $("#about").textContent = told ? words.about[told.writing ?? "other"](told.learner) : "";
  choice.show(words, page.learners, told, (manifest) => choose(manifest).catch(fail));
}

function taughtAnew() {
  page.stale = true;
  page.taught = null;
  update();
}

/** A drawing that it was taught makes room for a new one. */
function beginQuestion() {
  if (!page.taught) return;
  page.taught = null;
  question.clear();
}

function takeAway(change) {
  page.taught = null;
  change();
  update();
}

function teach(symbol) {
  const { symbols, answers } = page.answer;
  const { probabilities } = answers.at(-1);
  const share = Math.max(...probabilities);
  symbol.teach(question.strokes);
  page.stale = true;
  page.taught = { name: symbols[probabilities.indexOf(share)].name, share };
  update();
}

function repaint() {
  for (const symbol of page.symbols) symbol.pad.show();
  question.show();
  tell();
  update();
}

/** Learns and answers anew, one after the other, as far as it is needed. */
function update() {
  queue = queue.then(answerNow).catch(fail);
}

function fail(error) {
  $("#problem").hidden = false;
  $("#problem").textContent = page.words.failed(error.message);
  console.error(error);
}

async function answerNow() {
  const { words, learner } = page;
  $("#undo").disabled = $("#clear").disabled = question.empty;
  page.answer = null;
  if (!learner) return say(words.loading);
  const symbols = page.symbols.filter(({ drawings }) => drawings.length > 0);
  if (symbols.length < FEWEST) return say(words.needSymbols);
  if (page.stale) {
    page.stale = false;
    page.learned = await learn(symbols);
  }
  if (question.empty) return say(words.needQuestion);
  const start = performance.now();
  const picture = pixels(question.strokes, learner.manifest);
  const answers = await learner.ask(picture);
  page.answer = { symbols, picture, answers, ms: performance.now() - start };
  answer.show(words, symbols, answers.at(-1), page.taught, teach);
  details.show(words, learner.manifest, symbols, picture, answers, page.learned);
}

async function learn(symbols) {
  const { manifest } = page.learner;
  const start = performance.now();
  const classes = symbols.map(({ drawings }) => drawings.map((strokes) => pixels(strokes, manifest)));
  const drawn = performance.now() - start;
  const learned = await page.learner.learn(classes);
  return { classes, drawings: classes.flat().length, ms: drawn + learned };
}

function say(text) {
  answer.ask(text);
  details.hide();
}
