// Keeps one WebSocket open until it is closed for good; knows nothing of turns.
//
// A dead network does not close a socket. So what should have come is asked for, and a socket that
// stays silent is replaced. Nothing here needs a DOM: its events are listened to where there are any.

import { TurnstreamError } from "./error.js";
import { request } from "./http.js";

const KEY_PROTOCOL = "openai-insecure-api-key.";
const LONGEST_MS = 20_000;
const SHORTEST_MS = 250;
const HANDSHAKE_MS = 10_000;
// After a restart clients come back spread over this time, and from an overloaded server later.
const RESTART_MS = 2_000;
const OVERLOADED_MS = 5_000;
// A turn has an event every 15 seconds at least, so a silence of ten is worth a question.
const CHECK_MS = 2_000;
const SILENT_MS = 10_000;
const REPLY_MS = 4_000;
const NETWORK_CHANGES = ["online", "offline"];

/** Why the server closed a socket, where that is more than a cut. */
const CLOSED = new Map([
  [1012, new TurnstreamError({ code: "restarting", message: "The server is restarting." })],
  [1013, new TurnstreamError({ code: "overloaded", message: "The server has no room for more at the moment." })],
]);

/** The lane of cancels and of questions whether the server is there. */
export const CONTROL = "control";

/** Return a random delay below a bound that doubles with every failure. */
export function backOff(/** @type {number} */ failures) {
  return SHORTEST_MS + Math.random() * Math.min(LONGEST_MS, SHORTEST_MS * 2 ** failures);
}

/**
 * @typedef {object} Hooks
 * @property {() => void} onState the state, or its reason, is another one
 * @property {() => void} onOpen a socket was opened
 * @property {(message: any) => void} onMessage
 * @property {(code: number) => void} onLost an open socket has ended, with its code or 0
 * @property {() => boolean} busy whether messages are expected
 */

export class Connection {
  /** @type {import("./index.d.ts").ConnectionState} */
  state = "connecting";
  /** @type {TurnstreamError | null} */
  error = null;
  /** @type {number | null} */
  retryAt = null;
  /** @type {any} */
  #socket = null;
  #token;
  #hooks;
  #base;
  #WebSocket;
  /** Attempts since the last message. */
  #failures = 0;
  #lastMessage = 0;
  #asked = 0;
  /** @type {number | null} */
  #restartMs = null;
  #lose = (/** @type {number} */ _code) => {};
  #retryNow = () => {};

  /**
   * @param {{base: string, token: import("./http.js").Token, WebSocket?: any}} options
   * @param {Hooks} hooks
   */
  constructor({ base, token, WebSocket = globalThis.WebSocket }, hooks) {
    if (!WebSocket) throw new TypeError("There is no global WebSocket here: pass one, as that of the package ws.");
    this.#base = base;
    this.#token = token;
    this.#WebSocket = WebSocket;
    this.#hooks = hooks;
    for (const name of NETWORK_CHANGES) globalThis.addEventListener?.(name, this.replace);
    globalThis.addEventListener?.("pageshow", this.wake);
    globalThis.document?.addEventListener("visibilitychange", this.wake);
    void this.#run();
  }

