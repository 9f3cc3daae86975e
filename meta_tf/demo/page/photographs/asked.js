// The pictures that it was asked about, where there are several: each with its answer.

import { element } from "../shares.js";
import { inShort } from "./answer.js";

const list = document.querySelector("#asked");

/**
 * Shows them.
 *
 * @param asked each `{ name, canvas, answer }`, its answer null before there is one.
 * @param chosen the one that is shown in large.
 * @param choose called with the one whose button was pressed.
 */
export function show(words, asked, chosen, choose) {
  const items = asked.length < 2 ? [] : asked.map((one) => item(words, one, one === chosen, choose));
  const at = [...list.querySelectorAll("button")].indexOf(document.activeElement);
  list.replaceChildren(...items);
  list.querySelectorAll("button")[at]?.focus(); // as it was, for those who use keys
}

function item(words, one, isChosen, choose) {
  const made = document.createElement("li");
  const button = element("button", "thumbnail");
  const said = one.answer ? inShort(words, one.answer) : "";
  button.type = "button";
  button.setAttribute("aria-label", words.showAsked(one.name, said));
  button.setAttribute("aria-pressed", String(isChosen));
  button.append(copy(one.canvas));
  button.addEventListener("click", () => choose(one));
  made.append(button, element("span", "small", said));
  return made;
}

function copy(canvas) {
  const made = element("canvas", "");
  made.width = made.height = 144;
  made.getContext("2d").drawImage(canvas, 0, 0, 144, 144);
  return made;
}
