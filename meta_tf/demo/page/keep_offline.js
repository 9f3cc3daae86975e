// Makes the page work without a network the next time.

/** Starts the service worker, and keeps the files that the page has fetched by now. */
export async function keepOffline() {
  if (!navigator.serviceWorker) return; // only pages from https or this machine have one
  const folder = new URL("./", import.meta.url).href;
  const fetched = performance.getEntriesByType("resource").map(({ name }) => name);
  try {
    await navigator.serviceWorker.register(new URL("./offline.js", import.meta.url));
    const cache = await caches.open("meta_tf page");
    await cache.addAll(new Set([folder, ...fetched.filter((name) => name.startsWith(folder))]));
  } catch (error) {
    console.info(`The page will need a network: ${error.message}`);
  }
}
