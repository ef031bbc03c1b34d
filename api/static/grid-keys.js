// Keys in the grid: Tab reaches one tile and its buttons, the arrow keys and their like go on to the others.

const SHOWN = ".tile:not([hidden])";

export class GridKeys {
  #list;
  #current = null; // the tile that Tab reaches
  #visited = false;

  constructor(list) {
    this.#list = list;
    list.addEventListener("focusin", ({ target }) => {
      this.#visited = true;
      this.#reach(target.closest(".tile"));
    });
    list.addEventListener("keydown", (event) => this.#press(event));
  }

  /** Tiles or their buttons have changed. Until somebody has been in the grid, Tab reaches its first tile. */
  update() {
    const gone = !this.#current?.isConnected || this.#current.hidden;
    if (gone) this.#visited = false;
    if (!this.#visited) this.#reach(this.#list.querySelector(SHOWN));
    else makeReachable(this.#current, true);
  }

  /** Put the focus on a tile, else on the one at `index`. */
  focus(tile, index = 0) {
    const shown = this.shown();
    entryOf(tile ?? shown[Math.min(index, shown.length - 1)])?.focus();
  }

  /** The tiles that the filter shows, in order. */
  shown() {
    return Array.from(this.#list.querySelectorAll(SHOWN));
  }

  #reach(tile) {
    if (tile === this.#current) return;
    if (this.#current) makeReachable(this.#current, false);
    this.#current = tile;
    if (tile) makeReachable(tile, true);
  }

  #press(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const tile = event.target.closest(".tile");
    if (!tile) return;
    if (event.key === "Delete") return tile.querySelector('[data-action="remove"]:not([hidden])')?.click();
    const shown = this.shown();
    const to = this.#target(event.key, shown.indexOf(tile), shown);
    if (to === undefined) return;
    event.preventDefault(); // the page scrolls by the focus instead
    entryOf(shown[to]).focus();
  }

  /** The index of the tile that a key leads to from the tile at `at`; undefined for other keys. */
  #target(key, at, shown) {
    const columns = getComputedStyle(this.#list).gridTemplateColumns.split(" ").length;
    const rows = Math.max(1, Math.floor(innerHeight / shown[at].offsetHeight));
    const last = shown.length - 1;
    const lastRow = last - (last % columns);
    const up = (n) => (at - n * columns >= 0 ? at - n * columns : at % columns);
    const down = (n) => (at >= lastRow ? at : Math.min(at + n * columns, lastRow + (at % columns), last));
    switch (key) {
      case "ArrowLeft":
        return Math.max(at - 1, 0);
      case "ArrowRight":
        return Math.min(at + 1, last);
      case "ArrowUp":
        return up(1);
      case "ArrowDown":
        return down(1);
      case "PageUp":
        return up(rows);
      case "PageDown":
        return down(rows);
      case "Home":
        return 0;
      case "End":
        return last;
    }
  }
}

// A tile without a button, as for a token that may only read, takes the focus itself.
const entryOf = (tile) => tile && (tile.querySelector("button:not([hidden])") ?? tile);

function makeReachable(tile, reachable) {
  const entry = entryOf(tile);
  for (const control of [tile, ...tile.querySelectorAll("button")]) control.tabIndex = reachable ? 0 : -1;
  if (entry !== tile) tile.removeAttribute("tabindex");
}
