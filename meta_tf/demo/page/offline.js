// A service worker: keeps the page's files, and brings them where there is no network.
//
// The network comes first, so that the page is never older than its host has it.

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  const own = new URL(request.url).origin === self.location.origin;
  if (own && request.method === "GET") event.respondWith(answer(event));
});

async function answer(event) {
  let fetched;
  try {
    fetched = await fetch(event.request);
  } catch (error) {
    const kept = await caches.match(event.request, { ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
  if (fetched.status === 200) event.waitUntil(keep(event.request, fetched.clone()));
  return fetched;
}

async function keep(request, answered) {
  try {
    const cache = await caches.open("meta_tf page");
    await cache.put(request, answered);
  } catch {
    // The browser's storage is full or shut: the page works, and needs a network the next time.
  }
}
