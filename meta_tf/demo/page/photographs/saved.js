// What was taught, as a file: JSON, with embeddings (float32) and thumbnails (JPEG) in base64.

import { problem } from "./files.js";

const FORMAT = "meta_tf photographs 1";

/** The text of a file with these classes. */
export function written(classes, { network, learner }) {
  const kept = classes.map(({ id, name, examples }) => ({
    id,
    name,
    examples: examples.map((example) => ({
      id: example.id,
      embedding: toBase64(new Uint8Array(example.embedding.slice().buffer)),
      thumbnail: toBase64(example.thumbnail),
    })),
  }));
  return JSON.stringify({ format: FORMAT, learner, network, classes: kept }, null, 1);
}

/** The classes of a file's text; throws an error with a `reason` of the words. */
export function read(text, { network, features }) {
  let content;
  try {
    content = JSON.parse(text);
  } catch {
    throw problem("notSaved");
  }
  if (content?.format !== FORMAT) throw problem("notSaved");
  if (content.network !== network) throw problem("otherNetwork", String(content.learner));
  try {
    return content.classes.map(({ id, name, examples }) => ({
      id: text1(id),
      name: text1(name),
      examples: examples.map((example) => ({
        id: text1(example.id),
        embedding: numbers(example.embedding, features),
        thumbnail: fromBase64(example.thumbnail),
      })),
    }));
  } catch {
    throw problem("damaged");
  }
}

function text1(value) {
  if (typeof value !== "string" || value === "") throw new Error("a text is missing");
  return value;
}

function numbers(base64, count) {
  const found = new Float32Array(fromBase64(base64).buffer);
  if (found.length !== count || !found.every(Number.isFinite)) throw new Error("not an embedding");
  return found;
}

function toBase64(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

function fromBase64(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}
