// The uploads of this page. Each goes through the states
//   waiting → hashing → registering → sending → processing → ready | rejected
// or ends as: refused (never sent), same (as another one here), failed and cancelled (may be retried).

import { gate } from "./gate.js";
import { Unreadable, digest } from "./hashing.js";
import { sendInParts } from "./multipart.js";
import { nameOf, refusal, typeOf } from "./picture-type.js";
import { Registrar } from "./registrar.js";
import { withRetries } from "./retry.js";
import { SendError, send } from "./send.js";
import { problemTitle } from "./words.js";

const ACTIVE = new Set(["waiting", "hashing", "registering", "sending", "processing"]);
const UNSENT = new Set(["waiting", "hashing", "registering", "sending"]);
const UNFINISHED = new Set(["failed", "cancelled"]);
const SENDING_AT_ONCE = 4;
const MAX_IN_FLIGHT = 100; // files between hashing and the end of sending; a URL must not grow old while it waits

const ignoreError = () => {}; // what was registered and never sent ends by itself within a day
// A file that is being deleted can be registered again when that is done, after a minute or so.
const DELETION_RETRIES = { attempts: 12 };

/** Shoebox will not take this file; with `retry`, not at this moment. */
class Refused extends Error {
  constructor({ title, detail }) {
    super(detail);
    this.title = title;
  }
}

export const isActive = (upload) => ACTIVE.has(upload.state);
export const isUnsent = (upload) => UNSENT.has(upload.state);

export class Queue {
  #api;
  #limits;
  #watcher;
  #onChange;
  #registrar;
  #inspecting = gate(8);
  #inFlight = gate(MAX_IN_FLIGHT);
  #sending = gate(SENDING_AT_ONCE);
  #bySha = new Map();
  #byId = new Map();
  #count = 0;
  /** Every upload that was not dismissed, oldest first. */
  uploads = new Set();

  /** `onChange(upload)` is called after every change of an upload, its progress included. */
  constructor({ api, limits, watcher, onChange }) {
    this.#api = api;
    this.#limits = limits;
    this.#watcher = watcher;
    this.#onChange = onChange;
    this.#registrar = new Registrar(api, limits.max_batch);
  }

  add(files) {
    for (const file of files) {
      const number = ++this.#count;
      const upload = { key: `upload-${number}`, number, file, name: nameOf(file), size: file.size };
      this.uploads.add(upload);
      this.#start(upload);
    }
  }

  retry(upload) {
    if (isActive(upload)) return;
    const before = upload.run;
    this.#start(upload, before);
  }

  /** Stop an upload. Its registration stays until it is dismissed, so that it can be retried at once. */
  cancel(upload) {
    if (!isUnsent(upload)) return;
    this.#change(upload, { state: "cancelled" });
    upload.controller.abort(new DOMException("Cancelled", "AbortError"));
  }

  /** Forget an upload that is not on its way (any more). What is unfinished of it is freed, but for `keepFile`. */
  dismiss(upload, { keepFile = false } = {}) {
    this.uploads.delete(upload);
    this.#forget(upload);
    if (UNFINISHED.has(upload.state) && !keepFile) this.#release(upload);
  }

  /** Update the upload of a file that the API has described; false if no upload of this page waits for it. */
  accept(file) {
    const upload = this.#byId.get(file.file_id);
    if (!upload) return false;
    if (file.state === "READY") this.#finish(upload, { state: "ready", record: file, file: null });
    if (file.state === "REJECTED") this.#finish(upload, { state: "rejected", record: file });
    return true;
  }

  /** Mark an upload whose file is gone: deleted elsewhere, or its registration expired. */
  markGone(fileId) {
    const upload = this.#byId.get(fileId);
    if (upload) this.#finish(upload, { state: "failed", title: "No longer there", detail: "It was deleted meanwhile. Retry uploads it again." });
  }

