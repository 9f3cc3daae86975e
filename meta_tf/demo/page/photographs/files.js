// Files that a person drops, chooses or pastes.

const HEIC = /\.hei[cf]$/i;

/**
 * A file as a picture, upright by its EXIF tag, with its numbers as they are, as in Python, whatever
 * colours its profile gives them; throws an error with a `reason` of the words.
 */
export async function readPicture(file) {
  try {
    const asItIs = { imageOrientation: "from-image", colorSpaceConversion: "none" };
    return await createImageBitmap(file, asItIs);
  } catch {
    throw problem(HEIC.test(file.name) || /hei[cf]/.test(file.type) ? "heic" : "noPicture", file.name);
  }
}

/** An error that the page can say in its language: `words.problems[reason](detail)`. */
export function problem(reason, detail = "") {
  return Object.assign(new Error(`${reason}: ${detail}`), { reason, detail });
}

/** Calls `take(files)` for files that are dropped on an element, which has the class `over` meanwhile. */
export function takeDrops(element, take) {
  const over = (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    event.stopPropagation();
    element.classList.add("over");
  };
  element.addEventListener("dragenter", over);
  element.addEventListener("dragover", over);
  element.addEventListener("dragleave", () => element.classList.remove("over"));
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    element.classList.remove("over");
    if (event.dataTransfer.files.length) take([...event.dataTransfer.files]);
  });
}

/** Calls `take(files)` for files that are chosen by a button with a hidden input. */
export function takeChosen(button, input, take) {
  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = ""; // the same file may be chosen again
    if (files.length) take(files);
  });
}
