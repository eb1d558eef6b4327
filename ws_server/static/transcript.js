// Shows the path of one conversation as turns. A turn's elements are made once, however often the
// record changes; what can't be loaded now is loaded when there is a connection again.

import { path, siblings } from "./conversation.js";
import { TurnView } from "./turn_view.js";

export class Transcript {
  /** Views by the turn's key, in the order in which they are shown. */
  #views = new Map();
  #unloaded = new Set();
  #conversation = null;

  constructor(element, answers, actions) {
    Object.assign(this, { element, answers, actions });
  }

  /** Show a conversation as its record is now. */
  show(conversation) {
    if (conversation.id !== this.#conversation?.id) this.clear();
    this.#conversation = conversation;
    const turns = path(conversation);
    const keys = new Set(turns.map(({ key }) => key));
    for (const [key, view] of this.#views) if (!keys.has(key)) this.#remove(key, view);
    for (const turn of turns) {
      const view = this.#views.get(turn.key) ?? this.#add(turn);
      // Its place changes only when a view before it was removed, and then those after it were too.
      this.element.append(...(view.element.isConnected ? [] : [view.element]));
      const others = siblings(conversation, turn);
      view.place(others.indexOf(turn), others.length);
      view.turn = turn;
      view.add(turn.steers ?? []);
    }
  }

  clear() {
    for (const [key, view] of this.#views) this.#remove(key, view);
    this.#conversation = null;
  }

  view(key) {
    return this.#views.get(key);
  }

  /** The connection has changed: say so beside turns that wait, and load what is missing. */
  refresh(connected) {
    for (const view of this.#views.values()) view.refresh();
    if (connected) for (const view of this.#unloaded) this.#load(view);
  }

  #add(turn) {
    const view = new TurnView(turn, this.actions);
    this.#views.set(turn.key, view);
    this.#load(view);
    return view;
  }

  #remove(key, view) {
    this.#views.delete(key);
    this.#unloaded.delete(view);
    view.close();
  }

  async #load(view) {
    this.#unloaded.delete(view);
    const { turn } = view;
    const conversation = this.#conversation;
    if (turn.asked) view.ask(turn.asked);
    const asked = this.answers.question(turn).then((input) => view.ask(input));
    const answered = this.answers.answer(conversation, turn).then((answer) => view.follow(answer));
    const results = await Promise.allSettled([answered, asked]);
    const failed = results.find(({ status }) => status === "rejected");
    if (!failed || this.#views.get(turn.key) !== view) return;
    const gone = failed.reason.status === 404;
    if (!gone) this.#unloaded.add(view);
    if (results[0] !== failed) return;
    if (gone) view.missing("The server no longer keeps this turn.");
    else view.missing("Not loaded yet; it is tried again when there is a connection.");
  }
}
