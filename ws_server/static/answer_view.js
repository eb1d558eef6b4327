// Shows one answer: Markdown as it is written, JSON and calls of tools as what they are. However fast
// the slices come, the page changes once a frame.

import { CodeBlock } from "./code_block.js";
import { Markdown } from "./markdown.js";

export class AnswerView {
  element = document.createElement("div");
  #writer = null;
  #written = 0;
  #answer = null;
  #scheduled = false;
  #whole = false;

  /** @param onWhole called once all of an answer that has ended is shown */
  constructor(onWhole) {
    this.onWhole = onWhole;
    this.element.className = "answer";
  }

  /** Show an answer as it is now. */
  update(answer) {
    this.#answer = answer;
    if (this.#scheduled || this.#whole) return;
    this.#scheduled = true;
    // A tab that nobody looks at has no frames.
    if (document.hidden) setTimeout(() => this.#frame(), 100);
    else requestAnimationFrame(() => this.#frame());
  }

  #frame() {
    this.#scheduled = false;
    const { text, response, ended } = this.#answer;
    if (text.length > this.#written) {
      this.#writer ??= isJson(response) ? new JsonText(this.element) : new Markdown(this.element);
      this.#writer.write(text.slice(this.#written));
      this.#written = text.length;
    }
    if (ended) this.#writer?.end();
    if (this.#writer?.show()) return this.update(this.#answer);
    if (!ended) return;
    this.#whole = true;
    for (const item of response?.output ?? [])
      if (item.type === "function_call") this.element.append(callOf(item));
    this.onWhole();
  }
}

/** Return an element that shows a call of a tool, or the output of one. */
export function callOf({ name, arguments: given, output, status }) {
  const block = new CodeBlock("json");
  block.element.classList.add("call");
  const shown = given ?? (typeof output === "string" ? output : JSON.stringify(output));
  block.write(indented(shown));
  const label = document.createElement("p");
  label.className = "note";
  label.textContent = given === undefined ? "Output of a tool" : `Calls the tool ${name}`;
  if (status === "incomplete") label.textContent += ", cut off";
  const box = document.createElement("div");
  box.append(label, block.element);
  return box;
}

const isJson = (response) => ["json_schema", "json_object"].includes(response?.text?.format?.type);

/** Return JSON with line ends, or a text that is no JSON as it is. */
function indented(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** Shows an answer that is JSON; it gets its line ends at its end. */
class JsonText {
  #block = new CodeBlock("json");
  #text = "";
  #unshown = "";

  constructor(element) {
    element.append(this.#block.element);
  }

  write(text) {
    this.#text += text;
    this.#unshown += text;
  }

  end() {
    const whole = new CodeBlock("json");
    whole.write(indented(this.#text));
    this.#block.element.replaceWith(whole.element);
    this.#block = whole;
    this.#unshown = "";
  }

  show() {
    this.#block.write(this.#unshown);
    this.#unshown = "";
    return false;
  }
}
