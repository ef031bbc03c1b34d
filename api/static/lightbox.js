// One photo on the whole screen: arrow keys, buttons or swipes go on; Escape, a click beside it or a swipe down close.

import { size, warning } from "./words.js";

const SWIPE = 48; // CSS pixels

export class Lightbox {
  #dialog = document.getElementById("lightbox");
  #parts = Object.fromEntries(
    ["name", "facts", "warnings", "original", "delete", "close", "stage", "picture", "previous", "next"].map((id) => [id, document.getElementById(`lightbox-${id}`)]),
  );
  #photo = null;
  #photos;
  #small;
  #fresh;
  #onLast;

  /**
   * `photos()` gives what can be shown, in order; `small(photo)` the address of its picture in the grid; `fresh(photo)`
   * resolves to its file with URLs that hold. `onDelete(photo)` asks and resolves to true once it is deleted, null
   * where one may not; `onLast()` is called when the last photo is reached, `onClose(photo)` with the one seen last.
   */
  constructor({ photos, small, fresh, onDelete, onLast, onClose }) {
    this.#photos = photos;
    this.#small = small;
    this.#fresh = fresh;
    this.#onLast = onLast;
    this.#parts.delete.hidden = !onDelete;
    this.#dialog.addEventListener("close", () => onClose(this.#photo));
    this.#parts.delete.addEventListener("click", () => this.#delete(onDelete));
    this.#listen();
  }

  open(photo) {
    this.#dialog.showModal();
    this.#show(photo);
  }

  #listen() {
    const { close, previous, next, stage } = this.#parts;
    close.addEventListener("click", () => this.#dialog.close());
    previous.addEventListener("click", () => this.#step(-1));
    next.addEventListener("click", () => this.#step(1));
    stage.addEventListener("click", (event) => event.target === stage && this.#dialog.close());
    this.#dialog.addEventListener("keydown", (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      if (event.key === "ArrowLeft") this.#step(-1);
      if (event.key === "ArrowRight") this.#step(1);
    });
    this.#listenToSwipes(stage);
  }

  #listenToSwipes(stage) {
    let start = null;
    stage.addEventListener("pointerdown", (event) => (start = event.isPrimary ? event : null));
    stage.addEventListener("pointercancel", () => (start = null));
    stage.addEventListener("pointerup", (event) => {
      if (!start?.isPrimary || event.pointerType === "mouse" || visualViewport.scale > 1.05) return;
      const [dx, dy] = [event.clientX - start.clientX, event.clientY - start.clientY];
      start = null;
      if (Math.abs(dx) > SWIPE && Math.abs(dx) > Math.abs(dy)) this.#step(dx < 0 ? 1 : -1);
      else if (dy > SWIPE) this.#dialog.close();
    });
  }

  async #delete(onDelete) {
    const photos = this.#photos();
    const at = photos.indexOf(this.#photo);
    if (!(await onDelete(this.#photo))) return;
    const rest = photos.filter((photo) => photo !== this.#photo);
    if (rest.length) this.#show(rest[Math.min(at, rest.length - 1)]);
    else this.#dialog.close();
  }

  #step(by) {
    const photos = this.#photos();
    const next = photos[photos.indexOf(this.#photo) + by];
    if (next) this.#show(next);
  }

  async #show(photo) {
    this.#photo = photo;
    this.#describe(photo);
    const { picture } = this.#parts;
    picture.alt = photo.file.name;
    picture.src = this.#small(photo) || rendition(photo.file, "320");
    const file = await this.#fresh(photo);
    if (this.#photo !== photo) return;
    this.#parts.original.href = file.original_url;
    const large = await loaded(rendition(file, "2048"));
    if (large && this.#photo === photo) picture.src = large;
    for (const other of this.#neighbours(photo)) new Image().src = rendition(other.file, "2048");
  }

  #describe(photo) {
    const { name, facts, warnings, previous, next } = this.#parts;
    const photos = this.#photos();
    const at = photos.indexOf(photo);
    name.textContent = photo.file.name;
    facts.textContent = [`${at + 1} of ${photos.length}`, ...factsOf(photo.file)].join(" · ");
    warnings.textContent = photo.file.warnings.map(warning).join(" ");
    previous.disabled = at <= 0;
    next.disabled = at >= photos.length - 1;
    if (next.disabled) this.#onLast();
  }

  /** More photos may have come: the way on may be open now. */
  refresh() {
    if (this.#dialog.open && this.#photo) this.#describe(this.#photo);
  }

  #neighbours(photo) {
    const photos = this.#photos();
    const at = photos.indexOf(photo);
    return [photos[at + 1], photos[at - 1]].filter(Boolean);
  }
}

const rendition = (file, name) => (file.renditions.find((each) => each.name === name) ?? file.renditions[0])?.url ?? "";

async function loaded(url) {
  const image = new Image();
  image.src = url;
  return image.decode().then(
    () => url,
    () => null,
  );
}

function factsOf({ width, height, size: bytes, metadata }) {
  const taken = metadata?.captured_at ? new Date(metadata.captured_at.slice(0, 19)) : null;
  const day = taken && !Number.isNaN(taken.getTime()) ? taken.toLocaleDateString(undefined, { dateStyle: "long" }) : "";
  const changed = /:(ModifyDate|DateTime)$/.test(metadata?.captured_at_source ?? ""); // not when it was taken
  return [`${width} × ${height}`, size(bytes), day && changed ? `changed ${day}` : day, metadata?.camera_model ?? ""].filter(Boolean);
}
