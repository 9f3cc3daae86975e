// The page: what it is shown on one side, what it was taught on the other.

import { keepOffline } from "../keep_offline.js";
import { manifest } from "../manifest.js";
import { preferred, speak } from "../words.js";
import * as answer from "./answer.js";
import * as askedList from "./asked.js";
import { Camera } from "./camera.js";
import { problem, readPicture, takeChosen, takeDrops } from "./files.js";
import { Head } from "./head.js";
import { Network } from "./network.js";
import * as notice from "./notice.js";
import { read, written } from "./saved.js";
import { exactSquare, pixels, square, thumbnail } from "./square.js";
import { Store } from "./store.js";
import { ThingCard } from "./thing_card.js";
import { en } from "./words/en.js";
import { zh } from "./words/zh.js";

const LANGUAGES = { en, zh };
const FEWEST = 2;
const MOST_ASKED = 100;
const LARGE = 640; // pixels of the picture that is shown
const MOST_A_SECOND = 10; // pictures of the camera
const $ = (name) => document.querySelector(name);

const page = {
  words: LANGUAGES[preferred(LANGUAGES)],
  manifest: null,
  network: null,
  store: null,
  things: [], // { id, name, place, examples: [{ id, of, place, embedding, thumbnail }] }
  cards: new Map(), // by the things' ids
  asked: [], // { file, name, canvas, embedding, ms, answer }: files to be recognised
  seen: null, // the last picture: one of them, or the camera's
  drawn: null, // the file that is drawn in large
  head: null, // what learned from the things; null when they have changed
  learned: null, // { things, pictures, ms } of the head
  live: null, // what follows the camera: the last one started
  frames: 0, // of the camera, that were answered
};
let queue = Promise.resolve();

const camera = new Camera($("#video"), () => {
  stopCamera();
  notice.show(page.words.problems.cameraEnded());
});

// For tests of the page: what it holds, and when it has made up its mind.
export const state = page;
export const settled = () => queue;

start();

async function start() {
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => changeLanguage(button.dataset.language));
  }
  $("#camera").addEventListener("click", () => attempt(camera.on ? stopCamera : startCamera));
  $("#turn").addEventListener("click", () => attempt(turnCamera));
  $("#add").addEventListener("click", () => attempt(() => addThing().then((thing) => cardOf(thing).focus())));
  $("#save").addEventListener("click", save);
  $("#forget").addEventListener("click", () => attempt(forget));
  takeChosen($("#choose"), $("#choose-files"), ask);
  takeChosen($("#load"), $("#load-file"), ([file]) => attempt(() => load(file)));
  takeDrops($("#view"), ask);
  takeDrops(document.body, ask); // and the browser opens no file that missed its place
  document.addEventListener("paste", (event) => ask([...event.clipboardData.files]));
  changeLanguage(preferred(LANGUAGES));
  try {
    page.manifest = await manifest();
    const kept = Store.open(page.manifest.network);
    page.network = await Network.load(page.manifest);
    page.store = await kept;
    for (const thing of await page.store.read()) show(thing);
    while (page.things.length < FEWEST) await addThing();
  } catch (error) {
    fail(error);
    return;
  }
  tell();
  update();
  performance.mark("ready");
  document.documentElement.dataset.ready = "yes";
  keepOffline();
}

// What it is shown

const startCamera = () => follow(() => camera.start());
const turnCamera = () => follow(() => camera.turn());

/** Answers what the camera shows, once it is on. */
async function follow(start) {
  page.asked = [];
  page.seen = null;
  $("#camera").disabled = $("#turn").disabled = true;
  try {
    await start();
    $("#video").classList.toggle("mirrored", camera.mirrored);
    $("#turn").hidden = !(await Camera.several());
  } finally {
    $("#camera").disabled = $("#turn").disabled = false;
    update();
  }
  live();
}

function stopCamera() {
  camera.stop();
  page.seen = null;
  update();
}

/** Answers one picture of the camera after the other, and leaves a third of the time to the browser. */
async function live() {
  const started = (page.live = {});
  while (camera.on && page.live === started) {
    const start = performance.now();
    if (!document.hidden) {
      await inTurn(async () => {
        if (!camera.on) return;
        await answerNow();
        page.frames += 1;
      });
    }
    const took = performance.now() - start;
    await new Promise((done) => setTimeout(done, Math.max(took / 2, 1000 / MOST_A_SECOND - took)));
  }
}

/** Recognises files, and shows the first. */
async function ask(files) {
  if (!files.length || !page.store) return;
  if (camera.on) stopCamera();
  const asked = (page.asked = []);
  page.seen = null;
  for (const file of files.slice(0, MOST_ASKED)) {
    await attempt(async () => {
      const one = { file, name: file.name, ...(await see(await readPicture(file))), answer: null };
      if (page.asked !== asked) return;
      asked.push(one);
      page.seen ??= one;
    });
    if (page.asked !== asked) return; // it is asked about something else
    update();
  }
}

