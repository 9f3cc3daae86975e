// The camera: on, off, and the other one of a phone.

import { problem } from "./files.js";

const REASONS = {
  NotAllowedError: "cameraDenied",
  SecurityError: "cameraDenied",
  NotFoundError: "noCamera",
  OverconstrainedError: "noCamera",
  NotReadableError: "cameraBusy",
  AbortError: "cameraBusy",
};

export class Camera {
  #facing = "environment"; // a phone's rear camera, if there is one
  #stream = null;

  /** `ended()` is called when the camera goes off by itself, such as when it is unplugged. */
  constructor(video, ended) {
    this.video = video;
    this.ended = ended;
  }

  get on() {
    return this.#stream !== null;
  }

  /** Whether its picture looks at the person, who expects a mirror. */
  get mirrored() {
    return this.on && this.#stream.getVideoTracks()[0].getSettings().facingMode !== "environment";
  }

  /** Starts it; throws an error with a `reason` of the words. */
  async start() {
    if (!navigator.mediaDevices?.getUserMedia) throw problem("cameraInsecure");
    this.video.hidden = false; // some browsers play no hidden one
    const wanted = { facingMode: { ideal: this.#facing }, width: { ideal: 640 }, height: { ideal: 480 } };
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
      this.video.srcObject = stream;
      await this.video.play();
    } catch (error) {
      for (const track of stream?.getTracks() ?? []) track.stop();
      throw problem(REASONS[error.name] ?? "cameraBusy", error.message);
    }
    for (const track of stream.getTracks()) track.addEventListener("ended", this.ended);
    this.#stream = stream;
  }

  stop() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = this.video.srcObject = null;
  }

  /** The other camera of a phone. */
  async turn() {
    this.#facing = this.#facing === "environment" ? "user" : "environment";
    this.stop();
    await this.start();
  }

  /** Whether there is another one. */
  static async several() {
    const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
    return devices.filter(({ kind }) => kind === "videoinput").length > 1;
  }
}
