// A block of code: its language, a button that copies it, and its text, highlighted line by line as it
// is written. A line that has ended is never read again.

import { copyButton } from "./copy.js";
import { Highlighter } from "./highlight.js";

/** Lines in one box; a browser lays out anew only the box that grows. */
const BOX_LINES = 40;

export class CodeBlock {
  #text = "";
  /** The last line, which may go on, and its nodes. */
  #line = "";
  #nodes = [];
  #code = document.createElement("code");
  #box = null;
  #boxed = BOX_LINES;

  /** @param info what follows the opening fence */
  constructor(info) {
    const language = info.trim().split(/\s/)[0].toLowerCase();
    this.highlighter = new Highlighter(language);
    this.element = document.createElement("figure");
    this.element.className = "code";
    const bar = this.element.appendChild(document.createElement("figcaption"));
    bar.append(
      language || "code",
      copyButton("Copy code", () => this.#text),
    );
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
    for (const line of lines) this.#append([...this.highlighter.line(line).map(nodeOf), "\n"]);
    this.#nodes = this.highlighter.unfinished(this.#line).map(nodeOf);
    if (this.#nodes.length) this.#append(this.#nodes, 0);
  }

  #append(nodes, lines = 1) {
    if (this.#boxed >= BOX_LINES) {
      this.#box = this.#code.appendChild(document.createElement("span"));
      this.#box.className = "lines";
      this.#boxed = 0;
    }
    this.#box.append(...nodes);
    this.#boxed += lines;
  }
}

function nodeOf([kind, text]) {
  if (!kind) return document.createTextNode(text);
  return Object.assign(document.createElement("span"), { className: kind, textContent: text });
}