/** A picture as the network sees it, and its embedding. */
async function see(source) {
  const canvas = exactSquare(source, page.manifest.size, page.manifest.crop);
  source.close?.();
  return { canvas, ...(await page.network.embed(pixels(canvas, page.manifest.white))) };
}

// What it is taught

/** A new thing, without pictures. */
async function addThing(name = unusedName()) {
  if (page.things.length >= page.manifest.ways) throw problem("tooMany", page.manifest.ways);
  const thing = { id: newId(), name, place: 1 + Math.max(0, ...page.things.map(({ place }) => place)), examples: [] };
  show(thing);
  tell();
  return thing;
}

/** Makes a card of a thing. */
function show(thing) {
  const card = new ThingCard($("template#card"), thing, {
    teach: () => attempt(() => teach(thing)),
    take: (files) => teachFiles(thing, files),
    rename: (name) => rename(thing, name),
    remove: () => attempt(() => remove(thing)),
    removeExample: (example) => attempt(() => removeExample(thing, example)),
  });
  page.things.push(thing);
  page.things.sort((a, b) => a.place - b.place);
  page.cards.set(thing.id, card);
  card.tell(page.words);
  $("#cards").insertBefore(card.element, $("#cards").children[page.things.indexOf(thing)] ?? null);
}

function hide(thing) {
  page.things = page.things.filter((other) => other !== thing);
  cardOf(thing).element.remove();
  page.cards.delete(thing.id);
}

const cardOf = (thing) => page.cards.get(thing.id);

/** Adds the picture that is shown. */
async function teach(thing) {
  if (camera.on) await inTurn(async () => addExample(thing, await see($("#video"))));
  else if (page.seen) await addExample(thing, page.seen);
}

async function teachFiles(thing, files) {
  if (!page.store) return;
  for (const [i, file] of files.entries()) {
    cardOf(thing)?.show([i + 1, files.length]);
    await attempt(async () => {
      const picture = await readPicture(file);
      await inTurn(async () => addExample(thing, await see(picture)));
    });
  }
  cardOf(thing)?.show();
}

async function addExample(thing, { canvas, embedding }) {
  const small = await thumbnail(canvas);
  if (!page.things.includes(thing)) return; // deleted meanwhile
  const place = 1 + Math.max(0, ...thing.examples.map((other) => other.place));
  const example = { id: newId(), of: thing.id, place, embedding, thumbnail: small };
  thing.examples.push(example);
  cardOf(thing).show();
  changed();
  await kept((store) => store.put([{ ...thing, examples: [example] }]));
  navigator.storage?.persist?.(); // else a browser may delete it when its storage is full
}

async function removeExample(thing, example) {
  thing.examples = thing.examples.filter((other) => other !== example);
  cardOf(thing).show();
  changed();
  await kept((store) => store.removeExample(example));
  notice.show(page.words.deletedPicture(thing.name), () =>
    attempt(async () => {
      thing.examples = [...thing.examples, example].sort((a, b) => a.place - b.place);
      cardOf(thing)?.show();
      changed();
      await kept((store) => store.putExample(example));
    }),
  );
}

/** Renames a thing, unless another has that name; returns its name. */
function rename(thing, name) {
  if (page.things.some((other) => other !== thing && other.name === name)) {
    notice.show(page.words.problems.sameName(name));
  } else if (name) {
    thing.name = name;
    attempt(() => kept((store) => store.putClass(thing)));
  }
  cardOf(thing).tell(page.words);
  update();
  return thing.name;
}

async function remove(thing) {
  await removeAll([thing], page.words.deleted(thing.name));
}

async function forget() {
  await removeAll(page.things, page.words.forgotten);
  while (page.things.length < FEWEST) await addThing();
}

/** Removes things; the notice can bring them back. */
async function removeAll(things, said) {
  const gone = things.map((thing) => ({ ...thing }));
  for (const thing of things) hide(thing);
  changed();
  await kept((store) => store.remove(gone));
  if (!gone.some(({ examples }) => examples.length)) return;
  notice.show(said, () => attempt(() => bringBack(gone)));
}

async function bringBack(things) {
  for (const empty of page.things.filter(({ examples }) => !examples.length)) hide(empty);
  things.forEach(show);
  changed();
  await kept((store) => store.put(things));
}

