// Uses the page of photographs as a person would, in Chromium.
//
//     node photographs.mjs < work.json > found.json
//
// `work`: as for chromium.mjs, with { url } and one of
//   teach   { names, files, ask }: for each name picture files to teach, then files to ask about
//   camera  { names, codes, asks }: teaches and asks by the fake camera, whose frames have the colour
//           of their class at the left edge, outside of what the page sees
//   walk    { names, files, ask, wrong, downloads }: adds, deletes, brings back, renames, saves, loads,
//           forgets, and gives the page wrong files
//   shots   screenshots, { file, language, width, height, teach: { names, files, ask }, … }

import { readdirSync, readFileSync } from "node:fs";

import { browser, finish, opened, work } from "./chromium.mjs";

const LARGE = { width: 1280, height: 1200 };
await finish(() => (work.walk ? walk() : work.shots ? shoot() : work.camera ? film() : run()));

async function run() {
  const { page, problems, elsewhere } = await opened(work.url, LARGE);
  await teach(page, work.teach);
  const found = await ask(page, work.teach.ask);
  return { answers: found, taught: await taught(page), problems, elsewhere };
}

/** Does everything else that a person may do; what came of it. */
async function walk() {
  const { names, files, ask: asked, wrong, downloads } = work.walk;
  const { page, problems, elsewhere } = await opened(`${work.url}?lang=en`, LARGE, work.url);
  await page.pen.send("Browser.setDownloadBehavior", { behavior: "allow", downloadPath: downloads });
  const steps = {};
  const note = async (name) => {
    await settled(page);
    steps[name] = { taught: await taught(page), notice: await notice(page) };
  };
  const card = async (i) => (await page.$$(".card"))[i];
  await teach(page, { names, files });
  const [before] = await ask(page, asked);
  await note("taught");
  await (await (await card(0)).$(".teach")).click();
  await page.waitForFunction(() => !document.querySelector(".card .count").textContent.startsWith("1"));
  await note("added");
  await (await (await card(0)).$(".examples li:last-child button")).click();
  await note("example_deleted");
  await page.click("#undo");
  await note("example_back");
  await (await (await card(0)).$(".remove")).click();
  await note("deleted");
  await page.click("#undo");
  await note("back");
  await (await (await card(0)).$(".examples li:last-child button")).click();
  await (await card(1)).$eval(".name", (field, name) => {
    field.value = name;
    field.dispatchEvent(new Event("change"));
  }, names[0]);
  await note("same_name");
  const noticed = (text) =>
    page.waitForFunction((t) => document.querySelector("#notice").textContent.includes(t), {}, text);
  await dropOn(page, ".view", wrong.text);
  await noticed("notes.jpg");
  await note("wrong_text");
  await dropOn(page, ".card", wrong.heic);
  await noticed("HEIC");
  await note("wrong_heic");
  await page.click("#camera");
  await page.waitForFunction(() => !document.querySelector("#notice").textContent.includes("HEIC"));
  await note("no_camera");
  await (await page.$("#load-file")).uploadFile(wrong.saved);
  await page.waitForFunction(() => document.querySelector("#notice").textContent.includes("saved"));
  await note("wrong_saved");
  await page.click("#add"); // deleted while its files are read, it does not come back
  const [busy, others] = [await card(2), Array(4).fill(files[1]).flat()];
  await (await busy.$("input[type=file]")).uploadFile(...others);
  await (await busy.$(".remove")).click();
  await new Promise((done) => setTimeout(done, 2000));
  await page.reload();
  await page.waitForSelector("html[data-ready]");
  await note("reloaded");
  await page.click("#save");
  const saved = await downloaded(downloads);
  await page.click("#forget");
  await note("forgotten");
  await page.reload();
  await page.waitForSelector("html[data-ready]");
  await note("forgotten_for_good");
  for (const name of ["loaded", "loaded_again"]) {
    await (await page.$("#load-file")).uploadFile(saved);
    await page.waitForFunction(() => document.querySelector("#notice").textContent.includes("Added"));
    await note(name);
    await page.click("#close");
  }
  const dropped = await dropOn(page, ".view", asked[0]);
  await page.waitForFunction(
    async () => (await import(new URL("photographs/main.js", location.href).href)).state.asked.length,
  );
  await settled(page);
  const [after] = await answers(page);
  const said = { en: after.said };
  await page.click('[data-language="zh"]');
  said.zh = (await answers(page))[0].said;
  const unlabelled = await page.evaluate(() =>
    [...document.querySelectorAll("button, input:not([hidden]), [tabindex]")]
      .filter((e) => !(e.getAttribute("aria-label") || e.textContent.trim()))
      .map((e) => e.outerHTML),
  );
  await cutOff(page);
  await page.reload();
  await page.waitForSelector("html[data-ready]");
  await note("offline");
  return { steps, before, after, dropped, said, unlabelled, problems, elsewhere };
}

