// The choice between learners, where there are several.

const group = document.querySelector("#learners");

/**
 * Shows a button for each learner.
 *
 * @param learners as the manifest tells of them.
 * @param chosen the one that is asked; undefined before there is one.
 * @param choose called with the learner of the button that was pressed.
 */
export function show(words, learners, chosen, choose) {
  group.hidden = learners.length < 2;
  const at = [...group.querySelectorAll("button")].indexOf(document.activeElement);
  group.setAttribute("aria-label", words.learners);
  group.replaceChildren(...learners.map((learner) => button(words, learner, chosen, choose)));
  group.children[at]?.focus(); // as it was, for those who use keys
}

function button(words, learner, chosen, choose) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = words.writings[learner.writing] ?? learner.learner;
  made.setAttribute("aria-pressed", String(learner === chosen));
  made.addEventListener("click", () => choose(learner));
  return made;
}
