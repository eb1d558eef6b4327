// One answer as it grows: events go in, each counted once and in order; what to show comes out.

const ENDS = new Set(["response.completed", "response.incomplete", "response.failed", "error"]);

/** Whether nothing follows an event in its turn. */
export const ends = (event) => ENDS.has(event.type);

export class Answer {
  id = null;
  text = "";
  /** sent, queued, thinking, writing; then completed, incomplete, cancelled or failed. */
  state = "sent";
  /** What there is to say beside the text, in words. */
  note = "";
  stopping = false;
  #last = -1;

  /** @param onChange called after every step */
  constructor(onChange) {
    this.onChange = onChange;
  }

  get ended() {
    return ["completed", "incomplete", "cancelled", "failed"].includes(this.state);
  }

  /** Number of the last event taken in. */
  get last() {
    return this.#last;
  }

  /** Take in the next event; a repeat is dropped. False when one before it is missing. */
  take(event) {
    // Without a number it is about the request, or no part of an answer at all.
    if (event.sequence_number === undefined && event.type !== "error") return true;
    const number = event.sequence_number ?? this.#last + 1;
    // A snapshot stands for all that came before it, which nobody keeps any more.
    if (number > this.#last + 1 && !event.snapshot) return false;
    if (number <= this.#last || this.ended) return true;
    this.#last = number;
    this.#apply(event);
    this.onChange(this);
    return true;
  }

  /** End it here, for a reason that no event gives. */
  fail(reason) {
    this.#become("failed", reason);
    this.onChange(this);
  }

  /** Say something about it in passing. */
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
        return this.#become("queued", inLine(queue));
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

function inLine({ position, size, eta_seconds: eta, workers }) {
  const place = `Number ${position} of ${size} in line`;
  if (workers === 0) return `${place}. No worker is here to answer yet; the place is kept.`;
  if (eta !== null && eta >= 1) return `${place}, about ${about(eta)}`;
  return `${place}, ${workers} ${workers === 1 ? "worker" : "workers"}`;
}

function about(seconds) {
  return seconds < 90 ? `${Math.ceil(seconds)} seconds` : `${Math.ceil(seconds / 60)} minutes`;
}
