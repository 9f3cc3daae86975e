// A line at the bottom of the page: what went wrong, or what was deleted and can be brought back.

const parts = {
  notice: document.querySelector("#notice"),
  text: document.querySelector("#notice-text"),
  undo: document.querySelector("#undo"),
  close: document.querySelector("#close"),
};
let bringBack = null;

parts.close.addEventListener("click", hide);
parts.undo.addEventListener("click", () => {
  const undo = bringBack;
  hide();
  undo();
});

/** Says it; with `undo`, beside a button that calls it. */
export function show(text, undo = null) {
  bringBack = undo;
  parts.text.textContent = text;
  parts.undo.hidden = !undo;
  parts.notice.hidden = false;
}

export function hide() {
  parts.notice.hidden = true;
}

/** In other words. */
export function tell(words) {
  parts.close.setAttribute("aria-label", words.close);
}
