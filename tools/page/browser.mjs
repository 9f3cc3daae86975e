// Uses the page as a person would, in Chromium: draws by pointer events, and reads the answers.
//
//     node browser.mjs < work.json > found.json
//
// `work`: { puppeteer, chromium, url, tasks, screenshots }. A task is { support, queries }: for
// each class a drawing to teach, and drawings { strokes, label } to ask about.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const work = JSON.parse(readFileSync(0, "utf8"));
const { default: puppeteer } = await import(pathToFileURL(work.puppeteer).href);
const browser = await puppeteer.launch({
  executablePath: work.chromium,
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
});
try {
  const found = await run();
  process.stdout.write(JSON.stringify(found));
} finally {
  await browser.close();
}

async function run() {
  const { page, problems, elsewhere } = await opened(work.url, { width: 1100, height: 1500 });
  const ways = work.tasks[0].support.length;
  for (let cards = 3; cards < ways; cards++) await page.click("#add");
  for (let cards = 3; cards > ways; cards--) await page.click(".card:last-child .remove");
  const tasks = [];
  for (const task of work.tasks) tasks.push(await solve(page, task));
  return { tasks, load_ms: await loadTimes(), problems, elsewhere };
}

/** A page that is ready; what it complains of, and what it asks other places for. */
async function opened(url, viewport) {
  const page = await browser.newPage();
  const [problems, elsewhere] = [[], []];
  page.on("console", (message) => {
    if (["error", "warn"].includes(message.type())) problems.push(message.text());
  });
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(url)) elsewhere.push(request.url());
  });
  await page.setViewport(viewport);
  await page.goto(url);
  await page.waitForSelector("html[data-ready]");
  page.pen = await page.createCDPSession();
  return { page, problems, elsewhere };
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
    const { settled, state } = await import(new URL("main.js", location.href).href);
    await settled();
    const { picture, answers, ms } = state.answer;
    const said = document.querySelector("#answer").textContent;
    return { picture: [...picture], logits: answers.at(-1).logits, ms, said };
  });
}

/** The pictures that it learned from, and the time that took. */
function learned(page) {
  return page.evaluate(async () => {
    const { settled, state } = await import(new URL("main.js", location.href).href);
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
