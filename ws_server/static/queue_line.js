// Shows a turn's place in the queue: in words, and as a bar that moves between two notices too.

/** Shows where a turn is that waits. */
export class QueueLine {
  element = document.createElement("div");
  #words = this.element.appendChild(document.createElement("p"));
  #bar = this.element.appendChild(document.createElement("progress"));
  #queue = null;
  /** When the place was told, when the first one was, and what that was. */
  #told = 0;
  #began = 0;
  #first = 1;
  #timer = null;

  constructor() {
    this.element.className = "queue";
    this.element.hidden = true;
    this.#bar.max = 1;
    this.#bar.setAttribute("aria-label", "Way through the queue");
  }

  /** @param queue a place as turnstream.js has it, or null when the turn does not wait any more */
  update(queue) {
    if (queue === this.#queue) return;
    this.#queue = queue;
    this.element.hidden = !queue;
    clearInterval(this.#timer);
    if (!queue) return;
    this.#told = performance.now();
    this.#began ||= this.#told;
    this.#first = Math.max(this.#first, queue.position);
    this.#timer = setInterval(() => this.#show(), 1000);
    this.#show();
  }

  #show() {
    if (!this.element.isConnected && this.#bar.value) return clearInterval(this.#timer);
    const now = performance.now();
    const { eta_seconds: eta, position } = this.#queue;
    const left = eta === null ? null : Math.max(0, eta - (now - this.#told) / 1000);
    this.#words.textContent = place(this.#queue, left);
    const passed = (now - this.#began) / 1000;
    const way = left === null ? 1 - position / this.#first : passed / (passed + left || 1);
    // The estimate may grow; the bar does not go back.
    this.#bar.value = Math.max(this.#bar.value, Math.min(way, 0.98));
  }
}

/** Return a place in words. */
export function place({ position, size, workers }, left) {
  const words = position === 1 ? "You are next" : `Number ${position} of ${size} in the queue`;
  if (workers === 0) return `${words}. No worker is running yet; your place is kept.`;
  if (left !== null && left >= 1) return `${words}, about ${about(left)}`;
  return position === 1 ? `${words}.` : `${words}, ${workers} ${workers === 1 ? "worker" : "workers"}`;
}

function about(seconds) {
  if (seconds < 90) return seconds < 1.5 ? "a second" : `${Math.round(seconds)} seconds`;
  return `${Math.ceil(seconds / 60)} minutes`;
}
