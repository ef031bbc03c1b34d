// Messages of the page: counts of what is shown, announced politely, and errors, announced at once.

import { count } from "./words.js";

const ANNOUNCE_INTERVAL = 1000; // ms between two announcements
const EVENT_LIFETIME = 6000; // ms that a single event stays in the line
const UNDER_WAY = ["waiting", "hashing", "registering", "sending"];
const EMPTY_TEXTS = { "": "No photos yet.", READY: "No photos are ready yet.", REJECTED: "Nothing was rejected." };

const element = (id) => document.getElementById(id);

/** Show what is wrong with the page as a whole; null takes it away. A refused token has its own panel. */
export function notice(error) {
  const shown = error && error.status !== 401;
  element("notice").hidden = !shown;
  element("notice-text").textContent = shown ? error.message : "";
}

export class Status {
  #tiles;
  #timer = null;
  #event = "";
  #more = false;
  #filter = null;

  constructor(tiles) {
    this.#tiles = tiles;
  }

  /** The list was loaded by `filter`; `more`: it goes on. */
  listed(filter, more) {
    this.#filter = filter;
    this.#more = more;
    this.#draw();
  }

  changed() {
    if (element("gallery").classList.contains("empty")) this.#drawEmpty();
    this.#timer ??= setTimeout(() => this.#draw(), ANNOUNCE_INTERVAL);
  }

  /** Say that something has happened; it stays for `lasting` ms. */
  say(text, lasting = EVENT_LIFETIME) {
    this.#event = text;
    setTimeout(() => {
      if (this.#event === text) this.#event = "";
      this.changed();
    }, lasting);
    this.#draw();
  }

  #draw() {
    clearTimeout(this.#timer);
    this.#timer = null;
    const text = [this.#event, sentence(this.#tiles.counts(), this.#more)].filter(Boolean).join(" ");
    if (element("status").textContent !== text) element("status").textContent = text;
    this.#drawEmpty();
  }

  #drawEmpty() {
    const empty = !Object.keys(this.#tiles.counts()).length;
    element("nothing").hidden = !empty || this.#filter === null;
    element("nothing").textContent = EMPTY_TEXTS[this.#filter] ?? "";
    element("gallery").classList.toggle("empty", empty && !this.#filter);
  }
}

function sentence(counts, more) {
  const sum = (...states) => states.reduce((n, state) => n + (counts[state] ?? 0), 0);
  const parts = [
    [sum("ready"), (n) => count(n, "photo") + (more ? " shown" : "")],
    [sum(...UNDER_WAY), (n) => `${n} uploading`],
    [sum("processing"), (n) => `${n} being prepared`],
    [sum("unfinished"), (n) => `${n} not finished`],
    [sum("rejected", "refused"), (n) => `${n} rejected`],
    [sum("failed"), (n) => `${n} failed`],
  ];
  return parts.filter(([n]) => n).map(([n, words]) => words(n)).join(", ");
}
