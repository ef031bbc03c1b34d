// The gallery: stored files and uploads, in one grid.

import { Activity } from "./activity.js";
import { Api } from "./api.js";
import { confirmed } from "./confirm.js";
import { takeFiles } from "./intake.js";
import { Lightbox } from "./lightbox.js";
import { More } from "./more.js";
import { currentPause, pauses } from "./pauses.js";
import { Queue, isUnsent } from "./queue.js";
import { retryEvents } from "./retry.js";
import { Status, notice } from "./status.js";
import { Tiles } from "./tiles.js";
import { Watcher } from "./watch.js";
import { kinds, size } from "./words.js";

const MAX_URL_AGE = 45 * 60_000; // ms after which a file's URLs are fetched anew before they are used
const MIN_REFRESH_INTERVAL = 30_000; // ms between two attempts to get a photo's URLs anew

const element = (id) => document.getElementById(id);

export class Gallery {
  #api;
  #tiles;
  #queue = null;
  #waitLimit = 0; // ms for which a registered file is polled that another page may have left behind
  #watcher;
  #activity;
  #status;
  #lightbox;
  #more = new More(element("more"), () => this.#list());
  #writable;
  #filter = "";
  #cursor = null;
  #listing = null; // the AbortController of the page that is being loaded
  #keys = new Map(); // file id → key of its tile, where the two differ
  #fetched = new WeakMap(); // file → when its URLs were made

