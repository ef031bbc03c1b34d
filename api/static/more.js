// Loads the next page of the list when its end comes near the screen. The button there is for whoever comes without
// scrolling, and for a page that could not be loaded.

const LOAD_MARGIN = "1000px"; // below the screen

export class More {
  #button;
  #observer;

  constructor(button, load) {
    this.#button = button;
    // On a busy page several observations come at once; the last one holds.
    this.#observer = new IntersectionObserver((seen) => seen.at(-1).isIntersecting && load(), { rootMargin: `0px 0px ${LOAD_MARGIN}` });
  }

  /** A page was loaded; `more`: the list goes on. An end that is still near the screen is told again. */
  loaded(more) {
    this.#button.hidden = !more;
    this.#observer.unobserve(this.#button);
    if (more) this.#observer.observe(this.#button);
  }

  /** A page could not be loaded: nothing goes on by itself. */
  failed() {
    this.#observer.unobserve(this.#button);
  }
}
