// The grid: one tile a photo, newest first, changed in place as its photo changes.

import { GridKeys } from "./grid-keys.js";
import { preview } from "./preview.js";
import { paint } from "./thumbhash.js";
import { matches, viewOf } from "./tile-view.js";

// Pixels of the screen for one of CSS beyond which nobody sees a difference on a tile; a phone has three.
const MAX_DENSITY = 2;
// By how much a tile's picture may be stretched before the next rendition, with ten times the pixels, is worth its bytes.
const MAX_STRETCH = 1.75;
const RESIZED = 0.1; // the share of a tile's side by which it must change for its picture to be chosen anew
const WORDS = { cancel: "Cancel", retry: "Retry", dismiss: "Dismiss", remove: "Delete" };

export class Tiles {
  #list;
  #template;
  #on;
  #tiles = new Map();
  #filter = "";
  #writable;
  #keys;
  #side = 0; // CSS pixels of a tile's side

  /** `on`: {open, cancel, retry, dismiss, remove, stale}, each called with a photo. */
  constructor({ list, template, writable, on }) {
    this.#list = list;
    this.#template = template;
    this.#writable = writable;
    this.#on = on;
    this.#keys = new GridKeys(list);
    new ResizeObserver(() => this.#measure()).observe(list);
  }

  /** Show a photo, or what has changed of it. */
  put(photo) {
    const tile = this.#tiles.get(photo.key) ?? this.#make(photo);
    const view = viewOf(photo);
    this.#draw(tile, view);
    tile.element.hidden = !matches(this.#filter, view.state);
    this.#keys.update();
  }

  /** Take a photo's tile away; if the focus was in it, it goes to the tile in its place. */
  drop(key) {
    const element = this.#tiles.get(key)?.element;
    const at = element?.contains(document.activeElement) ? this.indexOf(key) : -1;
    element?.remove();
    this.#tiles.delete(key);
    this.#keys.update();
    if (at >= 0) this.#keys.focus(null, at);
  }

  get(key) {
    return this.#tiles.get(key)?.photo;
  }

  filter(name) {
    this.#filter = name;
    for (const { element, state } of this.#tiles.values()) element.hidden = !matches(name, state);
    this.#keys.update();
  }

  /** The photos that are ready and shown, in the grid's order. */
  ready() {
    const tiles = Array.from(this.#list.children, (element) => this.#tiles.get(element.dataset.key));
    return tiles.filter(({ state, element }) => state === "ready" && !element.hidden).map(({ photo }) => photo);
  }

  photos() {
    return Array.from(this.#tiles.values(), ({ photo }) => photo);
  }

  /** How many tiles are shown in each state. */
  counts() {
    const counts = {};
    for (const { state, element } of this.#tiles.values()) if (!element.hidden) counts[state] = (counts[state] ?? 0) + 1;
    return counts;
  }

  /** The picture's address that the browser has chosen for a tile; "" before it has. */
  sourceOf(key) {
    return this.#tiles.get(key)?.parts.picture.currentSrc ?? "";
  }

  /** Put the focus on a photo's tile, or on the one at `index` where there is none. */
  focus(key, index = 0) {
    this.#keys.focus(this.#tiles.get(key)?.element, index);
  }

  indexOf(key) {
    return this.#keys.shown().indexOf(this.#tiles.get(key)?.element);
  }

  /** How many tiles the filter shows. */
  get shown() {
    return this.#keys.shown().length;
  }

  /** Note how wide a tile is, so that each picture comes in the size that is needed. */
  #measure() {
    const side = parseFloat(getComputedStyle(this.#list).gridTemplateColumns); // not a number while the list is hidden
    if (!(Math.abs(side - this.#side) > RESIZED * side)) return;
    this.#side = side;
    for (const { photo, state, parts } of this.#tiles.values()) if (state === "ready") parts.picture.sizes = this.#sizes(photo.file);
  }

  /** A tile is square and its picture covers it, so a wide one is needed wider than the tile. */
  #sizes({ width, height }) {
    const density = Math.min(1, MAX_DENSITY / devicePixelRatio);
    return `${Math.ceil((this.#side * Math.max(1, width / height) * density) / MAX_STRETCH)}px`;
  }

  #make(photo) {
    const element = this.#template.content.firstElementChild.cloneNode(true);
    element.dataset.key = photo.key;
    element.dataset.order = photo.order;
    const find = (selector) => element.querySelector(selector);
    const parts = { canvas: find("canvas"), picture: find("img"), why: find(".why"), bar: find("progress"), open: find(".open") };
    Object.assign(parts, { name: find(".name"), note: find(".note"), actions: element.querySelectorAll("[data-action]") });
    const tile = { photo, element, parts, state: null };
    parts.open.addEventListener("click", () => this.#on.open(photo));
    parts.picture.addEventListener("load", () => (parts.picture.dataset.loaded = ""));
    parts.picture.addEventListener("error", () => this.#on.stale(photo));
    for (const button of parts.actions) button.addEventListener("click", () => this.#on[button.dataset.action](photo));
    this.#tiles.set(photo.key, tile);
    this.#place(element);
    if (photo.upload) preview(photo.upload.file, parts.canvas, () => element.isConnected && tile.state !== "ready" && tile.state !== "refused");
    return tile;
  }

  #place(element) {
    const { order } = element.dataset;
    const last = this.#list.lastElementChild;
    const next = !last || last.dataset.order > order ? null : Array.from(this.#list.children).find((other) => other.dataset.order <= order);
    this.#list.insertBefore(element, next ?? null);
  }

  #draw(tile, view) {
    const { element, parts } = tile;
    const focused = element.contains(document.activeElement) && document.activeElement;
    const ready = view.state === "ready" && tile.state !== "ready";
    tile.state = element.dataset.state = view.state;
    setText(parts.name, view.name);
    setText(parts.note, view.note);
    parts.name.title = view.name;
    parts.bar.hidden = view.progress === null;
    parts.bar.value = view.progress ?? 0;
    parts.bar.setAttribute("aria-label", `${view.name}: upload`);
    parts.why.hidden = !view.why;
    setText(parts.why.querySelector("strong"), view.why?.title ?? "");
    setText(parts.why.querySelector("span"), view.why?.detail ?? "");
    parts.open.hidden = view.state !== "ready";
    parts.open.setAttribute("aria-label", `Open ${view.name}`);
    for (const button of parts.actions) {
      const { action } = button.dataset;
      button.hidden = !view.actions.includes(action) || (action === "remove" && !this.#writable);
      button.setAttribute("aria-label", `${WORDS[action]} ${view.name}`);
    }
    if (view.state === "ready") {
      if (!this.#side) this.#measure();
      showPicture(tile.photo.file, parts, this.#sizes(tile.photo.file));
    }
    if (focused && (focused.hidden || ready)) this.#keys.focus(element); // the button that was pressed is gone: stay with its photo
  }
}

function showPicture(file, { canvas, picture }, sizes) {
  if (!("drawn" in canvas.dataset) && file.placeholder && paint(canvas, file.placeholder)) {
    canvas.dataset.drawn = "";
    canvas.hidden = false;
  }
  const sources = file.renditions.filter(({ name }) => name !== "2048");
  const srcset = sources.map(({ url, width }) => `${url} ${width}w`).join(", ");
  if (picture.srcset === srcset) return;
  picture.sizes = sizes;
  picture.alt = file.name;
  picture.srcset = srcset;
  picture.hidden = false;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
