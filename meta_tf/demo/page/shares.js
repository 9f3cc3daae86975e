// Shares of certainty: from logits, as text, and as bars.

/** Probabilities from logits. */
export function softmax(logits) {
  const most = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - most));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

/** A share as a text such as `98 %`, on one line, never rounded up to certainty. */
export function percent(share) {
  return `${Math.min(99.9, 100 * share).toFixed(share > 0.1 && share < 0.99 ? 0 : 1)}\u00a0%`;
}

/** The item of a list that shows a class: its picture (a canvas), its name, a bar, the share. */
export function bar(name, share, isBest) {
  const item = element("li", "bar");
  const track = element("span", "track");
  track.append(element("span", "fill"));
  item.append(element("canvas", "pictured"), element("span", "label"), track, element("span", "share"));
  setBar(item, name, share, isBest);
  return item;
}

/** Makes a bar show something else. */
export function setBar(item, name, share, isBest) {
  item.classList.toggle("best", isBest);
  item.querySelector(".label").textContent = name;
  item.querySelector(".fill").style.width = `${100 * share}%`;
  item.querySelector(".share").textContent = percent(share);
}

/** A new element with a class and a text. */
export function element(kind, name, text = "") {
  const made = document.createElement(kind);
  made.className = name;
  made.textContent = text;
  if (kind === "canvas") made.setAttribute("aria-hidden", "true");
  return made;
}