/** Takes the network away from the page and its service worker. */
async function cutOff(page) {
  const target = await browser.waitForTarget((each) => each.type() === "service_worker");
  await page.evaluate(async () => {
    const kept = () => caches.match("embed.onnx").then((file) => file?.ok && caches.match("./"));
    while (!(await kept())) await new Promise((done) => setTimeout(done, 50));
  });
  await page.setOfflineMode(true);
  const session = await target.createCDPSession();
  await session.send("Network.enable");
  const nothing = { offline: true, latency: 0, downloadThroughput: 0, uploadThroughput: 0 };
  await session.send("Network.emulateNetworkConditions", nothing);
}

/** Drops a file as a person does: its bytes come from here. */
async function dropOn(page, selector, path) {
  const bytes = [...readFileSync(path)];
  const given = { selector, name: path.split("/").at(-1), bytes };
  return await page.evaluate(({ selector: on, name, bytes: content }) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([Uint8Array.from(content)], name));
    const options = { dataTransfer: transfer, bubbles: true, cancelable: true };
    return ["dragenter", "dragover", "drop"].map(
      // `false`: the page takes it, and the browser does not open it.
      (kind) => document.querySelector(on).dispatchEvent(new DragEvent(kind, options)),
    );
  }, given);
}

/** The file that was downloaded. */
async function downloaded(folder) {
  for (;;) {
    const [name] = readdirSync(folder).filter((each) => each.endsWith(".json"));
    if (name) return `${folder}/${name}`;
    await new Promise((done) => setTimeout(done, 50));
  }
}

function notice(page) {
  return page.evaluate(() => {
    const shown = document.querySelector("#notice");
    return shown.hidden ? null : document.querySelector("#notice-text").textContent;
  });
}

/** Screenshots. */
async function shoot() {
  for (const { file, language, dark, width, height, full, scroll, teach: what, after } of work.shots) {
    const viewport = { width, height, deviceScaleFactor: 2 };
    const { page } = await opened(`${work.url}?lang=${language}`, viewport, work.url, dark);
    if (what) {
      await teach(page, what);
      await ask(page, what.ask);
    }
    for (const selector of after ?? []) await page.click(selector);
    await settled(page);
    await page.evaluate((top) => {
      document.activeElement.blur();
      scrollTo(0, top);
    }, scroll ?? 0);
    await new Promise((done) => setTimeout(done, 600)); // the bars move
    await page.screenshot({ path: file, fullPage: full ?? true });
    await forget(page);
    await page.close();
  }
  return {};
}

/** Gives the things their names and pictures. */
async function teach(page, { names, files }) {
  for (const [i, name] of names.entries()) {
    if ((await page.$$(".card")).length <= i) await page.click("#add");
    const card = (await page.$$(".card"))[i];
    const field = await card.$(".name");
    await field.click({ count: 3 });
    await field.type(name);
    await page.keyboard.press("Enter");
    await (await card.$("input[type=file]")).uploadFile(...files[i]);
    await page.waitForFunction(
      (at, count) => document.querySelectorAll(".card")[at].querySelectorAll(".examples li").length === count,
      {},
      i,
      files[i].length,
    );
  }
  await settled(page);
}

/** The answers to files that are all chosen at once. */
async function ask(page, files) {
  await (await page.$("#choose-files")).uploadFile(...files);
  await page.waitForFunction(
    async (count) => {
      const { state } = await import(new URL("photographs/main.js", location.href).href);
      return state.asked.length === count;
    },
    {},
    files.length,
  );
  return await answers(page);
}

/** The answers to the files that the page was asked about. */
async function answers(page) {
  await settled(page);
  return await page.evaluate(async () => {
    const { state } = await import(new URL("photographs/main.js", location.href).href);
    const said = document.querySelector("#answer").textContent;
    return state.asked.map(({ name, answer, ms, embedding }) => ({
      name,
      said,
      ms,
      embedding: [...embedding],
      logits: answer?.logits,
      probabilities: answer?.probabilities,
      strangeness: answer?.strangeness,
      none: answer?.none,
    }));
  });
}