  /** Send a message; return false when no socket is open. */
  send(/** @type {object | string} */ message) {
    // One that closes is no longer open before it says so.
    if (this.state !== "open" || this.#socket.readyState !== 1) return false;
    this.#socket.send(typeof message === "string" ? message : JSON.stringify(message));
    return true;
  }

  /** Try again now; ask an open socket for a sign. */
  wake = () => {
    if (globalThis.document?.hidden) return;
    this.#retryNow();
    this.#ask();
  };

  /** Give up the socket and open another. */
  replace = () => {
    this.#lose(0);
    this.#retryNow();
  };

  /** Close for good. */
  close(/** @type {TurnstreamError | null} */ error = null) {
    if (this.state === "closed") return;
    this.#become("closed", error);
    this.#lose(0);
    this.#retryNow();
    for (const name of NETWORK_CHANGES) globalThis.removeEventListener?.(name, this.replace);
    globalThis.removeEventListener?.("pageshow", this.wake);
    globalThis.document?.removeEventListener("visibilitychange", this.wake);
  }

  async #run() {
    /** @type {TurnstreamError | null} */
    let refused = null;
    while (this.state !== "closed") {
      this.#become(offline() ? "offline" : "connecting", this.error);
      let delay = backOff(++this.#failures);
      /** @type {TurnstreamError | null} */
      let problem = null;
      try {
        const token = await this.#token(refused);
        if (refused && token === null) return this.close(refused);
        if (this.#closed()) return;
        refused = null;
        const { code, openMs } = await this.#connect(token);
        if (openMs === null) problem = await this.#reason(token);
        else if (openMs > HANDSHAKE_MS || code === 1012 || code === 1001) this.#failures = 0;
        if (code === 1012) delay = this.#restartMs ?? Math.random() * RESTART_MS;
        if (code === 1013) delay += OVERLOADED_MS;
        problem ??= CLOSED.get(code) ?? null;
      } catch (error) {
        problem = error instanceof TurnstreamError ? error : noConnection(error);
      }
      if (problem?.status === 403) return this.close(problem);
      if (problem?.status === 401) refused = problem;
      // The first refusal is answered at once: somebody may have to be asked for a key.
      if (!refused || this.#failures > 1) await this.#pause(Math.max(delay, (problem?.retryAfter ?? 0) * 1000), problem);
    }
  }

  /**
   * Open a socket and wait for its end.
   *
   * @param {string | null} token
   * @returns {Promise<{code: number, openMs: number | null}>} `openMs` is null if it never opened
   */
  #connect(token) {
    const url = this.#base.replace(/^http/, "ws") + "/responses";
    const protocols = token ? ["responses", KEY_PROTOCOL + token] : ["responses"];
    /** @type {any} */
    let socket;
    try {
      socket = this.#socket = new this.#WebSocket(url, protocols);
    } catch (error) {
      const message = `The URL or the key can't be used: ${error}`;
      throw new TurnstreamError({ code: "invalid_api_key", message, status: 401 });
    }
    this.#restartMs = null;
    return new Promise((resolve) => {
      /** @type {number | null} */
      let opened = null;
      let timer = setTimeout(() => this.#lose(0), HANDSHAKE_MS);
      // On a dead network `close` never completes, so nothing waits for it.
      this.#lose = (code) => {
        clearTimeout(timer);
        this.#lose = () => {};
        socket.onopen = socket.onmessage = socket.onclose = null;
        socket.close();
        if (opened !== null && this.state !== "closed") this.#become("connecting");
        if (opened !== null) this.#hooks.onLost(code);
        resolve({ code, openMs: opened === null ? null : Date.now() - opened });
      };
      socket.onopen = () => {
        clearTimeout(timer);
        timer = setInterval(() => this.#check(), CHECK_MS);
        opened = this.#lastMessage = Date.now();
        this.#asked = 0;
        this.#become("open");
        // It also opens this lane, before all others: a server may allow few.
        this.#ask();
        this.#hooks.onOpen();
      };
      socket.onmessage = (/** @type {{data: string}} */ { data }) => {
        this.#lastMessage = Date.now();
        this.#failures = this.#asked = 0;
        const message = JSON.parse(data);
        if (message.type === "turnstream:server.draining") this.#restartMs = message.retry_after_ms;
        else if (message.type === "turnstream:token.expired") void this.#refresh(socket);
        else this.#hooks.onMessage(message);
      };
      socket.onclose = (/** @type {{code: number}} */ { code }) => this.#lose(code);
      // `ws` throws an error that nobody listens to; `onclose` follows.
      socket.onerror = () => {};
    });
  }

  /** Give the socket another token; without one the server closes it, and the next attempt asks again. */
  async #refresh(/** @type {any} */ socket) {
    const expired = new TurnstreamError({ code: "token_expired", message: "The token has expired.", status: 401 });
    const token = await this.#token(expired).catch(() => null);
    if (token !== null && socket === this.#socket) this.send({ type: "turnstream:token.refresh", token });
  }

  #closed() {
    return this.state === "closed";
  }

  /** Return why a handshake failed. */
  async #reason(/** @type {string | null} */ token) {
    try {
      await request(this.#base, token, "models");
      return null;
    } catch (error) {
      return /** @type {TurnstreamError} */ (error);
    }
  }

  /** Ask for a sign: nothing runs on this lane, so the answer comes at once and changes nothing. */
  #ask() {
    if (this.#asked) return;
    if (this.send({ type: "response.cancel", stream_id: CONTROL })) this.#asked = Date.now();
  }

  #check() {
    if (this.#asked && Date.now() - this.#asked > REPLY_MS) this.#lose(0);
    else if (this.#hooks.busy() && Date.now() - this.#lastMessage > SILENT_MS) this.#ask();
  }

  /** @returns {Promise<void>} */
  #pause(/** @type {number} */ ms, /** @type {TurnstreamError | null} */ problem) {
    if (this.state === "closed") return Promise.resolve();
    this.retryAt = Date.now() + ms;
    this.#become(offline() ? "offline" : "waiting", problem);
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#retryNow = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #become(/** @type {typeof this.state} */ state, /** @type {TurnstreamError | null} */ error = null) {
    if (state !== "waiting" && state !== "offline") this.retryAt = null;
    this.error = error;
    this.state = state;
    this.#hooks.onState();
  }
}

const offline = () => globalThis.navigator?.onLine === false;

const noConnection = (/** @type {unknown} */ error) =>
  new TurnstreamError({ code: "no_connection", message: `No key could be had: ${error}` });
