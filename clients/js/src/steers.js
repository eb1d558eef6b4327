// Sends input for responses that are being answered, until the server has said whether it took it.
//
// Each has an idempotency key, so that it is sent again after a loss as it is. What the server gives
// back later is not looked at here: the last event of the response says it too.

import { backOff, CONTROL } from "./connection.js";

const ANSWERS = new Set(["response.steer.accepted", "response.steer.failed"]);

/**
 * Input for the response `id`, and the answer: null if the server took it.
 *
 * @typedef {{id: string, input: unknown, key: string}} SteerRequest
 * @typedef {{steer: import("./session.js").Problem | null}} SteerReport
 */

export class Steers {
  /** What was not answered. @type {Map<string, SteerRequest & {sent: boolean, tries: number}>} */
  #waiting = new Map();
  #send;
  #report;
  #retries;

  /**
   * @param {(message: object) => boolean} send returns false without a connection
   * @param {(ref: string, report: SteerReport) => void} report
   * @param {number} retries
   */
  constructor(send, report, retries) {
    this.#send = send;
    this.#report = report;
    this.#retries = retries;
  }

  /** Whether answers are expected. */
  get busy() {
    return this.#waiting.size > 0;
  }

  add(/** @type {string} */ ref, /** @type {SteerRequest} */ request) {
    this.#waiting.set(ref, { ...request, sent: false, tries: 0 });
    this.send();
  }

  /** Send what was not sent. */
  send() {
    for (const steer of this.#waiting.values()) {
      const { id, input, key } = steer;
      const message = { type: "response.steer", previous_response_id: id, input, idempotency_key: key };
      if (!steer.sent) steer.sent = this.#send({ ...message, stream_id: CONTROL });
    }
  }

  /** The connection was lost, and with it perhaps the answers. */
  lost() {
    for (const steer of this.#waiting.values()) steer.sent = false;
  }

  /** Forget those whose `ref` begins so. */
  drop(/** @type {string} */ prefix) {
    for (const ref of this.#waiting.keys()) if (ref.startsWith(prefix)) this.#waiting.delete(ref);
  }

  /** Take a message if it is an answer; return whether it is. */
  take(/** @type {any} */ { type, steer: answered, error = null }) {
    if (!ANSWERS.has(type)) return false;
    for (const [ref, steer] of this.#waiting) {
      if (steer.key !== answered.idempotency_key) continue;
      if (error?.code === "overloaded" && steer.tries < this.#retries) {
        const again = () => {
          steer.sent = false;
          this.send();
        };
        setTimeout(again, backOff(++steer.tries));
      } else {
        this.#waiting.delete(ref);
        this.#report(ref, { steer: error });
      }
    }
    return true;
  }
}
