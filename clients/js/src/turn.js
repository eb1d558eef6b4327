// One question and its answer: its state, built from the events, and iterators over them.
//
// The events are kept as long as the turn is, so an iterator that begins late misses nothing.

import { TurnstreamError } from "./error.js";
import { steeringOf } from "./session.js";

const STATES = new Map([
  ["response.queued", "queued"],
  ["response.in_progress", "in_progress"],
  ["response.completed", "completed"],
  ["response.incomplete", "incomplete"],
  ["response.failed", "failed"],
  ["error", "failed"],
]);
const NOT_ACTIVE = {
  code: "response_not_active",
  message: "The response failed or was cancelled, so nothing goes on from it.",
};
const FINAL = ["completed", "incomplete", "cancelled", "failed"];

/** @typedef {import("./index.d.ts").TurnEvent} TurnEvent */

/** @typedef {import("./index.d.ts").Turn} Interface */

/** @implements {Interface} */
export class Turn {
  /** @type {string | null} */
  id = null;
  /** @type {import("./index.d.ts").TurnState} */
  state = "waiting";
  /** @type {import("./index.d.ts").QueuePlace | null} */
  queue = null;
  /** @type {import("./index.d.ts").ResponseObject | null} */
  response = null;
  /** @type {TurnstreamError | null} */
  error = null;
  /** @type {TurnstreamError | null} */
  refusal = null;
  /** @type {import("./index.d.ts").Steer[]} */
  steers = [];
  /** @type {Turn | null} */
  successor = null;
  version = 0;
  /** Each event, with the text that it adds. @type {{event: TurnEvent, added: string}[]} */
  #events = [];
  /** @type {Set<() => void>} */
  #subscribers = new Set();
  /** The state that the events say, whether there is a connection or not. @type {import("./index.d.ts").TurnState} */
  #known = "sent";
  #act;
  #resolve = (/** @type {any} */ _response) => {};
  #reject = (/** @type {TurnstreamError} */ _error) => {};

  /**
   * @param {{key: string, lane: string | null, id: string | null, last: number, text?: string}} request
   * @param {{cancel: () => void, steer: (steer: import("./index.d.ts").Steer) => void, follow: (id: string) => Turn}} act
   */
  constructor({ key, lane, id, last, text = "" }, act) {
    this.key = key;
    this.lane = lane;
    this.id = id;
    this.last = last;
    this.text = text;
    this.#act = act;
    /** @type {Promise<import("./index.d.ts").ResponseObject>} */
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Who reads slices need not look at `done` as well.
    this.done.catch(() => {});
  }

  get ended() {
    return FINAL.includes(this.state);
  }

  cancel() {
    if (!this.ended) this.#act.cancel();
  }

  /**
   * @param {string | readonly object[]} input
   * @param {{idempotencyKey?: string}} [options]
   */
  steer(input, { idempotencyKey = newKey() } = {}) {
    /** @type {import("./index.d.ts").Steer} */
    const steer = { key: idempotencyKey, input, state: "waiting", error: null };
    this.steers.push(steer);
    if (this.id) this.#act.steer(steer);
    else if (this.ended) this.giveBack(steer, new TurnstreamError(NOT_ACTIVE));
    this.#changed();
    return steer;
  }

  /** Note that the server has taken input, or why it is not used. */
  giveBack(/** @type {any} */ steer, /** @type {TurnstreamError | null} */ error) {
    Object.assign(steer, { state: error ? "failed" : "accepted", error });
    this.#changed();
  }

  subscribe = (/** @type {() => void} */ changed) => {
    this.#subscribers.add(changed);
    return () => void this.#subscribers.delete(changed);
  };

  async *events() {
    for (let at = 0; ; at++) {
      while (at === this.#events.length && !this.ended) await this.#change();
      if (at === this.#events.length) break;
      yield this.#events[at].event;
    }
    if (this.error) throw this.error;
  }

  async *slices() {
    for (let at = 0; ; ) {
      const slice = this.#events.slice(at).map(({ added }) => added).join("");
      at = this.#events.length;
      if (slice) yield slice;
      else if (this.ended) break;
      else await this.#change();
    }
    if (this.error) throw this.error;
  }

  /** Take what the session reports of this turn. */
  take(/** @type {import("./session.js").Report} */ report) {
    if (this.ended) return;
    if ("error" in report) this.fail(new TurnstreamError(report.error));
    else if ("event" in report) this.#apply(report.event);
    else {
      this.state = report.sent ? this.#known : "waiting";
      this.refusal = report.refusal ? new TurnstreamError(report.refusal) : null;
    }
    this.#changed();
  }

  /** End for a reason that no event gives. */
  fail(/** @type {TurnstreamError} */ error) {
    if (this.ended) return;
    this.error = error;
    this.state = error.code === "cancelled" ? "cancelled" : "failed";
    if (!this.id) for (const steer of this.steers) this.giveBack(steer, new TurnstreamError(NOT_ACTIVE));
    this.#reject(error);
    this.#changed();
  }

  #apply(/** @type {TurnEvent} */ event) {
    const before = this.text;
    if (event.type === "response.output_text.delta") this.text += event.delta;
    // The events of a snapshot have the whole text: what is new of it is what follows the text so far.
    if (event.type === "response.output_text.done" && event.text.startsWith(before)) this.text = event.text;
    this.#events.push({ event, added: this.text.slice(before.length) });
    this.last = Math.max(this.last, event.sequence_number ?? -1);
    this.response = event.response ?? this.response;
    if (!this.id && this.response) {
      this.id = this.response.id;
      for (const steer of this.steers) this.#act.steer(steer);
    }
    this.queue = event.type === "response.queued" ? (event.queue ?? null) : null;
    const { outcome, response_id } = steeringOf(event) ?? {};
    if (response_id) this.successor = this.#act.follow(response_id);
    for (const steer of this.steers) {
      if (outcome === "failed" && steer.state === "accepted") this.giveBack(steer, new TurnstreamError(NOT_ACTIVE));
    }
    this.#become(event);
  }

  #become(/** @type {TurnEvent} */ { type, response, error }) {
    if (type === "response.failed" || type === "error") {
      const { code, message, param } = error ?? response?.error ?? {};
      return this.fail(new TurnstreamError({ code: code ?? "server_error", message: message ?? "It failed.", param }));
    }
    const named = response?.status === "cancelled" ? "cancelled" : STATES.get(type);
    this.state = this.#known = /** @type {typeof this.state | undefined} */ (named) ?? this.#known;
    if (this.ended) this.#resolve(response);
  }

  /** @returns {Promise<void>} */
  #change() {
    return new Promise((resolve) => {
      const off = this.subscribe(() => {
        off();
        resolve();
      });
    });
  }

  #changed() {
    this.version++;
    for (const changed of [...this.#subscribers]) changed();
  }
}

/** Return a new idempotency key. React Native has no `crypto`. */
export function newKey() {
  return globalThis.crypto?.randomUUID?.() ?? [1, 2, 3].map(() => Math.random().toString(36).slice(2)).join("");
}
