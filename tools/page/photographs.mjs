// Uses the page of photographs as a person would, in Chromium.
//
//     node photographs.mjs < work.json > found.json
//
// `work`: as for chromium.mjs, with { url } and one of
//   teach   { names, files, ask }: for each name picture files to teach, then files to ask about
//   camera  { codes, seconds }: teaches and asks by the fake camera, whose frames have the colour
//           of their class at the left edge, outside of what the page sees
//   walk    { names, files, ask, wrong }: renames, deletes, brings back, saves, loads, forgets
//   shots   screenshots, { file, language, width, height, … } with { names, files, ask }

import { browser, finish, opened, work } from "./chromium.mjs";

const LARGE = { width: 1280, height: 1200 };
await finish(() => (work.walk ? walk() : work.shots ? shoot() : work.camera ? film() : run()));

async function run() {
  const { page, problems, elsewhere } = await opened(work.url, LARGE);
  await teach(page, work.teach);
  const answers = await ask(page, work.teach.ask);
  return { answers, taught: await taught(page), problems, elsewhere };
}

/** Screenshots. */
async function shoot() {
  for (const { file, language, dark, width, height, full, teach: what, after } of work.shots) {
    const viewport = { width, height, deviceScaleFactor: 2 };
    const { page } = await opened(`${work.url}?lang=${language}`, viewport, work.url, dark);
    if (what) {
      await teach(page, what);
      await ask(page, what.ask);
    }
    for (const selector of after ?? []) await page.click(selector);
    await settled(page);
    await page.evaluate(() => {
      document.activeElement.blur();
      scrollTo(0, 0);
    });
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
