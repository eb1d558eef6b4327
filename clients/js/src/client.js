// The client that people use: it makes turns, keeps them in the outbox, and passes them to a session.

import { TurnstreamError } from "./error.js";
import { Feed } from "./feed.js";
import { baseOf, request, tokenOf } from "./http.js";
import { memoryStorage, Outbox } from "./outbox.js";
import { next, Session } from "./session.js";
import { newKey, Turn } from "./turn.js";

const KEEP_MS = 1_000;

/**
 * What a client uses of a session, its own or one in a worker.
 *
 * @typedef {Pick<Session, "start" | "cancel" | "steer" | "wake" | "close">} AnySession
 * @typedef {Pick<import("./connection.js").Connection, "state" | "error" | "retryAt">} State
 * @typedef {import("./session.js").Report | import("./steers.js").SteerReport} Report
 * @typedef {{report: (ref: string, report: Report) => void, onState: (state: State) => void}} Listener
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
  /** Takes the answer to input that was added. @type {Map<string, (error: TurnstreamError | null) => void>} */
  #steers = new Map();
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
      report: (ref, report) => {
        if ("steer" in report) this.#steers.get(ref)?.(report.steer && new TurnstreamError(report.steer));
        else (this.#turns.get(ref) ?? this.#feeds.get(ref))?.take(report);
      },
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
   * @param {{after?: number | string}} [options]
   */
  follow(conversation, { after = -1 } = {}) {
    const ref = String(this.#refs++);
    const feed = new Feed(conversation, after, () => {
      this.#feeds.delete(ref);
      this.#session.cancel(ref);
    });
    this.#feeds.set(ref, feed);
    if (this.state === "closed") feed.fail(this.#closed());
    else this.#session.start(ref, { feed: conversation, cursor: after });
    return feed;
  }

  async restore() {
    const mine = new Set(this.turns.map(({ key }) => key));
    const entries = (await this.#outbox.all()).filter(([key]) => !mine.has(key));
    return entries.map(([key, { params, id, lane, at, steers = [] }]) => {
      const create = params && { ...params, idempotency_key: key };
      const turn = this.#start(key, { create, id: id ?? null, last: -1, lane, maybeSent: true }, { at });
      for (const [idempotencyKey, input] of steers) turn.steer(input, { idempotencyKey });
      return turn;
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
   * @param {{text?: string, at?: number, kept?: Promise<void>, ref?: string}} [options] `ref`: of a turn that the session has
   */
  #start(key, request, { text, at = 0, kept, ref: given } = {}) {
    const ref = given ?? String(this.#refs++);
    let begun = given !== undefined;
    const turn = new Turn({ key, ...request, text }, {
      cancel: () => {
        if (begun) this.#session.cancel(ref);
        else turn.fail(new TurnstreamError({ code: "cancelled", message: "It was cancelled before it was sent." }));
      },
      steer: (steer) => this.#steer(turn, steer),
      // In the outbox it takes the place of the turn that it continues.
      follow: (id) => this.#start(key && id, { id, last: -1, lane: request.lane }, { at, ref: next(ref) }),
    });
    if (this.state === "closed") {
      turn.fail(this.#closed());
      return turn;
    }
    this.#turns.set(ref, turn);
    let known = given ? "" : keptOf(turn);
    const keep = () => {
      if (turn.ended) this.#turns.delete(ref);
      const now = keptOf(turn);
      // What a closed client leaves can be restored by the next.
      if (!key || now === known || this.state === "closed") return;
      known = now;
      if (!now) return this.#outbox.delete(key);
      const asked = turn.id ? { id: turn.id } : { params: request.create };
      this.#outbox.set(key, { ...asked, lane: turn.lane, at, steers: JSON.parse(now)[1] });
    };
    turn.subscribe(keep);
    if (given) keep();
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

  #steer(/** @type {Turn} */ turn, /** @type {import("./index.d.ts").Steer} */ steer) {
    const ref = String(this.#refs++);
    this.#steers.set(ref, (error) => {
      this.#steers.delete(ref);
      turn.giveBack(steer, error);
    });
    this.#session.steer(ref, { id: /** @type {string} */ (turn.id), input: steer.input, key: steer.key });
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

/** Return what the outbox has to keep of a turn, as a text: its id, and what the server has not taken; or nothing. */
function keptOf(/** @type {Turn} */ { id, ended, steers }) {
  const untaken = steers.filter(({ state }) => state === "waiting").map(({ key, input }) => [key, input]);
  return ended && !untaken.length ? "" : JSON.stringify([id, untaken]);
}
