// Chromium for the programs beside this one: reads their work, and writes what they found.
//
// `work`, from standard input: { puppeteer, chromium } and, if wanted, `video`, a file that Chromium
// shows as its camera.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

export const work = JSON.parse(readFileSync(0, "utf8"));
const { default: puppeteer } = await import(pathToFileURL(work.puppeteer).href);
const camera = [
  "--use-fake-ui-for-media-stream",
  "--use-fake-device-for-media-stream",
  `--use-file-for-fake-video-capture=${work.video}`,
];
export const browser = await puppeteer.launch({
  executablePath: work.chromium,
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", ...(work.video ? camera : [])],
});

/** Writes what `program()` finds, and closes the browser. */
export async function finish(program) {
  try {
    process.stdout.write(JSON.stringify(await program()));
  } finally {
    await browser.close();
  }
}

/** A page that is ready; what it complains of, and what it asks other places for. */
export async function opened(url, viewport, own = url, dark = false) {
  const page = await browser.newPage();
  const [problems, elsewhere] = [[], []];
  page.on("console", (message) => {
    if (["error", "warn"].includes(message.type())) problems.push(message.text());
  });
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(own)) elsewhere.push(request.url());
  });
  await page.setViewport(viewport);
  const scheme = { name: "prefers-color-scheme", value: dark ? "dark" : "light" };
  await page.emulateMediaFeatures([scheme]);
  await page.goto(url);
  await page.waitForSelector("html[data-ready]");
  page.pen = await page.createCDPSession();
  return { page, problems, elsewhere };
}
