// A block of code: its language, a button that copies it, and its text, highlighted line by line as it
// is written. A line that has ended is never read again.

import { copyButton } from "./copy.js";
import { Highlighter } from "./highlight.js";

export class CodeBlock {
  #text = "";
  /** The last line, which may go on, and its nodes. */
  #line = "";
  #nodes = [];
  #code = document.createElement("code");

  /** @param info what follows the opening fence */
  constructor(info) {
    const language = info.trim().split(/\s/)[0].toLowerCase();
    this.highlighter = new Highlighter(language);
    this.element = document.createElement("figure");
    this.element.className = "code";
    const bar = this.element.appendChild(document.createElement("figcaption"));
    bar.append(language || "code", copyButton("Copy code", () => this.#text));
    const box = this.element.appendChild(document.createElement("pre"));
    // Code keeps its direction, and scrolls by keyboard too.
    Object.assign(box, { dir: "ltr", tabIndex: 0 });
    box.append(this.#code);
  }

  write(text) {
    this.#text += text;
    const lines = (this.#line + text).split("\n");
    this.#line = lines.pop();
    for (const node of this.#nodes) node.remove();
    for (const line of lines) this.#code.append(...this.highlighter.line(line).map(nodeOf), "\n");
    this.#nodes = this.highlighter.unfinished(this.#line).map(nodeOf);
    this.#code.append(...this.#nodes);
  }
}

function nodeOf([kind, text]) {
  if (!kind) return document.createTextNode(text);
  return Object.assign(document.createElement("span"), { className: kind, textContent: text });
}
