// onnxruntime-web: runs files of ONNX by WebAssembly, in one thread of this page.

import * as ort from "./runtime/ort.wasm.min.mjs";

const PACKED = "./runtime/ort-wasm-simd-threaded.wasm.gzip";

ort.env.wasm.wasmPaths = new URL("./runtime/", import.meta.url).href;
ort.env.wasm.numThreads = 1; // more would need headers that static hosts do not send
ort.env.logLevel = "error";

/** Fetches the runtime itself; to be awaited before anything is loaded. */
export async function start() {
  const answer = await fetch(new URL(PACKED, import.meta.url));
  if (!answer.ok) throw new Error(`${PACKED}: ${answer.status} ${answer.statusText}`);
  const unpacked = answer.body.pipeThrough(new DecompressionStream("gzip"));
  ort.env.wasm.wasmBinary = await new Response(unpacked).arrayBuffer();
}

/** Loads a file, and gives a function from tensors by name to tensors by name. */
export async function load(path) {
  const url = new URL(path, import.meta.url);
  const session = await ort.InferenceSession.create(url.href, { executionProviders: ["wasm"] });
  return (given) => {
    const inputs = Object.fromEntries(session.inputNames.map((name) => [name, given[name]]));
    return session.run(inputs);
  };
}

/** Pictures of one shape, [height, width, channels], as one tensor [n, height, width, channels]. */
export function pictures(list, shape) {
  const each = shape.reduce((product, length) => product * length);
  const data = new Float32Array(list.length * each);
  list.forEach((picture, i) => data.set(picture, i * each));
  return new ort.Tensor("float32", data, [list.length, ...shape]);
}

/** The numbers of classes [n] as a tensor. */
export function labels(list) {
  return new ort.Tensor("int32", Int32Array.from(list), [list.length]);
}
