// All uploads together: how many, how fast, and how much time is left.

import { currentPause } from "./pauses.js";
import { isActive, isUnsent } from "./queue.js";
import { count, duration, size } from "./words.js";

const UPDATE_INTERVAL = 250; // ms between two updates
const SPEED_WINDOW = 8000; // ms over which the speed is measured

export class Activity {
  #batch = new Set(); // the uploads since nothing was under way
  #samples = [];
  #timer = null;
  #element;

  /** `element(id)` gives an element of the page. */
  constructor(element) {
    this.#element = element;
  }

  /** Note that an upload changed; the panel follows soon. */
  note(upload) {
    if (isActive(upload)) this.#batch.add(upload);
    this.noteAll();
  }

  /** Note that something changed for all uploads. */
  noteAll() {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#draw();
    }, UPDATE_INTERVAL);
  }

  forget(upload) {
    this.#batch.delete(upload);
    this.note(upload);
  }

  get failed() {
    return Array.from(this.#batch).filter((upload) => upload.state === "failed");
  }

  #draw() {
    const all = Array.from(this.#batch);
    const unsent = all.filter(isUnsent);
    const failed = this.failed.length;
    this.#element("activity").hidden = !unsent.length && !failed;
    this.#element("cancel-all").hidden = !unsent.length;
    this.#element("retry-failed").hidden = !failed;
    this.#element("activity-bar").hidden = !unsent.length;
    if (unsent.length) return this.#drawProgress(all, unsent.length);
    this.#samples = [];
    this.#batch = new Set(this.failed);
    this.#element("activity-text").textContent = failed ? `${count(failed, "upload")} failed.` : "";
  }

  #drawProgress(all, left) {
    const moving = all.filter(({ state }) => !["refused", "same", "cancelled", "failed"].includes(state));
    const total = moving.reduce((sum, upload) => sum + upload.size, 0);
    const sent = moving.reduce((sum, upload) => sum + (isUnsent(upload) ? upload.sent : upload.size), 0);
    const speed = this.#speed(sent);
    const words = [`${currentPause() ? "Paused at" : "Uploading"} ${Math.min(moving.length - left + 1, moving.length)} of ${moving.length}`];
    if (speed > 1000 && !currentPause()) words.push(`${size(speed)}/s`, `${duration((total - sent) / speed)} left`);
    this.#element("activity-text").textContent = words.join(" · ");
    this.#element("activity-bar").value = total ? sent / total : 0;
  }

  #speed(sent) {
    const now = performance.now();
    this.#samples = [...this.#samples.filter(({ at }) => now - at < SPEED_WINDOW), { at: now, sent }];
    const [first] = this.#samples;
    return now > first.at + 500 ? ((sent - first.sent) / (now - first.at)) * 1000 : 0;
  }
}