  #start(upload, before) {
    upload.controller = new AbortController();
    upload.sent = 0;
    this.#change(upload, { state: "waiting", title: "", detail: "", unauthorized: false });
    upload.run = this.#run(upload, upload.controller.signal, before);
  }

  async #run(upload, signal, before) {
    try {
      await before;
      await this.#inspecting(() => this.#inspect(upload));
      await this.#inFlight(async () => {
        signal.throwIfAborted();
        const entry = await this.#register(upload, signal);
        if (entry?.upload) await this.#send(upload, entry, signal);
        else if (entry) this.#finish(upload, { state: "ready", record: entry, already: true, file: null });
      });
    } catch (error) {
      if (signal.aborted) await this.#free(upload);
      else this.#finish(upload, failureOf(error));
    }
  }

  async #inspect(upload) {
    upload.type = await typeOf(upload.file);
    const why = refusal(upload.file, upload.type, this.#limits);
    if (why) throw new Refused(why);
  }

  /** The API's entry for the upload; null if another upload here has the same content. */
  async #register(upload, signal) {
    this.#change(upload, { state: "hashing" });
    upload.sha256 = await digest(upload.file);
    signal.throwIfAborted();
    const duplicate = this.#bySha.get(upload.sha256);
    if (duplicate && duplicate !== upload) {
      this.#change(upload, { state: "same", detail: `${upload.name} is the same photo as ${duplicate.name}.` });
      return null;
    }
    this.#bySha.set(upload.sha256, upload);
    this.#change(upload, { state: "registering" });
    const entry = await withRetries(() => this.#entry(upload), { signal, ...DELETION_RETRIES });
    this.#byId.set(entry.file_id, upload);
    upload.fileId = entry.file_id;
    signal.throwIfAborted();
    return entry;
  }

  async #entry({ name, size, type, sha256 }) {
    const entry = await this.#registrar.register({ name, size, content_type: type, sha256 });
    if (entry.state === "DELETING" || entry.problem?.code === "conflict") {
      const detail = "The same photo is being deleted at this moment; try again shortly.";
      throw Object.assign(new Refused({ title: problemTitle("conflict"), detail }), { retry: true });
    }
    if (entry.problem) throw new Refused({ title: problemTitle(entry.problem.code), detail: entry.problem.detail });
    return entry;
  }

  async #send(upload, entry, signal) {
    const onProgress = (bytes) => this.#change(upload, { sent: bytes });
    if (upload.size >= this.#limits.multipart_from) {
      this.#change(upload, { state: "sending" });
      const onOpen = (id) => (upload.multipartId = id);
      await sendInParts(this.#api, upload.fileId, upload.file, { throughGate: this.#sending, signal, onOpen, onProgress });
    } else {
      const renew = async () => (await this.#entry(upload)).upload;
      this.#change(upload, { state: "waiting" });
      await this.#sending(() => {
        signal.throwIfAborted();
        this.#change(upload, { state: "sending" });
        return send(entry.upload, upload.file, { renew, signal, onProgress });
      });
    }
    this.#change(upload, { state: "processing", sent: upload.size });
    this.#watcher.add(upload.fileId);
  }

  async #release(upload) {
    await upload.run;
    if (!upload.fileId) return;
    await this.#free(upload);
    await this.#api.remove(upload.fileId).catch(ignoreError);
  }

  /** Free the parts that S3 holds of an upload. */
  async #free(upload) {
    this.#forget(upload);
    if (upload.multipartId) await this.#api.abortMultipart(upload.fileId, upload.multipartId).catch(ignoreError);
    upload.multipartId = null;
  }

  #finish(upload, changes) {
    this.#forget(upload);
    this.#change(upload, changes);
  }

  #forget(upload) {
    if (this.#bySha.get(upload.sha256) === upload) this.#bySha.delete(upload.sha256);
    if (this.#byId.get(upload.fileId) === upload) this.#byId.delete(upload.fileId);
  }

  #change(upload, changes) {
    Object.assign(upload, changes);
    this.#onChange(upload);
  }
}

/** The state that an error leaves an upload in, with words for it. */
function failureOf(error) {
  if (error instanceof Refused) return { state: error.retry ? "failed" : "refused", title: error.title, detail: error.message };
  const unreadable = error instanceof Unreadable || ["NotReadableError", "NotFoundError"].includes(error.name);
  if (unreadable) return { state: "failed", title: "The file cannot be read", detail: "It may have been moved or changed. Choose it again." };
  const title = error instanceof SendError && error.status === 0 ? problemTitle("unreachable") : problemTitle(error.code);
  return { state: "failed", title, detail: `${error.message} Retry sends it again.`, unauthorized: error.status === 401 };
}
