// What is followed, each conversation under a `stream_id` of its own, and told again to each new socket.

import { backOff } from "./connection.js";
import { errorOf } from "./http.js";

/** The type of a feed's last entry. */
export const DELETED = "turnstream:conversation.deleted";

/** @typedef {{ref: string, feed: string, cursor: number | string, known: boolean, tries: number}} Watch */

/** Return the number of the entry that a cursor, or its number itself, is of. */
const numberOf = (/** @type {number | string} */ cursor) => parseInt(String(cursor));

export class Watches {
  /** @type {Map<string, Watch>} */
  #watches = new Map();
  #names = 0;
  #send;
  #report;
  #retries;

  /**
   * @param {(message: object) => boolean} send
   * @param {(ref: string, report: {event: any} | {error: import("./session.js").Problem}) => void} report
   * @param {number} retries
   */
  constructor(send, report, retries) {
    this.#send = send;
    this.#report = report;
    this.#retries = retries;
  }

  /** Whether entries are expected. */
  get busy() {
    return this.#watches.size > 0;
  }

  /** Follow a conversation from the entry after that with a cursor, or number; report on it under `ref`. */
  add(/** @type {string} */ ref, /** @type {string} */ feed, /** @type {number | string} */ cursor) {
    const name = `feed-${this.#names++}`;
    this.#watches.set(name, { ref, feed, cursor, known: false, tries: 0 });
    this.#follow(name);
  }

  /** Follow those no more whose `ref` this is so for. */
  remove(/** @type {(ref: string) => boolean} */ which) {
    for (const [name, { ref }] of this.#watches) {
      if (!which(ref)) continue;
      this.#watches.delete(name);
      this.#send({ type: "turnstream:conversation.unfollow", stream_id: name });
    }
  }

  /** Tell a new socket all of them. */
  send() {
    for (const name of this.#watches.keys()) this.#follow(name);
  }

  /** Take a message; return whether it is for one of them. */
  take(/** @type {string} */ name, /** @type {any} */ event) {
    const watch = this.#watches.get(name);
    if (!watch) return false;
    if (event.error) this.#refused(name, watch, event);
    else {
      watch.known = true;
      watch.tries = 0;
      if (event.sequence_number > numberOf(watch.cursor)) this.#entry(name, watch, event);
    }
    return true;
  }

  #follow(/** @type {string} */ name) {
    const watch = this.#watches.get(name);
    if (!watch) return;
    // Turns are read on lanes of their own, by who wants them.
    const asked = { conversation: watch.feed, starting_after: watch.cursor, responses: false };
    this.#send({ type: "turnstream:conversation.follow", ...asked, stream_id: name });
  }

  #entry(/** @type {string} */ name, /** @type {Watch} */ watch, /** @type {any} */ event) {
    watch.cursor = event.cursor ?? event.sequence_number;
    if (event.type === DELETED) this.#watches.delete(name);
    this.#report(watch.ref, { event });
  }

  #refused(/** @type {string} */ name, /** @type {Watch} */ watch, /** @type {any} */ { status, error, headers }) {
    const { code, message, param, retryAfter } = errorOf(status, error, headers?.["retry-after"]);
    if (status >= 500 || code === "token_expired" || (status === 429 && watch.tries < this.#retries)) {
      setTimeout(() => this.#follow(name), Math.max(backOff(++watch.tries), (retryAfter ?? 0) * 1000));
    } else if (watch.known && status === 404) {
      // It was there, and was deleted while nobody listened.
      this.#entry(name, watch, { type: DELETED, sequence_number: numberOf(watch.cursor) + 1, conversation: watch.feed });
    } else {
      this.#watches.delete(name);
      this.#report(watch.ref, { error: { code, message, param, status } });
    }
  }
}
