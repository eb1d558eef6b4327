// The elements of one turn: its question, its answer as it grows, where it is, and what can be done.

import { AnswerView, callOf } from "./answer_view.js";
import { copyButton } from "./copy.js";
import { noteOf, stateOf } from "./notes.js";
import { QueueLine } from "./queue_line.js";

export class TurnView {
  element = document.createElement("article");
  #question = made("div", "question");
  #answer = new AnswerView(() => this.#whole());
  #queue = new QueueLine();
  #note = made("p", "note");
  #step = made("div", "step");
  #goOn = button("Continue", "Continue the answer", () => this.actions.goOn(this.turn.key));
  #tools = made("div", "tools");
  #added = made("div", "added");
  #shown = null;
  #unsubscribe = () => {};
  #followed = false;
  /** The state that was announced. */
  #place = "";

  /**
   * @param turn its record
   * @param actions what the page does: again, goOn, edit, step, announce; and its client
   */
  constructor(turn, actions) {
    Object.assign(this, { turn, actions });
    this.element.className = "turn";
    this.element.setAttribute("aria-busy", "true");
    const asked = made("div", "tools asked");
    asked.append(
      button("Edit", "Edit the question", () => this.#edit()),
      copyButton("Copy the question", () => this.#question.innerText),
    );
    this.#goOn.classList.add("continue");
    this.#tools.append(
      this.#step,
      this.#goOn,
      copyButton("Copy the answer", () => this.#shown?.text ?? ""),
      button("Try again", "Try again: ask for another answer", () => actions.again(this.turn.key)),
    );
    this.element.append(
      this.#question,
      asked,
      this.#answer.element,
      this.#queue.element,
      this.#note,
      this.#tools,
      this.#added,
    );
    this.#tools.hidden = true;
  }

  /** Show what was asked: a text, or items. */
  ask(input) {
    this.input = input;
    const items = typeof input === "string" ? [{ role: "user", content: input }] : input;
    this.#question.replaceChildren(...items.map(itemOf));
    this.#question.hidden = !items.length;
  }

  /** Show what was added and is not part of a turn yet. */
  add(steers) {
    const inputs = steers.map(({ input }) => ({ role: "user", content: input }));
    this.#added.replaceChildren(...inputs.map(itemOf));
  }

  /** Show an answer, and go on with it until it has ended. */
  follow(answer) {
    this.#unsubscribe();
    this.#followed = !answer.ended;
    this.#shown = answer;
    this.#unsubscribe = answer.subscribe?.(() => this.refresh()) ?? (() => {});
    this.refresh();
  }

  /** Say why the turn can't be shown. */
  missing(words) {
    this.#note.textContent = words;
    this.element.dataset.state = "missing";
    this.element.setAttribute("aria-busy", "false");
  }

  /** Show the turn as it is now. */
  refresh() {
    const answer = this.#shown;
    if (!answer) return;
    const state = stateOf(answer);
    this.element.dataset.state = state;
    if (answer.id ?? answer.response) this.element.dataset.response = answer.id ?? answer.response.id;
    this.#queue.update(state === "queued" ? answer.queue : null);
    this.#note.textContent = noteOf(answer, this.actions.client);
    this.#goOn.hidden = !isCut(answer);
    this.#answer.update(answer);
    const place = state === "queued" && answer.queue?.position === 1 ? "next" : state;
    if (place !== this.#place && state === "queued") this.actions.announce(this.#queue.element.textContent);
    this.#place = place;
  }

  /** Show which of several siblings this is. */
  place(at, count) {
    this.#step.hidden = count < 2;
    const to = (by, label, sign) => {
      const arrow = button(sign, label, () => this.actions.step(this.turn.key, by));
      arrow.disabled = at + by < 0 || at + by >= count;
      return arrow;
    };
    const text = Object.assign(made("span", ""), { textContent: `${at + 1} / ${count}` });
    this.#step.replaceChildren(to(-1, "Previous version", "‹"), text, to(1, "Next version", "›"));
    if (count > 1) this.#tools.hidden = false;
  }

  /** Put the focus where a version is chosen. */
  focus() {
    (this.#step.querySelector("button:enabled") ?? this.element).focus();
  }

  /** Begin to edit the question. */
  edit() {
    this.#edit();
  }

  close() {
    this.#unsubscribe();
    this.element.remove();
  }

  #whole() {
    this.element.setAttribute("aria-busy", "false");
    this.#tools.hidden = false;
    if (this.#followed)
      this.actions.announce(`${this.#answer.element.textContent} ${this.#note.textContent}`.trim());
  }

  #edit() {
    if (this.element.querySelector("form") || this.input === undefined) return;
    const form = made("form", "edit");
    const field = document.createElement("textarea");
    Object.assign(field, { value: textOf(this.input), dir: "auto", rows: 3 });
    field.setAttribute("aria-label", "Edited question");
    const send = Object.assign(
      button("Ask", "Ask this instead", () => {}),
      { type: "submit" },
    );
    const end = () => {
      form.remove();
      this.#question.hidden = false;
    };
    form.append(field, button("Cancel", "Cancel the edit", end), send);
    form.onsubmit = (event) => {
      event.preventDefault();
      end();
      if (field.value.trim()) this.actions.edit(this.turn.key, field.value.trim());
    };
    field.onkeydown = (event) => {
      if (event.key === "Escape") end();
      else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) form.requestSubmit();
      else return;
      event.preventDefault();
      event.stopPropagation();
    };
    this.#question.hidden = true;
    this.#question.after(form);
    field.focus();
  }
}

/** Return whether an answer goes on if it is asked for: calls of tools want their outputs instead. */
function isCut({ state, response }) {
  return (
    state === "incomplete" &&
    response?.incomplete_details?.reason === "max_output_tokens" &&
    response.output.every(({ type }) => type === "message")
  );
}

/** Return the text that a person wrote. */
function textOf(input) {
  if (typeof input === "string") return input;
  return input
    .filter(({ role }) => role === "user")
    .map(contentOf)
    .join("\n\n");
}

function contentOf({ content }) {
  return typeof content === "string" ? content : content.map((part) => part.text ?? "").join("");
}

function itemOf(item) {
  if (item.type === "function_call" || item.type === "function_call_output") return callOf(item);
  const text = Object.assign(made("div", "said"), { textContent: contentOf(item), dir: "auto" });
  if (item.role !== "user") text.prepend(Object.assign(made("span", "role"), { textContent: item.role }));
  return text;
}

function made(name, className) {
  return Object.assign(document.createElement(name), { className });
}

function button(text, label, onclick) {
  const made = Object.assign(document.createElement("button"), {
    type: "button",
    textContent: text,
    onclick,
  });
  made.setAttribute("aria-label", label);
  return made;
}
