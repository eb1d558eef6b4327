// The SharedWorker: one session for all tabs of one person at one service.
//
// From a tab: {open}, {start, request}, {cancel}, {ref, steer}, {wake}, {answer, token or problem}, {bye}. To a tab:
// {state}, {ref, report}, {ask, refused}: give the key, {lock}: the name of one that is held as long as
// the worker lives. A tab that crashes says nothing, so a key is
// asked of all tabs, and one answer is enough.

import { Session } from "./session.js";

/** @type {Map<string, Group>} */
const groups = new Map();

/** The name of the lock that this worker holds; null where pages have no locks. @type {string | null} */
let lock = null;

/** Hold a lock as long as this worker lives; take another if it is lost, as by clearing the site's data. */
function hold() {
  const name = `turnstream ${Math.random()}`;
  const held = () => {
    lock = name;
    for (const group of groups.values()) group.tell({ lock });
    return new Promise(() => {});
  };
  navigator.locks?.request(name, held).catch(() => lock === name && hold());
}

/** The tabs that share a session. */
class Group {
  /** Whether the session has given up. */
  closed = false;
  /** @type {Map<number, MessagePort>} */
  #ports = new Map();
  /** What was asked and not answered. @type {Map<number, {message: object, settle: (answer: any) => void}>} */
  #asked = new Map();
  #numbers = 0;
  #state = {};
  #session;

  constructor(/** @type {{base: string, retries?: number}} */ { base, retries }) {
    this.#session = new Session(
      { base, retries, token: (refused) => this.#ask(refused) },
      (ref, report) => {
        const [number, own] = ref.split(":");
        this.#ports.get(Number(number))?.postMessage({ ref: own, report });
      },
      ({ state, error, retryAt }) => {
        this.closed = state === "closed";
        this.#state = { state, error: plain(error), retryAt };
        this.tell({ state: this.#state });
      },
    );
  }

  /** Add a tab; return what takes its messages. */
  join(/** @type {MessagePort} */ port) {
    const number = this.#numbers++;
    this.#ports.set(number, port);
    port.postMessage({ state: this.#state });
    if (lock) port.postMessage({ lock });
    for (const { message } of this.#asked.values()) port.postMessage(message);
    return (/** @type {any} */ message) => this.#take(number, message);
  }

  #take(/** @type {number} */ number, /** @type {any} */ message) {
    if (message.start !== undefined) this.#session.start(`${number}:${message.start}`, message.request);
    else if (message.cancel !== undefined) this.#session.cancel(`${number}:${message.cancel}`);
    else if (message.steer) this.#session.steer(`${number}:${message.ref}`, message.steer);
    else if (message.wake) this.#session.wake();
    else if (message.answer !== undefined) this.#asked.get(message.answer)?.settle(message);
    else if (message.bye) {
      this.#ports.delete(number);
      this.#session.drop(`${number}:`);
      if (!this.#ports.size) this.#session.close();
    }
  }

  /** @returns {Promise<string | null>} */
  #ask(/** @type {import("./error.js").TurnstreamError | null} */ refused) {
    const ask = this.#numbers++;
    const message = { ask, refused: plain(refused) };
    return new Promise((resolve, reject) => {
      this.#asked.set(ask, {
        message,
        settle: ({ token, problem }) => {
          this.#asked.delete(ask);
          if (problem === undefined) resolve(token);
          else reject(new Error(problem));
        },
      });
      this.tell(message);
    });
  }

  /** Send a message to every tab. */
  tell(/** @type {object} */ message) {
    for (const port of this.#ports.values()) port.postMessage(message);
  }
}

function plain(/** @type {import("./error.js").TurnstreamError | null} */ error) {
  return error && { ...error, message: error.message };
}

/** @param {{base: string, share: string, retries?: number}} open */
function groupOf({ base, share, retries }) {
  const name = JSON.stringify([base, share]);
  let group = groups.get(name);
  if (!group || group.closed) groups.set(name, (group = new Group({ base, retries })));
  return group;
}

hold();
globalThis.addEventListener("connect", (event) => {
  const [port] = /** @type {MessageEvent} */ (event).ports;
  /** @type {((message: any) => void) | null} */
  let take = null;
  port.onmessage = ({ data }) => {
    if (take) take(data);
    else take = groupOf(data.open).join(port);
  };
});
