// Keeps the latest words in view while an answer grows, unless the reader has scrolled away.

/** So near the end counts as at the end. */
const NEAR = 60;

export class Scroll {
  #atEnd = true;
  #button = document.getElementById("down");

  /** @param box what scrolls; @param content what grows in it */
  constructor(box, content) {
    this.box = box;
    box.addEventListener("scroll", () => this.#look(), { passive: true });
    new ResizeObserver(() => (this.#atEnd ? this.toEnd() : this.#look())).observe(content);
    // The on-screen keyboard makes the box smaller.
    new ResizeObserver(() => this.#atEnd && this.toEnd()).observe(box);
    this.#button.onclick = () => this.toEnd();
  }

  toEnd() {
    this.#atEnd = true;
    this.box.scrollTop = this.box.scrollHeight;
    this.#button.hidden = true;
  }

  #look() {
    this.#atEnd = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < NEAR;
    this.#button.hidden = this.#atEnd;
  }
}
