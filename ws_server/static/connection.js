// Keeps the page's one WebSocket open and reconnects for as long as the page lives.
//
// A browser does not tell why a handshake failed. After a failure the page asks over HTTP whether
// the server requires a key; any other failure counts as a network problem.

const KEY = "turnstream-key";
const KEY_PROTOCOL = "openai-insecure-api-key.";
const SHORTEST_MS = 500;
const LONGEST_MS = 20_000;
// Time limit of a handshake; a socket that stayed open longer resets the back-off.
const HANDSHAKE_MS = 10_000;

/** A refusal by the server that a retry would not change. */
export class Refusal extends Error {}

/** Return a random delay in milliseconds, below a bound that doubles with every failure. */
export function backOff(failures) {
  const most = Math.min(LONGEST_MS, SHORTEST_MS * 2 ** failures);
  return SHORTEST_MS + Math.random() * (most - SHORTEST_MS);
}

export class Connection {
  #socket = null;
  #lost = null;
  #disconnect = () => {};
  #retryNow = () => {};
  #waiting = [];

  /**
   * @param onState called with connected, reconnecting, offline or locked, and a problem in words
   * @param onEvent called with each event, parsed
   * @param askKey returns a promise of the key, when the server requires one or rejected the last
   */
  constructor({ onState, onEvent, askKey }) {
    Object.assign(this, { onState, onEvent, askKey });
    // The network may have changed while the page slept, and a dead socket does not report it.
    for (const change of ["online", "offline"]) addEventListener(change, () => this.#replace());
    addEventListener("pageshow", (event) => event.persisted && this.#replace());
    document.addEventListener("visibilitychange", () => document.hidden || this.#retryNow());
  }

  /** Keep one socket open for as long as the page lives. */
  async run() {
    for (let failures = 0; ; failures++) {
      const openMs = await this.#connect();
      if (openMs > HANDSHAKE_MS) failures = 0;
      const problem = openMs === null ? await this.#refused() : "";
      this.onState(navigator.onLine ? "reconnecting" : "offline", problem ?? "");
      if (problem === null) failures = -1;
      else await this.#pause(backOff(failures));
    }
  }

  /** Send one message; return false when no socket is open. */
  send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  /** Wait until there is a connection. */
  connected() {
    if (this.#socket?.readyState === WebSocket.OPEN) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Return the names of the models that are served, the default one first. */
  async models() {
    const answer = await fetch("v1/models", { headers: headers(), cache: "no-store", signal: this.#lost });
    if (!answer.ok) throw new Error(answer.statusText);
    return (await answer.json()).data.map(({ id }) => id);
  }

  /** Read a response's events after a number from the server's log, then live, over HTTP. */
  async *replay(id, after) {
    await this.connected();
    const path = `v1/responses/${id}?stream=true&starting_after=${after}`;
    const answer = await fetch(path, { headers: headers(), cache: "no-store", signal: this.#lost });
    if (!answer.ok) {
      const { error } = await answer.json();
      throw answer.status < 500 ? new Refusal(error.message) : new Error(error.message);
    }
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    try {
      let rest = "";
      for (let part; !(part = await reader.read()).done; ) {
        const blocks = (rest + part.value).split("\n\n");
        rest = blocks.pop();
        for (const block of blocks) {
          const at = block.indexOf("data: ");
          // `[DONE]` ends a stream and is not JSON.
          if (at >= 0 && block[at + "data: ".length] === "{") yield JSON.parse(block.slice(at + "data: ".length));
        }
      }
    } finally {
      reader.cancel().catch(() => {});
    }
  }

  /** Open a socket and wait for its end; return its lifetime in milliseconds, or null if it never opened. */
  #connect() {
    const socket = (this.#socket = new WebSocket(socketUrl(), protocols()));
    const lost = new AbortController();
    this.#lost = lost.signal;
    return new Promise((resolve) => {
      let opened = null;
      // On a dead network `close` never completes, so nothing waits for it.
      this.#disconnect = () => {
        clearTimeout(deadline);
        socket.onopen = socket.onmessage = socket.onclose = null;
        socket.close();
        lost.abort();
        resolve(opened === null ? null : performance.now() - opened);
      };
      const deadline = setTimeout(this.#disconnect, HANDSHAKE_MS);
      socket.onopen = () => {
        clearTimeout(deadline);
        opened = performance.now();
        this.onState("connected", "");
        for (const go of this.#waiting.splice(0)) go();
      };
      socket.onmessage = ({ data }) => this.onEvent(JSON.parse(data));
      socket.onclose = this.#disconnect;
    });
  }

  /** Find out why the handshake failed: return null once a new key was entered, else the reason, or "". */
  async #refused() {
    try {
      const answer = await fetch("v1/models", { headers: headers(), cache: "no-store" });
      if (answer.ok) return "";
      const { error } = await answer.json();
      if (answer.status !== 401) return error.message;
      this.onState("locked", "");
      sessionStorage.setItem(KEY, await this.askKey(sessionStorage.getItem(KEY) ? error.message : ""));
      return null;
    } catch {
      return "";
    }
  }

  #pause(ms) {
    return new Promise((resolve) => {
      this.#retryNow = resolve;
      setTimeout(resolve, ms);
    });
  }

  #replace() {
    this.#disconnect();
    this.#retryNow();
  }
}

function socketUrl() {
  return new URL("v1/responses", location).href.replace(/^http/, "ws");
}

function headers() {
  const key = sessionStorage.getItem(KEY);
  return key ? { authorization: `Bearer ${key}` } : {};
}

function protocols() {
  const key = sessionStorage.getItem(KEY);
  return key ? ["responses", KEY_PROTOCOL + key] : ["responses"];
}
