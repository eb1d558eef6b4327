// A client whose session lives in a SharedWorker, so that tabs share one socket.
//
// It is a module of its own because React Native cannot read `import.meta`. What passes between tab
// and worker is listed in shared-worker.js.

import { Client, connect as connectAlone, sessionOptions } from "./client.js";
import { TurnstreamError } from "./error.js";
import { Session } from "./session.js";

/** Open a connection that tabs share. @returns {import("./index.d.ts").Client} */
export function connect(/** @type {import("./index.d.ts").SharedOptions} */ options) {
  const share = options.share ?? (options.token ? false : (options.key ?? ""));
  if (share === false || !globalThis.SharedWorker || options.WebSocket) return connectAlone(options);
  return new Client(options, (listener) => new WorkerSession(options, share, listener));
}

/** A session that is in a worker, or here if the worker does not start. */
class WorkerSession {
  /** What was said before the worker said anything. @type {any[] | null} */
  #early = [];
  /** @type {MessagePort | null} */
  #port = null;
  /** @type {Session | null} */
  #own = null;
  #end = new AbortController();
  #options;
  #listener;

  /**
   * @param {import("./index.d.ts").ConnectOptions} options
   * @param {string} share
   * @param {import("./client.js").Listener} listener
   */
  constructor(options, share, listener) {
    this.#options = sessionOptions(options);
    this.#listener = listener;
    try {
      const worker = new SharedWorker(new URL("./shared-worker.js", import.meta.url), { type: "module" });
      worker.onerror = () => this.#alone();
      this.#port = worker.port;
      this.#port.onmessage = ({ data }) => this.#take(data);
    } catch {
      this.#alone();
      return;
    }
    const { base, retries } = this.#options;
    this.#say({ open: { base, retries, share } });
    const { signal } = this.#end;
    // A worker learns neither that a tab is shown again nor that it has gone.
    addEventListener("pageshow", () => this.wake(), { signal });
    document.addEventListener("visibilitychange", () => document.hidden || this.wake(), { signal });
    addEventListener("pagehide", ({ persisted }) => persisted || this.#say({ bye: true }), { signal });
  }

  start(/** @type {string} */ ref, /** @type {import("./session.js").Request} */ request) {
    this.#say({ start: ref, request });
  }

  cancel(/** @type {string} */ ref) {
    this.#say({ cancel: ref });
  }

  wake() {
    this.#say({ wake: true });
  }

  close() {
    this.#say({ bye: true });
    this.#end.abort();
    this.#port?.close();
    this.#listener.onState({ state: "closed", error: null, retryAt: null });
  }

  #say(/** @type {any} */ message) {
    this.#early?.push(message);
    if (!this.#own) this.#port?.postMessage(message);
    else if (message.start !== undefined) this.#own.start(message.start, message.request);
    else if (message.cancel !== undefined) this.#own.cancel(message.cancel);
    else if (message.wake) this.#own.wake();
    else if (message.bye) this.#own.close();
  }

  async #take(/** @type {any} */ message) {
    this.#early = null;
    if (message.report) this.#listener.report(message.ref, message.report);
    else if (message.state) this.#listener.onState({ ...message.state, error: revived(message.state.error) });
    else {
      const answer = await this.#options.token(revived(message.refused)).then(
        (token) => ({ token }),
        (error) => ({ problem: String(error) }),
      );
      this.#say({ answer: message.ask, ...answer });
    }
  }

  #alone() {
    const early = this.#early;
    if (!early) return;
    this.#early = null;
    this.#port?.close();
    this.#own = new Session(this.#options, this.#listener.report, this.#listener.onState);
    for (const message of early) this.#say(message);
  }
}

const revived = (/** @type {any} */ error) => error && new TurnstreamError(error);
