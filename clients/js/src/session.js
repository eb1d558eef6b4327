// Sends requests over one connection that comes and goes, and reports each of their events once.
//
// All that goes in and out is plain data, so that a session can live in a worker that tabs share.
// A socket never forgets a lane, so the lanes here are a fixed few, each used again and again; the
// lanes of callers only say which requests must wait for each other.

import { backOff, Connection, CONTROL } from "./connection.js";
import { errorOf } from "./http.js";
import { Steers } from "./steers.js";
import { DELETED, Watches } from "./watches.js";

// As many turns of a socket run at once; further ones would wait at the server.
const LANES = 16;
const MOST_BYTES = 16 * 1024 * 1024;
const TOO_LARGE = { code: "request_too_large", message: "The request is too large for the server.", status: 413 };
// What the server says of a message whose lane it could not see.
const UNREAD = new Set(["request_too_large", "invalid_json"]);
const ENDS = new Set(["response.completed", "response.incomplete", "response.failed", "error", DELETED]);

/** Return whether an event is the last one of its turn, or an entry that of its feed. */
export const ends = (/** @type {{type: string}} */ event) => ENDS.has(event.type);

/** Return what the last event of a turn says of the input that was added to it. */
export const steeringOf = (/** @type {any} */ event) => event.response?.steering ?? event.steering;

/** Return the `ref` of what goes on from a turn with that input: nobody has to start it. */
export const next = (/** @type {string} */ ref) => `${ref}>`;

/**
 * What is to be asked: a new turn (`create`, with its idempotency key), a response by its `id`, or a
 * conversation to follow (`feed`, its id).
 *
 * @typedef {{create?: Record<string, unknown>, id: string | null, last: number, lane: string | null, maybeSent?: boolean}} Request
 * @typedef {{feed: string, cursor: number | string}} Follow
 *
 * @typedef {{code: string, message: string, param?: string | null, status?: number}} Problem
 * @typedef {{event: any} | {sent: boolean, refusal?: Problem} | {error: Problem}} Report
 *
 * @typedef {Request & {ref: string, wire: string | null, sent: boolean, answered: boolean, size: number,
 *   cancelling: boolean, dropped: boolean, tries: number, delayed: boolean}} Job
 */

export class Session {
  /** Requests that have not ended, in their order. @type {Map<string, Job>} */
  #jobs = new Map();
  /** What runs on each lane of the socket; least recently used first. @type {Map<string, Job | null>} */
  #wires = new Map(Array.from({ length: LANES }, (_, i) => [String(i), null]));
  /** The socket's lane that a caller's lane used last. @type {Map<string, string>} */
  #usual = new Map();
  #report;
  #retries;
  #steers;
  #watches;
  #connection;