function save() {
  const text = written(page.things.filter(({ examples }) => examples.length), page.manifest);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = "things.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

/** Adds what a file holds to what is there: to a thing of the same name, or as a new one. */
async function load(file) {
  const found = read(await file.text(), page.manifest);
  const names = new Set([...page.things.map(({ name }) => name), ...found.map(({ name }) => name)]);
  const empty = page.things.filter(({ examples }) => !examples.length);
  if (names.size - empty.length > page.manifest.ways) throw problem("tooMany", page.manifest.ways);
  for (const thing of empty) hide(thing);
  const known = new Set(page.things.flatMap(({ examples }) => examples.map(({ id }) => id)));
  let count = 0;
  for (const { name, examples } of found) {
    const thing = page.things.find((other) => other.name === name) ?? (await addThing(name));
    for (const example of examples.filter(({ id }) => !known.has(id))) {
      const place = 1 + Math.max(0, ...thing.examples.map((other) => other.place));
      thing.examples.push({ ...example, of: thing.id, place });
      count += 1;
    }
    cardOf(thing).show();
  }
  changed();
  await kept((store) => store.put(page.things));
  notice.show(page.words.loaded(count, found.length));
}

function changed() {
  page.head = null;
  tell();
  update();
}

function unusedName() {
  const used = new Set(page.things.map(({ name }) => name));
  for (let number = 1; ; number++) {
    const name = page.words.thing(number);
    if (!used.has(name)) return name;
  }
}

// No randomUUID, which pages without https lack.
const newId = () => [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

async function kept(change) {
  try {
    await change(page.store);
  } catch {
    throw problem("notStored");
  }
}

// What it says

function changeLanguage(language) {
  page.words = LANGUAGES[language];
  speak(page.words, language);
  notice.tell(page.words);
  notice.hide();
  for (const card of page.cards.values()) card.tell(page.words);
  tell();
  update();
}

/** Labels, and what can be pressed. */
function tell() {
  const { words, things, manifest: told, store } = page;
  const taught = things.some(({ examples }) => examples.length);
  $("#camera").textContent = camera.on ? words.cameraOff : words.cameraOn;
  $("#camera").disabled = $("#choose").disabled = $("#add").disabled = $("#load").disabled = !store;
  $("#add").hidden = Boolean(told) && things.length >= told.ways;
  $("#save").disabled = $("#forget").disabled = !taught;
  $("#kept").textContent = store ? (store.keeps ? words.kept : words.notKept) : "";
  const about = told?.learner === "photos" ? words.about : words.aboutOwn;
  $("#about").textContent = told ? about(told.learner) : "";
}

/** One thing after the other. */
function inTurn(work) {
  queue = queue.then(work).catch(fail);
  return queue;
}

function update() {
  inTurn(answerNow);
}

async function answerNow() {
  const { words, network } = page;
  if (!network) return answer.ask(words.loading);
  if (camera.on) page.seen = await see($("#video"));
  learn();
  for (const one of camera.on ? [page.seen] : page.asked) one.answer = answerTo(one);
  await showSeen();
  if (!page.head) return answer.ask(words.needThings);
  if (!page.seen) return answer.ask(words.needPicture);
  answer.show(words, page.seen.answer);
  const { pictures, ms } = page.learned;
  $("#times").textContent = words.times(pictures, Math.max(1, Math.round(ms)), Math.round(page.seen.ms));
}

/** Learns the things anew if they have changed. */
function learn() {
  const things = page.things.filter(({ examples }) => examples.length);
  if (page.head || things.length < FEWEST) return;
  const start = performance.now();
  const classes = things.map(({ examples }) => examples.map(({ embedding }) => embedding));
  page.head = new Head(classes, page.manifest);
  page.learned = { things, pictures: classes.flat().length, ms: performance.now() - start };
}

function answerTo({ embedding }) {
  if (!page.head) return null;
  return { things: page.learned.things, ...page.head.answer(embedding) };
}

/** What is looked at: the camera, or the file that is chosen. */
async function showSeen() {
  const { words, asked, seen } = page;
  $("#answer").setAttribute("aria-live", camera.on ? "off" : "polite"); // it changes all the time
  $("#video").hidden = !camera.on;
  $("#chosen").hidden = camera.on || !seen;
  $("#empty").hidden = camera.on || Boolean(seen);
  $("#times").textContent = "";
  $("#camera").textContent = camera.on ? words.cameraOff : words.cameraOn;
  if (!camera.on) $("#turn").hidden = true;
  for (const card of page.cards.values()) card.allow(camera.on || Boolean(seen));
  if (seen?.file && seen.file !== page.drawn) {
    $("#chosen").width = $("#chosen").height = LARGE;
    const picture = await readPicture(seen.file);
    $("#chosen").getContext("2d").drawImage(square(picture, LARGE, page.manifest.crop), 0, 0);
    picture.close();
    page.drawn = seen.file;
  }
  if (seen?.file) $("#chosen").setAttribute("aria-label", words.shown(seen.name));
  askedList.show(words, asked, seen, (one) => {
    page.seen = one;
    update();
  });
}

async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    fail(error);
  }
}

/** Says what went wrong. */
function fail(error) {
  const { problems } = page.words;
  notice.show(error.reason in problems ? problems[error.reason](error.detail) : problems.other(error.message));
  if (!error.reason) console.error(error);
}
