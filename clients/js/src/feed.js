// What happens in a conversation, for one reader: its entries, each once and in order.

import { TurnstreamError } from "./error.js";
import { ends } from "./session.js";

/** @typedef {import("./index.d.ts").Feed} Interface */
/** @typedef {import("./index.d.ts").FeedEntry} FeedEntry */

/** @implements {Interface} */
export class Feed {
  ended = false;
  /** @type {TurnstreamError | null} */
  error = null;
  /** What was not read yet. @type {FeedEntry[]} */
  #entries = [];
  #unfollow;
  #changed = () => {};

  /**
   * @param {string} id
   * @param {number | string} after
   * @param {() => void} unfollow
   */
  constructor(id, after, unfollow) {
    this.id = id;
    this.cursor = after;
    this.#unfollow = unfollow;
  }

  async *[Symbol.asyncIterator]() {
    for (;;) {
      const entry = this.#entries.shift();
      if (entry) yield entry;
      else if (this.ended) break;
      else await new Promise((resolve) => (this.#changed = () => resolve(null)));
    }
    if (this.error) throw this.error;
  }

  close() {
    if (this.ended) return;
    this.#entries = [];
    this.#end();
    this.#unfollow();
  }

  /** Take what the session reports of this feed. */
  take(/** @type {any} */ { event, error }) {
    if (this.ended) return;
    if (error) return this.fail(new TurnstreamError(error));
    this.cursor = event.cursor ?? event.sequence_number;
    this.#entries.push(event);
    if (ends(event)) this.#end();
    this.#changed();
  }

  /** End for a reason that no entry gives. */
  fail(/** @type {TurnstreamError} */ error) {
    if (this.ended) return;
    this.error = error;
    this.#end();
  }

  #end() {
    this.ended = true;
    this.#changed();
  }
}
