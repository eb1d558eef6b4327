// The client that people use: it makes turns, keeps them in the outbox, and passes them to a session.

import { TurnstreamError } from "./error.js";
import { Feed } from "./feed.js";
import { baseOf, request, tokenOf } from "./http.js";
import { Outbox } from "./outbox.js";
import { Session } from "./session.js";
import { memoryStorage } from "./storage.js";
import { Turn } from "./turn.js";

const KEEP_MS = 1_000;

/**
 * What a client uses of a session, its own or one in a worker.
 *
 * @typedef {Pick<Session, "start" | "cancel" | "wake" | "close">} AnySession
 * @typedef {Pick<import("./connection.js").Connection, "state" | "error" | "retryAt">} State
 * @typedef {{report: (ref: string, report: import("./session.js").Report) => void, onState: (state: State) => void}} Listener
 */

/** Open a connection, and keep it open until `close`. @returns {import("./index.d.ts").Client} */
export function connect(/** @type {import("./index.d.ts").ConnectOptions} */ options) {
  return new Client(options, ({ report, onState }) => new Session(sessionOptions(options), report, onState));
}

/** Return what a session is told. */
export function sessionOptions(/** @type {import("./index.d.ts").ConnectOptions} */ options) {
  const { url, WebSocket, retries } = options;
  return { base: baseOf(url), token: tokenOf(options), WebSocket, retries };
}

/** @typedef {import("./index.d.ts").Client} Interface */

/** @implements {Interface} */
export class Client {
  /** @type {State["state"]} */
  state = "connecting";
  /** @type {TurnstreamError | null} */
  error = null;
  /** @type {number | null} */
  retryAt = null;
  /** @type {Map<string, Turn>} */
  #turns = new Map();
  /** @type {Map<string, Feed>} */
  #feeds = new Map();
  /** @type {Set<() => void>} */
  #subscribers = new Set();
  #refs = 0;
  #base;
  #token;
  #outbox;
  #session;

  /**
   * @param {import("./index.d.ts").ConnectOptions} options
   * @param {(listener: Listener) => AnySession} open
   */
  constructor(options, open) {
    this.#base = baseOf(options.url);
    this.#token = tokenOf(options);
    this.#outbox = new Outbox(options.storage ?? memoryStorage());
    this.#session = open({
      report: (ref, report) => (this.#turns.get(ref) ?? this.#feeds.get(ref))?.take(report),
      onState: (state) => this.#become(state),
    });
  }

  get turns() {
    return [...this.#turns.values()];
  }

  /**
   * @param {import("./index.d.ts").CreateParams} params
   * @param {{lane?: string, idempotencyKey?: string}} [options]
   */
  create(params, { lane, idempotencyKey = newKey() } = {}) {
    const at = Date.now();
    const request = { create: { ...params, idempotency_key: idempotencyKey }, id: null, last: -1, lane: lane ?? null };
    // Kept first: once the server may have it, a reload must find it.
    const kept = this.#outbox.set(idempotencyKey, { params, lane: request.lane, at });
    return this.#start(idempotencyKey, request, { at, kept });
  }

  /**
   * @param {string} responseId
   * @param {{after?: number, text?: string, lane?: string}} [options]
   */
  resume(responseId, { after = -1, text, lane } = {}) {
    return this.#start("", { id: responseId, last: after, lane: lane ?? null }, { text });
  }

  /**
   * @param {string} conversation
   * @param {{after?: number}} [options]
   */
  follow(conversation, { after = -1 } = {}) {
    const ref = String(this.#refs++);
    const feed = new Feed(conversation, after, () => {
      this.#feeds.delete(ref);
      this.#session.cancel(ref);
    });
    this.#feeds.set(ref, feed);
    if (this.state === "closed") feed.fail(this.#closed());
    else this.#session.start(ref, { feed: conversation, id: null, last: after, lane: null });
    return feed;
  }

  async restore() {
    const mine = new Set(this.turns.map(({ key }) => key));
    const entries = (await this.#outbox.all()).filter(([key]) => !mine.has(key));
    return entries.map(([key, { params, id, lane, at }]) => {
      const create = params && { ...params, idempotency_key: key };
      return this.#start(key, { create, id: id ?? null, last: -1, lane, maybeSent: true }, { at });
    });
  }

  /**
   * @param {string} path
   * @param {{method?: string, json?: unknown}} [options]
   */
  async http(path, options) {
    try {
      return await request(this.#base, await this.#token(null), path, options);
    } catch (error) {
      if (!(error instanceof TurnstreamError) || error.status !== 401) throw error;
      const token = await this.#token(error);
      if (token === null) throw error;
      return request(this.#base, token, path, options);
    }
  }

  wake() {
    this.#session.wake();
  }

  close() {
    this.#session.close();
  }

  subscribe = (/** @type {() => void} */ changed) => {
    this.#subscribers.add(changed);
    return () => void this.#subscribers.delete(changed);
  };

  /**
   * @param {string} key
   * @param {import("./session.js").Request} request
   * @param {{text?: string, at?: number, kept?: Promise<void>}} [options]
   */
  #start(key, request, { text, at = 0, kept } = {}) {
    const ref = String(this.#refs++);
    let begun = false;
    const turn = new Turn({ key, ...request, text }, () => {
      if (begun) this.#session.cancel(ref);
      else turn.fail(new TurnstreamError({ code: "cancelled", message: "It was cancelled before it was sent." }));
    });
    if (this.state === "closed") {
      turn.fail(this.#closed());
      return turn;
    }
    this.#turns.set(ref, turn);
    let known = turn.id;
    turn.subscribe(() => {
      if (turn.ended && this.#turns.delete(ref)) {
        // What a closed client leaves can be restored by the next.
        if (key && this.state !== "closed") this.#outbox.delete(key);
      } else if (turn.id !== known) {
        known = turn.id;
        if (key && known) this.#outbox.set(key, { id: known, lane: turn.lane, at });
      }
    });
    const begin = () => {
      if (begun) return;
      begun = true;
      if (!turn.ended) this.#session.start(ref, request);
    };
    // A storage that does not answer must not keep the turn back.
    const timer = kept && setTimeout(begin, KEEP_MS);
    if (kept) void kept.then(begin).then(() => clearTimeout(timer));
    else begin();
    return turn;
  }

  #become(/** @type {State} */ { state, error, retryAt }) {
    Object.assign(this, { state, error, retryAt });
    if (state === "closed") for (const each of [...this.turns, ...this.#feeds.values()]) each.fail(this.#closed());
    for (const changed of [...this.#subscribers]) changed();
  }

  #closed() {
    return this.error ?? new TurnstreamError({ code: "closed", message: "The client was closed." });
  }
}

/** Return a new idempotency key. React Native has no `crypto`. */
function newKey() {
  return globalThis.crypto?.randomUUID?.() ?? [1, 2, 3].map(() => Math.random().toString(36).slice(2)).join("");
}
