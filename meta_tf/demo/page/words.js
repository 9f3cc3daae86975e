// The page's language: its words, and where they stand.

const TAGS = { en: "en", zh: "zh-Hans" };

/**
 * The language that the address asks for (`?lang=zh`), or else the browser.
 *
 * @param languages the words by language: texts, and functions that make texts.
 */
export function preferred(languages) {
  const asked = new URLSearchParams(location.search).get("lang");
  const wished = [asked, ...navigator.languages].filter(Boolean);
  return wished.map((tag) => tag.slice(0, 2)).find((tag) => tag in languages) ?? "en";
}

/** Puts a language's texts to where `data-words` says, and the language into the address. */
export function speak(words, language) {
  document.documentElement.lang = TAGS[language];
  document.title = words.title;
  for (const element of document.querySelectorAll("[data-words]")) {
    element.textContent = words[element.dataset.words];
  }
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === language));
  }
  const address = new URL(location.href);
  address.searchParams.set("lang", language);
  history.replaceState(null, "", address);
}
