// Shows Markdown while it is written. What was shown is never parsed again from its start: blocks that
// can't change any more are closed, and only the text after them is read at the next slice.

import { Shown, isShown } from "./markdown_elements.js";
import { tokensOf } from "./markdown_tokens.js";
import { showable } from "./unfinished.js";

/** Characters that are read in one frame, so that a long answer read again does not hold up the page. */
const FRAME_CHARACTERS = 4000;
/** A parse may take this part of the time; a long open block is shown in larger steps. */
const SHARE = 0.25;

export class Markdown {
  #shown;
  /** Text that is not parsed yet, and text of the open blocks. */
  #unread = "";
  #open = "";
  #ended = false;
  #next = 0;

  /** @param element gets the blocks */
  constructor(element) {
    this.#shown = new Shown(element);
  }

  write(text) {
    this.#unread += text;
  }

  end() {
    this.#ended = true;
  }

  /** Show more of what was written; return whether there is still more. Called once a frame. */
  show() {
    if (!this.#unread && !(this.#ended && this.#open)) return false;
    const began = performance.now();
    if (began < this.#next) return true;
    this.#open += this.#unread.slice(0, FRAME_CHARACTERS);
    this.#unread = this.#unread.slice(FRAME_CHARACTERS);
    const last = this.#ended && !this.#unread;
    this.#read(last);
    const took = performance.now() - began;
    // A step within a millisecond or two costs nothing that anybody could see.
    this.#next = took < 3 ? 0 : performance.now() + took * (1 / SHARE - 1);
    if (last) this.#open = "";
    return Boolean(this.#unread) || this.#next > 0;
  }

  #read(last) {
    const tokens = tokensOf(last ? this.#open : showable(this.#open));
    this.#shown.show(tokens);
    const closed = closedBlocks(tokens);
    if (closed) {
      this.#shown.close(tokens.slice(0, closed).filter(isShown).length);
      this.#open = this.#open.slice(lengthOf(tokens.slice(0, closed)));
    } else {
      this.#open = this.#open.slice(this.#shown.closeItems());
    }
  }
}

const lengthOf = (tokens) => tokens.reduce((length, { raw }) => length + raw.length, 0);

/** Return how many of the first tokens are complete, whatever is written after the last one. */
function closedBlocks(tokens) {
  for (let at = tokens.length - 1; at > 0; at--) {
    // A line that has ended can't become an item of the list before it, nor a heading's underline.
    if (tokens[at - 1].type === "space" && tokens[at].raw.includes("\n")) return at;
  }
  return 0;
}