  /**
   * @param {{base: string, token: import("./http.js").Token, WebSocket?: any, retries?: number}} options
   * @param {(ref: string, report: Report | import("./steers.js").SteerReport) => void} report
   * @param {(connection: Connection) => void} onState
   */
  constructor(options, report, onState) {
    this.#report = report;
    this.#retries = options.retries ?? 2;
    const send = (/** @type {object} */ message) => this.#connection?.send(message) ?? false;
    this.#steers = new Steers(send, report, this.#retries);
    this.#watches = new Watches(send, report, this.#retries);
    this.#connection = new Connection(options, {
      onState: () => this.#connection && onState(this.#connection),
      onOpen: () => {
        this.#watches.send();
        this.#fill();
      },
      onMessage: (message) => this.#take(message),
      onLost: (code) => this.#lost(code),
      busy: () => this.#steers.busy || this.#watches.busy || [...this.#wires.values()].some(Boolean),
    });
    onState(this.#connection);
  }

  /** Send a request, now or once there is a connection and a lane; report on it under `ref`. */
  start(/** @type {string} */ ref, /** @type {Request | Follow} */ request) {
    if ("feed" in request) return this.#watches.add(ref, request.feed, request.cursor);
    this.#jobs.set(ref, {
      ...request, ref, wire: null, sent: request.maybeSent ?? false, answered: false, size: 0,
      cancelling: false, dropped: false, tries: 0, delayed: false,
    });
    this.#fill();
  }

  /** Stop a turn, or follow a conversation no more. A turn that certainly was not sent ends here. */
  cancel(/** @type {string} */ ref) {
    this.#watches.remove((other) => other === ref);
    const job = this.#jobs.get(ref);
    if (!job || job.cancelling) return;
    job.cancelling = true;
    if (job.wire) this.#sendCancel(job);
    else if (!job.sent && !job.id) this.#fail(job, { code: "cancelled", message: "It was cancelled before it was sent." });
  }

  /** Add input to a response, now or once there is a connection; report on it under `ref`. */
  steer(/** @type {string} */ ref, /** @type {import("./steers.js").SteerRequest} */ request) {
    this.#steers.add(ref, request);
  }

  /** Report no more on the requests whose `ref` begins so; the server goes on with them. */
  drop(/** @type {string} */ prefix) {
    for (const job of this.#jobs.values()) {
      if (!job.ref.startsWith(prefix)) continue;
      if (!job.wire) this.#jobs.delete(job.ref);
      job.dropped = true;
    }
    this.#steers.drop(prefix);
    this.#watches.remove((ref) => ref.startsWith(prefix));
  }

  wake() {
    this.#connection.wake();
  }

  close() {
    this.#connection.close();
  }

  /** Send what waits, as far as there are lanes. */
  #fill() {
    if (this.#connection?.state !== "open") return;
    this.#steers.send();
    const busy = new Set();
    for (const job of this.#jobs.values()) {
      const mayStart = !job.wire && !job.delayed && !busy.has(job.lane);
      if (job.lane !== null) busy.add(job.lane);
      if (mayStart && !this.#place(job)) return;
    }
  }

  /** Send a request on a free lane; return false if there is none. */
  #place(/** @type {Job} */ job) {
    const usual = job.lane === null ? undefined : this.#usual.get(job.lane);
    const free = usual !== undefined && this.#wires.get(usual) === null;
    const wire = free ? usual : [...this.#wires].find(([, other]) => other === null)?.[0];
    if (wire === undefined) {
      // A reader that has gone can't be sent away from its lane, but a new socket has only the others.
      if ([...this.#wires.values()].some((other) => other?.dropped)) this.#connection.replace();
      return false;
    }
    const message = JSON.stringify(
      job.id === null
        ? { ...job.create, type: "response.create", stream_id: wire }
        // One event that is known is asked for too: after the last one the server would say nothing.
        : { type: "turnstream:response.resume", response_id: job.id, starting_after: Math.max(-1, job.last - 1), stream_id: wire },
    );
    job.size = message.length;
    if (job.size > MOST_BYTES) {
      this.#fail(job, TOO_LARGE);
      return true;
    }
    this.#wires.delete(wire);
    this.#wires.set(wire, job);
    if (job.lane !== null) this.#usual.set(job.lane, wire);
    Object.assign(job, { wire, sent: true, answered: false });
    this.#connection.send(message);
    this.#report(job.ref, { sent: true });
    if (job.cancelling) this.#sendCancel(job);
    return true;
  }

  #sendCancel(/** @type {Job} */ { id, wire }) {
    const cancel = { type: "response.cancel" };
    // Its refusal must not come where another turn may run by then. Without an id there is only one lane.
    this.#connection.send(id ? { ...cancel, response_id: id, stream_id: CONTROL } : { ...cancel, stream_id: wire });
  }

  #take(/** @type {any} */ message) {
    const { stream_id: wire, ...event } = message;
    if (this.#steers.take(event)) return;
    if (wire === CONTROL && event.status >= 500) return void setTimeout(() => this.#cancelAgain(), backOff(1));
    if (wire === undefined && UNREAD.has(event.error?.code)) {
      return this.#unread({ ...event.error, status: event.status });
    }
    if (this.#watches.take(wire, event)) return;
    const job = this.#wires.get(wire);
    // A cancel that came too late is refused like this, and nothing else is.
    if (!job || event.error?.code === "response_not_active") return;
    job.answered = true;
    const number = event.sequence_number;
    if (event.type === "error" && !number) return this.#refused(job, event);
    if (number === undefined || (number <= job.last && !ends(event))) return;
    // It can't be, since the server sends a response's events in order; what is missing is read again.
    if (number > job.last + 1 && !event.snapshot) return this.#connection.replace();
    job.last = Math.max(job.last, number);
    job.id ??= event.response?.id ?? null;
    if (ends(event)) this.#free(job);
    this.#report(job.ref, { event });
    if (!ends(event)) return;
    const id = steeringOf(event)?.response_id;
    if (id) this.#follow({ ...job, ref: next(job.ref), id, last: -1, create: undefined });
    this.#fill();
  }

  /** Go on with the successor of a steered turn, which the server sends on the same lane. */
  #follow(/** @type {Job} */ job) {
    this.#jobs.set(job.ref, job);
    this.#wires.set(/** @type {string} */ (job.wire), job);
    this.#report(job.ref, { sent: true });
    // The turn that was to be stopped ended before.
    if (job.cancelling) this.#sendCancel(job);
  }

  /** Deal with the refusal of a request: what may be mended by itself is sent again. */
  #refused(/** @type {Job} */ job, /** @type {any} */ { status, error, headers }) {
    if (error.code === "websocket_stream_limit_reached" && this.#wires.size > 1) {
      const wire = /** @type {string} */ (job.wire);
      this.#unplace(job);
      this.#wires.delete(wire);
      return this.#fill();
    }
    const problem = errorOf(status, error, headers?.["retry-after"]);
    const expired = error.code === "token_expired";
    const passing = expired || status === 429 || status >= 500 || error.code === "conversation_locked";
    // An answer that exists is waited for as long as it takes, and a token is renewed or the socket ends.
    const most = expired || (job.id !== null && error.code === "overloaded") ? Infinity : this.#retries;
    const plain = { code: problem.code, message: problem.message, param: problem.param, status };
    if (!passing || error.code === "insufficient_quota" || error.code === "response_lost" || job.tries >= most) {
      this.#fail(job, plain);
      return this.#fill();
    }
    this.#unplace(job, plain);
    job.delayed = true;
    const again = () => {
      job.delayed = false;
      this.#fill();
    };
    setTimeout(again, Math.max(backOff(++job.tries), (problem.retryAfter ?? 0) * 1000));
    this.#fill();
  }

  #lost(/** @type {number} */ code) {
    if (code === 1009) this.#unread(TOO_LARGE);
    this.#steers.lost();
    for (const job of this.#wires.values()) {
      if (!job) continue;
      this.#unplace(job);
      if (job.dropped) this.#jobs.delete(job.ref);
    }
  }

  /** Fail the largest request that was not answered: one was too large for the server to see its lane. */
  #unread(/** @type {Problem} */ problem) {
    const unanswered = [...this.#wires.values()].filter((job) => job && !job.answered);
    const job = unanswered.sort((a, b) => (b?.size ?? 0) - (a?.size ?? 0))[0];
    if (job) this.#fail(job, problem);
    this.#fill();
  }

  #cancelAgain() {
    for (const job of this.#jobs.values()) if (job.cancelling && job.wire) this.#sendCancel(job);
  }

  /**
   * Take a request from its lane; it is sent again later.
   *
   * @param {Job} job
   * @param {Problem} [refusal] why the server did not take it
   */
  #unplace(job, refusal) {
    if (job.wire !== null && this.#wires.get(job.wire) === job) this.#wires.set(job.wire, null);
    job.wire = null;
    this.#report(job.ref, { sent: false, refusal });
  }

  #free(/** @type {Job} */ job) {
    if (job.wire !== null) this.#wires.set(job.wire, null);
    this.#jobs.delete(job.ref);
  }

  #fail(/** @type {Job} */ job, /** @type {Problem} */ error) {
    this.#free(job);
    this.#report(job.ref, { error });
  }
}
