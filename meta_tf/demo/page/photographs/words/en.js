// The page's words in English.

const several = (n, one, many) => `${n} ${n === 1 ? one : many}`;

export const en = {
  title: "Teach it your own things",
  lead: "Show it a few pictures of each thing. Then show it another, and the page recognises it.",
  private: "It learns in your browser, only from your pictures. Nothing is sent anywhere.",
  lookTitle: "Show it something",
  empty: "Start the camera, or drop pictures here.",
  cameraOn: "Start the camera",
  cameraOff: "Stop the camera",
  turn: "Other camera",
  choose: "Choose pictures",
  thingsTitle: "Your things",
  add: "Add a thing",
  save: "Save to a file",
  load: "Load a file",
  forget: "Forget everything",
  undo: "Undo",
  close: "Close this message",

  thing: (number) => `Thing ${number}`,
  nameOf: (name) => `Name of ${name}`,
  teach: "Add this picture",
  teachAs: (name) => `Add this picture to ${name}`,
  files: "Add files",
  filesOf: (name) => `Add picture files to ${name}`,
  removeOf: (name) => `Delete ${name}`,
  removeExample: (name, number) => `Delete picture ${number} of ${name}`,
  count: (n) => (n ? several(n, "picture", "pictures") : "no picture yet"),
  adding: (done, all) => `adding ${done} of ${all} …`,
  shown: (name) => `The picture ${name}`,
  showAsked: (name, answer) => `${name}: ${answer}`,

  loading: "Loading the network …",
  needThings: "Add pictures of at least two things.",
  needPicture: "It has learned them. Now show it a picture.",
  isThis: (name, percent) => `This is ${name}, ${percent}.`,
  noneOfThese: "None of these",
  isNone: "This is none of these.",
  times: (pictures, learned, embedded) =>
    `Learned from ${several(pictures, "picture", "pictures")} in ${learned} ms. ` +
    `Each picture takes ${embedded} ms.`,

  kept: "Kept in this browser until you delete it. Clearing the browser's data deletes it too, so save what you want to keep for long.",
  notKept: "This browser keeps nothing after you close the page. Save to a file instead.",
  about: (learner) =>
    `The learner, ${learner}, describes a picture by a network that has seen 1.3 million photographs, and learns your ` +
    "things from these descriptions. Of each picture, it sees the middle square.",
  aboutOwn: (learner) =>
    `The learner, ${learner}, describes a picture by its network, and learns your things from these descriptions.`,

  deleted: (name) => `Deleted ${name}.`,
  deletedPicture: (name) => `Deleted a picture of ${name}.`,
  forgotten: "Everything is forgotten.",
  loaded: (pictures, things) =>
    `Added ${several(pictures, "picture", "pictures")} of ${several(things, "thing", "things")}.`,
  problems: {
    noPicture: (name) => `${name} is not a picture that this browser can read. Use JPEG, PNG or WebP.`,
    heic: (name) =>
      `This browser cannot read ${name}, which is in HEIC. Save it as JPEG; on an iPhone, choose ` +
      "“Most Compatible” under Settings, Camera, Formats.",
    cameraDenied: () => "The camera is not allowed. Allow it for this page in the browser's settings, and start it again.",
    noCamera: () => "No camera was found. Choose or drop picture files instead.",
    cameraBusy: () => "The camera cannot be started. Close other programs that use it, and try again.",
    cameraInsecure: () =>
      "The browser gives the camera only to pages from https or from this machine. Choose or drop picture files instead.",
    cameraEnded: () => "The camera has been disconnected.",
    sameName: (name) => `Another thing is called ${name}. Choose another name.`,
    tooMany: (most) => `The learner distinguishes at most ${most} things.`,
    notSaved: () => "This is not a file that this page has saved. Nothing was changed.",
    otherNetwork: (learner) =>
      `This file was saved with another learner (${learner}), whose numbers mean something else. Nothing was changed.`,
    damaged: () => "This file is damaged. Nothing was changed.",
    notStored: () => "The browser could not keep this, perhaps because its storage is full. Save to a file instead.",
    other: (reason) => `Something went wrong: ${reason}`,
  },
};
