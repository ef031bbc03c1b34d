// Registers files in batches: those that come during a request go into the next one.

const BATCH_DELAY = 30; // ms

export class Registrar {
  #api;
  #maxBatch;
  #waiting = [];
  #busy = false;

  constructor(api, maxBatch) {
    this.#api = api;
    this.#maxBatch = maxBatch;
  }

  /** Register `{name, size, content_type, sha256}`; resolves to the API's entry for it. */
  register(file) {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ file, resolve, reject });
      if (!this.#busy) this.#run();
    });
  }

  async #run() {
    this.#busy = true;
    await new Promise((resolve) => setTimeout(resolve, BATCH_DELAY));
    while (this.#waiting.length) await this.#send(this.#waiting.splice(0, this.#maxBatch));
    this.#busy = false;
  }

  async #send(batch) {
    try {
      const entries = await this.#api.register(batch.map(({ file }) => file));
      batch.forEach(({ resolve }, i) => resolve(entries[i]));
    } catch (error) {
      batch.forEach(({ reject }) => reject(error));
    }
  }
}
