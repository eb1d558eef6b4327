// The page's one socket: opened, opened again whenever it is lost, and never given up.
//
// A browser does not say why a handshake failed. So after a failure the server is asked over HTTP
// whether it wants a key, and otherwise the network is to blame.

const KEY = "turnstream-key";
const KEY_PROTOCOL = "openai-insecure-api-key.";
const SHORTEST_MS = 500;
const LONGEST_MS = 20_000;
// A handshake that takes longer is given up; a socket that lived longer was a good one.
const PATIENCE_MS = 10_000;

/** The server has refused for good: trying again would not help. */
export class Refusal extends Error {}

/** Wait, a random time up to a bound that doubles with every failure. */
export function backOff(failures) {
  const most = Math.min(LONGEST_MS, SHORTEST_MS * 2 ** failures);
  return SHORTEST_MS + Math.random() * (most - SHORTEST_MS);
}

export class Connection {
  #socket = null;
  #lost = null;
  #leave = () => {};
  #hurry = () => {};
  #waiting = [];

  /**
   * @param onState called with connected, reconnecting, offline or locked, and a problem in words
   * @param onEvent called with each event, parsed
   * @param askKey gives a promise of the key, when the server wants one (or another one)
   */
  constructor({ onState, onEvent, askKey }) {
    Object.assign(this, { onState, onEvent, askKey });
    // Networks change under a sleeping page: what was open before may be dead without a word.
    for (const change of ["online", "offline"]) addEventListener(change, () => this.#replace());
    addEventListener("pageshow", (event) => event.persisted && this.#replace());
    document.addEventListener("visibilitychange", () => document.hidden || this.#hurry());
  }

  /** Keep a socket open for as long as the page lives. One loop, so never two at once. */
  async run() {
    for (let failures = 0; ; failures++) {
      const lived = await this.#live();
      if (lived > PATIENCE_MS) failures = 0;
      const problem = lived === null ? await this.#refused() : "";
      this.onState(navigator.onLine ? "reconnecting" : "offline", problem ?? "");
      if (problem === null) failures = -1;
      else await this.#pause(backOff(failures));
    }
  }

  /** Send one message; false when there is no socket to send it on. */
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
          // What is no object only says that the stream is over.
          if (at >= 0 && block[at + "data: ".length] === "{") yield JSON.parse(block.slice(at + "data: ".length));
        }
      }
    } finally {
      reader.cancel().catch(() => {});
    }
  }

  /** Open a socket and wait for its end: milliseconds it lived, or null if it never opened. */
  #live() {
    const socket = (this.#socket = new WebSocket(socketUrl(), protocols()));
    const lost = new AbortController();
    this.#lost = lost.signal;
    return new Promise((resolve) => {
      let opened = null;
      // A dead network lets no socket close: what is given up is not waited for.
      this.#leave = () => {
        clearTimeout(deadline);
        socket.onopen = socket.onmessage = socket.onclose = null;
        socket.close();
        lost.abort();
        resolve(opened === null ? null : performance.now() - opened);
      };
      const deadline = setTimeout(this.#leave, PATIENCE_MS);
      socket.onopen = () => {
        clearTimeout(deadline);
        opened = performance.now();
        this.onState("connected", "");
        for (const go of this.#waiting.splice(0)) go();
      };
      socket.onmessage = ({ data }) => this.onEvent(JSON.parse(data));
      socket.onclose = this.#leave;
    });
  }

  /** Ask why nobody opens: null once another key is here, else the reason in words, if there is one. */
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
      this.#hurry = resolve;
      setTimeout(resolve, ms);
    });
  }

  #replace() {
    this.#leave();
    this.#hurry();
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