/** What the page was taught: `{ name, examples }`. */
function taught(page) {
  return page.evaluate(async () => {
    const { state } = await import(new URL("photographs/main.js", location.href).href);
    return state.things.map(({ name, examples }) => ({ name, examples: examples.length }));
  });
}

async function settled(page) {
  await page.evaluate(async () => {
    const main = await import(new URL("photographs/main.js", location.href).href);
    await main.settled();
  });
}

async function forget(page) {
  await page.evaluate(async () => {
    const { state } = await import(new URL("photographs/main.js", location.href).href);
    await state.store.remove(state.things);
  });
}

/** Teaches and asks by the fake camera, whose frames show their class by the colour at their edge. */
async function film() {
  const { page, problems, elsewhere } = await opened(work.url, LARGE);
  const { names, codes, asks } = work.camera;
  await page.click("#camera");
  await page.waitForFunction(() => document.querySelector("#video").videoWidth > 0);
  for (const [i, name] of names.entries()) {
    if ((await page.$$(".card")).length <= i) await page.click("#add");
    const card = (await page.$$(".card"))[i];
    await card.$eval(".name", (field, value) => {
      field.value = value;
      field.dispatchEvent(new Event("change"));
    }, name);
  }
  await page.evaluate(taughtByCamera, codes);
  const start = await cpuSeconds();
  const found = await page.evaluate(askedByCamera, asks);
  const cpu = (await cpuSeconds()) - start;
  await page.click("#camera");
  await settled(page);
  const after = await page.evaluate(() => ({
    video: document.querySelector("#video").srcObject,
    hidden: document.querySelector("#video").hidden,
  }));
  return { ...found, cpu_ms: (1000 * cpu) / found.frames, after, taught: await taught(page), problems, elsewhere };
}

/** The CPU time of the whole browser until now: it depends less on other work than a clock. */
async function cpuSeconds() {
  const session = await browser.target().createCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  await session.detach();
  return processInfo.reduce((sum, { cpuTime }) => sum + cpuTime, 0);
}

/** In the page: adds two pictures of each class. */
async function taughtByCamera(codes) {
  const { state } = await import(new URL("photographs/main.js", location.href).href);
  const video = document.querySelector("#video");
  const context = new OffscreenCanvas(8, 8).getContext("2d", { willReadFrequently: true });
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  /** The class of the frame that is on. */
  const label = (window.label = () => {
    context.drawImage(video, 4, video.videoHeight / 2 - 4, 8, 8, 0, 0, 8, 8);
    const [red, green, blue] = context.getImageData(4, 4, 1, 1).data;
    const apart = codes.map(([r, g, b]) => Math.hypot(r - red, g - green, b - blue));
    return apart.indexOf(Math.min(...apart));
  });
  const cards = [...document.querySelectorAll(".card")];
  const teachers = cards.map((card) => card.querySelector(".teach"));
  const enough = (i) => state.things[i].examples.length >= 2;
  while (!codes.every((_, i) => enough(i))) {
    const before = label();
    if (!enough(before)) {
      const { examples } = state.things[before];
      const count = examples.length;
      teachers[before].click();
      while (state.things[before].examples.length === count) await pause(10);
      if (label() !== before) state.things[before].examples.pop(); // the scene may have changed
      state.head = null;
    }
    await pause(30);
  }
}

/** In the page: reads the answers to the frames. */
async function askedByCamera(asks) {
  const { state, settled } = await import(new URL("photographs/main.js", location.href).href);
  const { label } = window;
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  const answers = [];
  const [start, first] = [performance.now(), state.frames];
  while (answers.length < asks) {
    const [before, seen] = [label(), state.seen];
    while (state.seen === seen) await pause(5);
    await settled();
    const { answer, ms } = state.seen;
    if (label() !== before || !answer) continue;
    const best = answer.probabilities.indexOf(Math.max(...answer.probabilities));
    answers.push({ label: before, best, none: answer.none, ms });
  }
  const seconds = (performance.now() - start) / 1000;
  const frames = state.frames - first;
  return { answers, frames, pictures_a_second: frames / seconds };
}
