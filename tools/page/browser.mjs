// Uses the page as a person would, in Chromium: draws by pointer events, and reads the answers.
//
//     node browser.mjs < work.json > found.json
//
// `work`: as for chromium.mjs, with { url } and one of
//   tasks   of { support, queries }: for each class a drawing to teach, and drawings
//           { strokes, label } to ask about; `loads`, how often to time the loading
//   walk    true: uses mouse, finger, keys, and both languages
//   shots   screenshots of the page with a task solved, { file, task, width, … }

import { browser, finish, opened, work } from "./chromium.mjs";

await finish(() => (work.walk ? walk() : work.shots ? shoot() : run()));

async function run() {
  const { page, problems, elsewhere } = await opened(work.url, { width: 1100, height: 1500 });
  const ways = work.tasks[0].support.length;
  for (let cards = 3; cards < ways; cards++) await page.click("#add");
  for (let cards = 3; cards > ways; cards--) await page.click(".card:last-child .remove");
  const tasks = [];
  for (const task of work.tasks) tasks.push(await solve(page, task));
  return { tasks, load_ms: await loadTimes(), problems, elsewhere };
}

/** Draws by mouse, finger and keys, teaches, changes the language; what came of it. */
async function walk() {
  const viewport = { width: 390, height: 844, hasTouch: true };
  const { page, problems, elsewhere } = await opened(`${work.url}?lang=en`, viewport, work.url);
  const pads = await page.$$(".card .pad");
  await draw(page, pads[0], [[[0.2, 0.2], [0.8, 0.8]]]);
  await pads[1].evaluate((element) => element.scrollIntoView({ block: "center" }));
  const box = await pads[1].boundingBox();
  const at = (x, y) => [box.x + x * box.width, box.y + y * box.height];
  await page.touchscreen.touchStart(...at(0.2, 0.8));
  await page.touchscreen.touchMove(...at(0.5, 0.5));
  await page.touchscreen.touchMove(...at(0.8, 0.2));
  await page.touchscreen.touchEnd();
  await page.focus("#question");
  for (const key of ["Space", "ArrowRight", "ArrowRight", "ArrowRight", "Space"]) {
    await page.keyboard.press(key);
  }
  await answered(page);
  const before = await learned(page);
  const drawn = await page.evaluate(async () => {
    const { question, state } = await import(new URL("drawings/main.js", location.href).href);
    const count = (pad) => pad.strokes.length;
    const [mouse, finger] = state.symbols.map(({ pad }) => count(pad));
    return { strokes: { mouse, finger, keys: count(question) }, by_keys: question.strokes[0] };
  });
  await page.focus("#choices button");
  await page.keyboard.press("Enter");
  const said = { en: (await answered(page)).said };
  const after = await learned(page);
  await page.click('[data-language="zh"]');
  said.zh = (await answered(page)).said;
  const chosen = [await known(page)];
  const pictures = [(await answered(page)).picture];
  await page.click("#learners button:nth-child(2)");
  await page.waitForSelector('#learners button:nth-child(2)[aria-pressed="true"]');
  pictures.push((await answered(page)).picture);
  chosen.push(await known(page));
  const unlabelled = await page.evaluate(() =>
    [...document.querySelectorAll("button, input, [tabindex]")]
      .filter((e) => !(e.getAttribute("aria-label") || e.textContent.trim()))
      .map((e) => e.outerHTML),
  );
  const count = ({ support }) => support.flat().length;
  return {
    ...drawn,
    drawings_before_teaching: count(before),
    drawings_after_teaching: count(after),
    said,
    chosen,
    pictures,
    unlabelled,
    problems,
    elsewhere,
  };
}

/** Screenshots. */
async function shoot() {
  for (const { file, task, language, dark, width, height, taught, full } of work.shots) {
    const viewport = { width, height, deviceScaleFactor: 2 };
    const { page } = await opened(`${work.url}?lang=${language}`, viewport, work.url, dark);
    if (task) {
      for (let cards = 3; cards < task.support.length; cards++) await page.click("#add");
      await solve(page, task);
    }
    if (taught) {
      await page.click("#choices button:nth-child(2)");
      await answered(page);
    }
    await page.evaluate(() => {
      document.activeElement.blur();
      scrollTo(0, 0);
    });
    await new Promise((done) => setTimeout(done, 400)); // the bars move
    await page.screenshot({ path: file, fullPage: full ?? true });
    await page.close();
  }
  return {};
}

/** Teaches the classes of a task, and asks about its other drawings. */
async function solve(page, { support, queries }) {
  const boxes = await page.$$(".card .pad");
  for (const [label, strokes] of support.entries()) {
    await page.evaluate((i) => document.querySelectorAll(".card .clear")[i].click(), label);
    await draw(page, boxes[label], strokes);
  }
  const question = await page.$("#question");
  const answers = [];
  for (const { strokes, label } of queries) {
    await page.evaluate(() => document.querySelector("#clear").click());
    await draw(page, question, strokes);
    answers.push({ label, ...(await answered(page)) });
  }
  return { answers, ...(await learned(page)) };
}

/** What the page makes of the drawing that is on its pad, once it has made up its mind. */
function answered(page) {
  return page.evaluate(async () => {
    const { settled, state } = await import(new URL("drawings/main.js", location.href).href);
    await settled();
    const { picture, answers, ms } = state.answer;
    const said = document.querySelector("#answer").textContent;
    return { picture: [...picture], logits: answers.at(-1).logits, ms, said };
  });
}

/** The name of the learner that answers. */
function known(page) {
  return page.evaluate(async () => {
    const { state } = await import(new URL("drawings/main.js", location.href).href);
    return state.learner.manifest.learner;
  });
}

/** The pictures that it learned from, and the time that took. */
function learned(page) {
  return page.evaluate(async () => {
    const { settled, state } = await import(new URL("drawings/main.js", location.href).href);
    await settled();
    const support = state.learned.classes.map((list) => list.map((picture) => [...picture]));
    return { support, learn_ms: state.learned.ms };
  });
}

/** Draws strokes on a pad: all points are sent at once, as a fast hand's arrive. */
async function draw(page, pad, strokes) {
  await pad.evaluate((element) => element.scrollIntoView({ block: "center" }));
  const box = await pad.boundingBox();
  const send = (type, [x, y], buttons) =>
    page.pen.send("Input.dispatchMouseEvent", {
      type,
      x: box.x + x * box.width,
      y: box.y + y * box.height,
      button: type === "mouseMoved" && !buttons ? "none" : "left",
      buttons,
      clickCount: type === "mouseMoved" ? 0 : 1,
    });
  for (const stroke of strokes) {
    const [first, ...others] = stroke;
    await Promise.all([
      send("mouseMoved", first, 0),
      send("mousePressed", first, 1),
      ...others.map((point) => send("mouseMoved", point, 1)),
      send("mouseReleased", stroke.at(-1), 0),
    ]);
  }
}

/** How long the page takes until it can learn, each time in a page without a cache. */
async function loadTimes() {
  const times = [];
  for (let i = 0; i < (work.loads ?? 1); i++) {
    const context = await browser.createBrowserContext();
    const page = await context.newPage();
    await page.goto(work.url);
    await page.waitForSelector("html[data-ready]");
    times.push(await page.evaluate(() => performance.getEntriesByName("ready")[0].startTime));
    await context.close();
  }
  return times;
}
