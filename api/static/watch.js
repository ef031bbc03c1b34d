// Polls the states of pending files, in batches and ever less often, until all are final. A hidden tab does not poll.

const MIN_INTERVAL = 400; // ms
const MAX_INTERVAL = 10_000;
const GROWTH = 1.5;
const BATCH = 100;
const FINAL = new Set(["READY", "REJECTED"]);

export class Watcher {
  #api;
  #onFile;
  #onGone;
  #pending = new Set();
  #interval = MIN_INTERVAL;
  #timer = null;
  #due = Infinity;
  #requesting = false;
  #refused = false;

  /** `onFile(file)` for every answer about a file, `onGone(id)` for a file that there is no more. */
  constructor(api, { onFile, onGone }) {
    this.#api = api;
    this.#onFile = onFile;
    this.#onGone = onGone;
    document.addEventListener("visibilitychange", () => this.#schedule(0));
  }

  add(id) {
    if (this.#pending.has(id)) return;
    this.#pending.add(id);
    this.#interval = MIN_INTERVAL;
    this.#schedule(this.#interval);
  }

  forget(id) {
    this.#pending.delete(id);
  }

  /** Go on after the token was refused and another has been given. */
  resume() {
    this.#refused = false;
    this.#schedule(0);
  }

  // An earlier poll stays scheduled: else a stream of new files would postpone it for ever.
  #schedule(wait) {
    const idle = this.#requesting || this.#refused || document.hidden || !this.#pending.size;
    const due = idle ? Infinity : Math.min(this.#due, performance.now() + wait);
    if (due === this.#due) return;
    clearTimeout(this.#timer);
    this.#due = due;
    if (!idle) this.#timer = setTimeout(() => this.#poll(), due - performance.now());
  }

  async #poll() {
    this.#requesting = true;
    this.#due = Infinity;
    try {
      const ids = Array.from(this.#pending);
      for (let at = 0; at < ids.length; at += BATCH) {
        const batch = ids.slice(at, at + BATCH);
        this.#handle(batch, await this.#api.byIds(batch));
      }
      this.#interval = Math.min(this.#interval * GROWTH, MAX_INTERVAL);
    } catch (error) {
      this.#refused = error.status === 401;
      this.#interval = MAX_INTERVAL;
    }
    this.#requesting = false;
    this.#schedule(this.#interval);
  }

  #handle(asked, files) {
    const found = new Map(files.map((file) => [file.file_id, file]));
    for (const id of asked.filter((each) => this.#pending.has(each))) {
      const file = found.get(id);
      if (!file || FINAL.has(file.state)) this.#pending.delete(id);
      if (file) this.#onFile(file);
      else this.#onGone(id);
    }
  }
}
