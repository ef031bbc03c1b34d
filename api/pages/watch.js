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
  #asking = false;
  #refused = false;

  /** `onFile(file)` for every answer about a file, `onGone(id)` for a file that there is no more. */
  constructor(api, { onFile, onGone }) {
    this.#api = api;
    this.#onFile = onFile;
    this.#onGone = onGone;
    document.addEventListener("visibilitychange", () => this.#schedule(0));
  }

  watch(id) {
    this.#pending.add(id);
    this.#interval = SOONEST;
    this.#schedule(SOONEST);
  }

  forget(id) {
    this.#pending.delete(id);
  }

  /** Go on after the token was refused and another has been given. */
  resume() {
    this.#refused = false;
    this.#schedule(0);
  }

  #schedule(wait) {
    clearTimeout(this.#timer);
    if (this.#asking || this.#refused || document.hidden || !this.#pending.size) return;
    this.#timer = setTimeout(() => this.#ask(), wait);
  }

  async #ask() {
    this.#asking = true;
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