  constructor({ token, scopes, onUnauthorized }) {
    // Without files:read nobody could follow here what becomes of an upload.
    this.#writable = scopes.includes("files:read") && scopes.includes("files:write");
    this.#api = new Api(token, onUnauthorized);
    this.#watcher = new Watcher(this.#api, { onFile: (file) => this.#take(file), onGone: (id) => this.#removeGone(id) });
    this.#activity = new Activity(element);
    this.#tiles = new Tiles({
      list: element("tiles"),
      template: element("tile"),
      writable: this.#writable,
      on: {
        open: (photo) => this.#lightbox.open(photo),
        cancel: ({ upload }) => this.#queue.cancel(upload),
        retry: ({ upload }) => this.#queue.retry(upload),
        dismiss: (photo) => this.#dismiss(photo),
        remove: (photo) => this.#remove(photo),
        stale: (photo) => this.#fresh(photo, MIN_REFRESH_INTERVAL),
      },
    });
    this.#status = new Status(this.#tiles);
    this.#lightbox = new Lightbox({
      photos: () => this.#tiles.ready(),
      small: (photo) => this.#tiles.sourceOf(photo.key),
      fresh: (photo) => this.#fresh(photo, MAX_URL_AGE),
      onDelete: this.#writable ? (photo) => this.#remove(photo) : null,
      onLast: () => this.#cursor && this.#list(),
      onClose: (photo) => this.#tiles.focus(photo.key),
    });
    this.#listen();
    this.#start();
  }

  /** Go on with a new token of the same owner. */
  resume() {
    this.#watcher.resume();
    if (!this.#queue) return this.#start();
    for (const upload of this.#activity.failed) if (upload.unauthorized) this.#queue.retry(upload);
    this.#show(this.#filter);
  }

  /** Cancel what is not sent yet. */
  stop() {
    for (const upload of this.#unsent()) this.#queue.cancel(upload);
  }

  #unsent() {
    return Array.from(this.#queue?.uploads ?? []).filter(isUnsent);
  }

  #listen() {
    element("more").addEventListener("click", () => this.#loadMore());
    element("skip").addEventListener("click", (event) => {
      event.preventDefault(); // the address keeps its fragment to itself
      this.#tiles.focus();
    });
    element("pause-end").addEventListener("click", () => currentPause()?.end?.());
    pauses.addEventListener("change", () => this.#showPause());
    this.#showPause();
    element("notice-retry").addEventListener("click", () => (this.#queue ? this.#list() : this.#start()));
    element("cancel-all").addEventListener("click", () => this.stop());
    element("retry-failed").addEventListener("click", () => this.#activity.failed.forEach((upload) => this.#queue.retry(upload)));
    for (const radio of document.querySelectorAll("input[name=filter]")) {
      radio.addEventListener("change", () => this.#show(radio.value));
    }
    window.addEventListener("beforeunload", (event) => this.#unsent().length && event.preventDefault());
    retryEvents.addEventListener("retrying", ({ detail }) => this.#status.say(detail.text, detail.seconds * 1000));
  }

  #showPause() {
    const reason = currentPause();
    element("pause").hidden = !reason;
    element("pause-text").textContent = reason?.text ?? "";
    element("pause-end").hidden = !reason?.end;
    this.#activity.noteAll();
  }

  async #start() {
    try {
      const limits = await this.#api.limits();
      this.#waitLimit = limits.wait_seconds * 1000;
      this.#queue = new Queue({ api: this.#api, limits, watcher: this.#watcher, onChange: (upload) => this.#showUpload(upload) });
      element("adder-limits").textContent = `${kinds(limits.content_types)}, up to ${size(limits.max_bytes)} each.`;
    } catch (error) {
      return notice(error);
    }
    element("adder").hidden = !this.#writable;
    if (this.#writable) {
      takeFiles({ chooser: element("chooser"), overlay: element("drop-here"), onFiles: (files) => this.#queue.add(files) });
    }
    return this.#list();
  }

  /** Show the list anew, by a filter: "" (all), READY or REJECTED. */
  #show(filter) {
    this.#filter = filter;
    this.#cursor = null;
    this.#listing?.abort();
    this.#listing = null;
    for (const photo of this.#tiles.photos()) {
      if (!photo.upload || photo.upload.record) this.#drop(photo); // the list brings it again
    }
    this.#tiles.filter(filter);
    return this.#list();
  }

  /** Load the next page because somebody asked for it by the button, which may be gone then: its first photo gets the focus. */
  async #loadMore() {
    const before = this.#tiles.shown;
    await this.#list();
    if (this.#tiles.shown > before) this.#tiles.focus(null, before);
  }

  /** Load the next page of the list; a filtered page may be empty, then also the one after it. */
  async #list() {
    if (this.#listing) return;
    const { signal } = (this.#listing = new AbortController());
    let failed = false;
    element("tiles").setAttribute("aria-busy", "true");
    try {
      let page;
      do {
        page = await this.#api.list({ cursor: this.#cursor, state: this.#filter, signal });
        signal.throwIfAborted();
        this.#cursor = page.next_cursor;
        page.files.forEach((file) => this.#take(file));
      } while (!page.files.length && this.#cursor);
      notice(null);
    } catch (error) {
      if (signal.aborted) return;
      notice(error);
      failed = true;
    }
    this.#listing = null;
    element("tiles").setAttribute("aria-busy", "false");
    if (failed) this.#more.failed();
    else this.#more.loaded(Boolean(this.#cursor));
    this.#status.listed(this.#filter, Boolean(this.#cursor));
    this.#lightbox.refresh();
  }

  /** Show a file as the API has just described it. */
  #take(file) {
    this.#fetched.set(file, Date.now());
    if (this.#queue.accept(file)) return;
    const key = this.#keys.get(file.file_id) ?? file.file_id;
    const photo = this.#tiles.get(key) ?? { key, order: `${file.registered_at}#${file.file_id}`, upload: null };
    photo.file = file;
    this.#tiles.put(photo);
    const waiting = file.state === "REGISTERED" && Date.now() - Date.parse(file.registered_at) < this.#waitLimit;
    if (waiting && !photo.upload) this.#watcher.add(file.file_id);
    this.#status.changed();
  }

  #removeGone(fileId) {
    this.#queue.markGone(fileId);
    if (!this.#keys.has(fileId)) this.#tiles.drop(fileId);
    this.#status.changed();
  }

  #showUpload(upload) {
    this.#activity.note(upload);
    const photo = this.#tiles.get(upload.key) ?? { key: upload.key, order: `~${String(upload.number).padStart(9, "0")}`, upload };
    if (upload.state === "same") {
      this.#status.say(upload.detail);
      return this.#drop(photo);
    }
    if (upload.fileId) this.#claim(upload.fileId, upload.key);
    photo.file = upload.record ?? null;
    if (photo.file && !this.#fetched.has(photo.file)) this.#fetched.set(photo.file, Date.now());
    this.#tiles.put(photo);
    this.#status.changed();
  }

  /** The tile `key` stands for this file from now on; another that did is dropped. */
  #claim(fileId, key) {
    const other = this.#keys.get(fileId) ?? fileId;
    if (other !== key && this.#tiles.get(other)) this.#drop(this.#tiles.get(other), { keepFile: true });
    this.#keys.set(fileId, key);
  }

  #drop({ key, upload }, { keepFile = false } = {}) {
    this.#tiles.drop(key);
    if (!upload) return;
    if (this.#keys.get(upload.fileId) === key) this.#keys.delete(upload.fileId);
    this.#queue.dismiss(upload, { keepFile });
    this.#activity.forget(upload);
  }

  #dismiss(photo) {
    const at = this.#tiles.indexOf(photo.key);
    this.#drop(photo);
    this.#tiles.focus(null, at);
    this.#status.changed();
  }

  /** Ask, then delete; true once it is done. */
  async #remove(photo) {
    const id = photo.file?.file_id ?? photo.upload.fileId;
    const name = photo.file?.name ?? photo.upload.name;
    if (!(await confirmed(`Delete ${name}?`, "Shoebox will forget this photo. This cannot be undone."))) return false;
    try {
      await this.#api.remove(id);
    } catch (error) {
      notice(error);
      return false;
    }
    this.#watcher.forget(id);
    this.#dismiss(photo);
    this.#status.say(`${name} was deleted.`);
    return true;
  }

  /** The photo's file, with URLs that are not older than `age` ms. */
  async #fresh(photo, age) {
    if (Date.now() - this.#fetched.get(photo.file) > age) {
      const [file] = await this.#api.byIds([photo.file.file_id]).catch(() => []);
      if (file) {
        this.#fetched.set(file, Date.now());
        photo.file = file;
        this.#tiles.put(photo);
      }
    }
    return photo.file;
  }
}
