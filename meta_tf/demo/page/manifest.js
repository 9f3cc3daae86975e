// What the folder holds: manifest.json.

/** The manifest, as `meta-tf demo` wrote it. */
export async function manifest() {
  const answer = await fetch(new URL("./manifest.json", import.meta.url));
  if (!answer.ok) throw new Error(`manifest.json: ${answer.status} ${answer.statusText}`);
  return await answer.json();
}
