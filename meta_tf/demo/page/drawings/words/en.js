// The page's words in English.

const several = (n, one, many) => `${n} ${n === 1 ? one : many}`;

export const en = {
  title: "Teach it your own symbols",
  lead: "Draw each symbol once. Then draw one of them again, and the page recognises it.",
  private: "It learns in your browser, only from your drawings. Nothing is sent anywhere.",
  teachTitle: "Your symbols",
  askTitle: "Draw one of them again",
  howTitle: "How it decides",
  add: "Add a symbol",
  clear: "Clear",
  undo: "Undo",
  more: "One more",
  teach: "Teach it this drawing as",
  seen: "What it sees",
  keys:
    "Keyboard: the arrow keys move the pen, with Shift in larger steps; the space bar lowers and " +
    "lifts it; Backspace removes the last stroke, Escape all strokes.",

  names: ["A", "B", "C", "D", "E"],
  nameOf: (number) => `Name of symbol ${number}`,
  padOf: (name) => `Draw ${name} here`,
  questionPad: "Draw one of your symbols here",
  clearOf: (name) => `Clear the drawing of ${name}`,
  moreOf: (name) => `Draw ${name} once more`,
  removeOf: (name) => `Remove ${name}`,
  removeDrawing: (name, number) => `Remove drawing ${number} of ${name}`,
  teachAs: (name) => `Teach it this drawing as ${name}`,

  loading: "Loading the learner …",
  needSymbols: "Draw at least two symbols above.",
  needQuestion: "It has learned them. Now draw one again.",
  isNone: "This is none of these.",
  isThis: (name, percent) => `This is ${name}, ${percent}.`,
  nowThis: (name, percent, before, was) => `Learned. Was: ${before}, ${was}. Now: ${name}, ${percent}.`,
  learned: (drawings, ms) => `Learned from ${several(drawings, "drawing", "drawings")} in ${ms} ms.`,
  explained: {
    steps:
      "It takes a few small steps that make it more certain of your drawings. " +
      "The table shows its confidence in each symbol after each step.",
    distances:
      "It maps drawings to points, with similar drawings close together. The closer a symbol's " +
      "mean is to the new drawing, the more likely that symbol is.",
    confidence: "It compares the new drawing with the drawings of each symbol.",
  },
  symbol: "Symbol",
  afterSteps: (n) => `After ${several(n, "step", "steps")}`,
  distance: "Distance",
  confidence: "Confidence",
  learners: "Trained on",
  writings: { alphabets: "Many alphabets", chinese: "Chinese characters" },
  about: {
    alphabets: (learner) =>
      `The learner, ${learner}, was trained on handwritten characters of many alphabets. It has never seen yours.`,
    chinese: (learner) =>
      `The learner, ${learner}, was trained on Chinese characters in print and brush writing. It has never seen your handwriting.`,
    other: (learner) => `The learner is ${learner}.`,
  },
  failed: (reason) => `The learner does not work here: ${reason}`,
};
