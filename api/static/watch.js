// Asks how pending files stand, in batches and ever less often, until all of them are final. A hidden tab asks nothing.

const SOONEST = 400; // ms
const LATEST = 10_000;
const GROWTH = 1.5;
const BATCH = 100;
const FINAL = new Set(["READY", "REJECTED"]);

export class Watcher {
  #api;
  #onFile;
  #onGone;
  #pending = new Set();
  #interval = SOONEST;
  #timer = null;
  #due = Infinity;
  #asking = false;
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
    this.#interval = SOONEST;
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

  // An earlier appointment stands, or a stream of new files would put the question off for ever.
  #schedule(wait) {
    const idle = this.#asking || this.#refused || document.hidden || !this.#pending.size;
    const due = idle ? Infinity : Math.min(this.#due, performance.now() + wait);
    if (due === this.#due) return;
    clearTimeout(this.#timer);
    this.#due = due;
    if (!idle) this.#timer = setTimeout(() => this.#ask(), due - performance.now());
  }

  async #ask() {
    this.#asking = true;
    this.#due = Infinity;
    try {
      const ids = Array.from(this.#pending);
      for (let at = 0; at < ids.length; at += BATCH) {
        const batch = ids.slice(at, at + BATCH);
        this.#take(batch, await this.#api.byIds(batch));
      }
      this.#interval = Math.min(this.#interval * GROWTH, LATEST);
    } catch (error) {
      this.#refused = error.status === 401;
      this.#interval = LATEST;
    }
    this.#asking = false;
    this.#schedule(this.#interval);
  }

  #take(asked, files) {
    const found = new Map(files.map((file) => [file.file_id, file]));
    for (const id of asked.filter((each) => this.#pending.has(each))) {
      const file = found.get(id);
      if (!file || FINAL.has(file.state)) this.#pending.delete(id);
      if (file) this.#onFile(file);
      else this.#onGone(id);
    }
  }
}
