// A client whose session lives in a SharedWorker, so that tabs share one socket.
//
// It is a module of its own because React Native cannot read `import.meta`. What passes between tab
// and worker is listed in shared-worker.js. The worker may end with the tab in whose process it was, so
// each tab knows how far its requests are, and starts them again in the next one.

import { Client, connect as connectAlone, sessionOptions } from "./client.js";
import { TurnstreamError } from "./error.js";
import { ends, next, Session, steeringOf } from "./session.js";

// A worker that has said nothing by then will not.
const START_MS = 10_000;

/** Open a connection that tabs share. @returns {import("./index.d.ts").Client} */
export function connect(/** @type {import("./index.d.ts").SharedOptions} */ options) {
  const share = options.share ?? (options.token ? false : (options.key ?? ""));
  if (share === false || !globalThis.SharedWorker || options.WebSocket) return connectAlone(options);
  return new Client(options, (listener) => new WorkerSession(options, share, listener));
}

/** A session that is in a worker, or here if the worker does not start. */
class WorkerSession {
  /** @type {Map<string, {request: import("./session.js").Request, cancelled: boolean}>} */
  #requests = new Map();
  /** @type {Map<string, import("./steers.js").SteerRequest>} */
  #steers = new Map();
  /** @type {MessagePort | null} */
  #port = null;
  /** @type {Session | null} */
  #own = null;
  /** @type {string | null} */
  #lock = null;
  #end = new AbortController();
  #options;
  #share;
  #listener;

  /**
   * @param {import("./index.d.ts").ConnectOptions} options
   * @param {string} share
   * @param {import("./client.js").Listener} listener
   */
  constructor(options, share, listener) {
    this.#options = sessionOptions(options);
    this.#share = share;
    this.#listener = listener;
    this.#open();
    const { signal } = this.#end;
    // A worker learns neither that a tab is shown again nor that it has gone.
    addEventListener("pageshow", () => this.wake(), { signal });
    document.addEventListener("visibilitychange", () => document.hidden || this.wake(), { signal });
    addEventListener("pagehide", ({ persisted }) => persisted || this.#port?.postMessage({ bye: true }), { signal });
  }

  start(/** @type {string} */ ref, /** @type {import("./session.js").Request} */ request) {
    this.#requests.set(ref, { request, cancelled: false });
    this.#own?.start(ref, request);
    this.#port?.postMessage({ start: ref, request });
  }

  cancel(/** @type {string} */ ref) {
    const known = this.#requests.get(ref);
    if (known) known.cancelled = true;
    this.#own?.cancel(ref);
    this.#port?.postMessage({ cancel: ref });
  }

  steer(/** @type {string} */ ref, /** @type {import("./steers.js").SteerRequest} */ steer) {
    this.#steers.set(ref, steer);
    this.#own?.steer(ref, steer);
    this.#port?.postMessage({ ref, steer });
  }

  wake() {
    this.#own?.wake();
    this.#port?.postMessage({ wake: true });
  }

  close() {
    this.#end.abort();
    this.#port?.postMessage({ bye: true });
    this.#port?.close();
    if (this.#own) this.#own.close();
    else this.#listener.onState({ state: "closed", error: null, retryAt: null });
  }

  #reopen(/** @type {MessagePort} */ port) {
    // A worker that lives would go on to report here.
    port.postMessage({ bye: true });
    port.close();
    this.#open();
  }

  #open() {
    try {
      const worker = new SharedWorker(new URL("./shared-worker.js", import.meta.url), { type: "module" });
      const port = (this.#port = worker.port);
      const timer = setTimeout(() => this.#alone(), START_MS);
      worker.onerror = () => {
        clearTimeout(timer);
        this.#alone();
      };
      port.onmessage = ({ data }) => {
        clearTimeout(timer);
        worker.onerror = null;
        void this.#take(port, data);
      };
      const { base, retries } = this.#options;
      port.postMessage({ open: { base, retries, share: this.#share } });
      this.#restart();
    } catch {
      this.#alone();
    }
  }

  async #take(/** @type {MessagePort} */ port, /** @type {any} */ message) {
    if (message.report) {
      this.#note(message.ref, message.report);
      this.#listener.report(message.ref, message.report);
    } else if (message.state) {
      this.#listener.onState({ ...message.state, error: revived(message.state.error) });
    } else if (message.lock && message.lock !== this.#lock) {
      // It is free when the worker has ended, or has lost it while it lives: then the same worker may
      // name it once more before it has another, and to open again for that would never end.
      this.#lock = message.lock;
      const { signal } = this.#end;
      navigator.locks.request(message.lock, { signal }, () => this.#reopen(port)).catch(() => {});
    } else {
      const answer = await this.#options.token(revived(message.refused)).then(
        (token) => ({ token }),
        (error) => ({ problem: String(error) }),
      );
      port.postMessage({ answer: message.ask, ...answer });
    }
  }

  /** Note how far a request is. */
  #note(/** @type {string} */ ref, /** @type {any} */ { event, error }) {
    const known = this.#requests.get(ref);
    const request = known?.request;
    this.#steers.delete(ref);
    if (error || (event && ends(event))) this.#requests.delete(ref);
    const id = event && ends(event) && steeringOf(event)?.response_id;
    if (known && id) this.#requests.set(next(ref), { ...known, request: { id, last: -1, lane: known.request.lane } });
    else if (request && event) {
      request.last = event.sequence_number;
      request.id ??= event.response?.id ?? null;
    }
  }

  #alone() {
    if (this.#end.signal.aborted) return;
    this.#port?.close();
    this.#port = null;
    this.#own = new Session(this.#options, this.#listener.report, this.#listener.onState);
    this.#restart();
  }

  #restart() {
    for (const [ref, { request, cancelled }] of this.#requests) {
      this.start(ref, { ...request, maybeSent: true });
      if (cancelled) this.cancel(ref);
    }
    for (const [ref, steer] of this.#steers) this.steer(ref, steer);
  }
}

const revived = (/** @type {any} */ error) => error && new TurnstreamError(error);
