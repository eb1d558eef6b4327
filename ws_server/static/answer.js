// The state of one answer, built from its events. Events are applied once and in order; a repeat is
// dropped and a gap is reported, so that the caller can read the log.

const ENDS = new Set(["response.completed", "response.incomplete", "response.failed", "error"]);

/** Return whether an event is the last one of its turn. */
export const ends = (event) => ENDS.has(event.type);

/** Return whether an event refuses a request. It is in no response's log: event 0 is `response.created`. */
export const refuses = (event) => event.type === "error" && !event.sequence_number;

export class Answer {
  id = null;
  text = "";
  /** sent, queued, thinking, writing; then completed, incomplete, cancelled or failed. */
  state = "sent";
  /** A status line shown beside the text. */
  note = "";
  stopping = false;
  #last = -1;

  /** @param onChange called after every change */
  constructor(onChange) {
    this.onChange = onChange;
  }

  get ended() {
    return ["completed", "incomplete", "cancelled", "failed"].includes(this.state);
  }

  /** The number of the last event that was applied. */
  get last() {
    return this.#last;
  }

  /** Apply the next event; drop a repeat. Return false when an earlier event is missing. */
  take(event) {
    // An event without a number concerns the socket, not this answer.
    if (event.sequence_number === undefined && event.type !== "error") return true;
    const number = refuses(event) ? this.#last + 1 : event.sequence_number;
    // A snapshot replaces the events before it, whose log has expired.
    if (number > this.#last + 1 && !event.snapshot) return false;
    if (number <= this.#last || this.ended) return true;
    this.#last = number;
    this.#apply(event);
    this.onChange(this);
    return true;
  }

  /** End the answer for a reason that no event gives. */
  fail(reason) {
    this.#become("failed", reason);
    this.onChange(this);
  }

  /** Show a status line without a change of state. */
  remark(note) {
    this.note = note;
    this.onChange(this);
  }

  #apply({ type, response, delta, text, queue, error }) {
    switch (type) {
      case "response.created":
        this.id = response.id;
        break;
      case "response.queued":
        return this.#become("queued", queuePlace(queue));
      case "response.in_progress":
        return this.#become("thinking", "Thinking");
      case "response.output_text.delta":
        this.text += delta;
        return this.#become("writing", "");
      case "response.output_text.done":
        this.text = text;
        break;
      case "response.completed":
        return this.#become("completed", this.text ? "" : "The model had nothing to say.");
      case "response.incomplete":
        if (response.status === "cancelled") return this.#become("cancelled", "Stopped");
        return this.#become("incomplete", "Cut off at the length limit");
      case "response.failed":
        return this.#become("failed", response.error.message);
      case "error":
        return this.#become("failed", error.message);
    }
  }

  #become(state, note) {
    Object.assign(this, { state, note });
  }
}

function queuePlace({ position, size, eta_seconds: eta, workers }) {
  const place = `Number ${position} of ${size} in the queue`;
  if (workers === 0) return `${place}. No worker is running yet; your place is kept.`;
  if (eta !== null && eta >= 1) return `${place}, about ${about(eta)}`;
  return `${place}, ${workers} ${workers === 1 ? "worker" : "workers"}`;
}

function about(seconds) {
  return seconds < 90 ? `${Math.ceil(seconds)} seconds` : `${Math.ceil(seconds / 60)} minutes`;
}
