// What the page says in English.

const several = (n, one, many) => `${n} ${n === 1 ? one : many}`;

export const en = {
  title: "Teach it your own symbols",
  lead: "Draw each symbol once. Then draw one of them again, and it says which.",
  private: "It learns in this page, from your drawings alone. Nothing is sent anywhere.",
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
    "With keys: the arrows move the pen, with Shift further; the space bar puts it down and " +
    "lifts it; Backspace takes the last stroke away, Escape all.",

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
  isThis: (name, percent) => `This is ${name}, ${percent}.`,
  nowThis: (name, percent, before, was) => `Learned. Was: ${before}, ${was}. Now: ${name}, ${percent}.`,
  learned: (drawings, ms) => `Learned from ${several(drawings, "drawing", "drawings")} in ${ms} ms.`,
  explained: {
    steps:
      "It takes a few small steps that make your own drawings more certain. " +
      "This is how sure it is of each symbol after every step.",
    distances:
      "It turns drawings into points, alike ones close together. The nearer a symbol's mean is " +
      "to the new drawing, the likelier that symbol.",
    confidence: "It compares the new drawing with the drawings of each symbol.",
  },
  symbol: "Symbol",
  afterSteps: (n) => `After ${several(n, "step", "steps")}`,
  distance: "Distance",
  confidence: "Confidence",
  learners: "What it knows",
  writings: { alphabets: "Many alphabets", chinese: "Chinese characters" },
  about: {
    alphabets: (learner) =>
      `The learner, ${learner}, was trained on handwritten characters of many alphabets, and has never seen yours.`,
    chinese: (learner) =>
      `The learner, ${learner}, was trained on Chinese characters in print and in brush writing, and has never seen your hand.`,
    other: (learner) => `The learner is ${learner}.`,
  },
  failed: (reason) => `The learner does not work here: ${reason}`,
};
