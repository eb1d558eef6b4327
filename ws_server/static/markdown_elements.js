// Shows tokens of Markdown as elements. Only the elements named here are ever made, attributes are set
// one by one, and text is only ever set as text; so nothing that a model writes can be unsafe.

import { CodeBlock } from "./code_block.js";
import { plain } from "./entities.js";

const ADDRESS = /^(?:https?:\/\/|mailto:)/i;
/** A list that goes on is read again from its last two items, once it has this many. */
const OPEN_ITEMS = 8;
/** Elements that have only tokens in them. */
const CONTAINERS = {
  paragraph: "p",
  blockquote: "blockquote",
  list_item: "li",
  strong: "strong",
  em: "em",
  del: "s",
  text: "span",
  row: "tr",
};
/** Their direction follows their own text. */
const BLOCKS = new Set(["paragraph", "blockquote", "list_item", "heading", "table"]);

/** What the nodes made here have in them: a `Shown`, a `CodeBlock`, or the two parts of a table. */
const inside = new WeakMap();

/** Return whether a token has a node of its own. */
export const isShown = ({ type }) => type !== "space" && type !== "def";

/** The nodes in one element that show tokens, in the same order. */
export class Shown {
  #tokens = [];
  #nodes = [];

  constructor(element) {
    this.element = element;
  }

  /** Show these tokens. A node whose token is the same stays, also while text is selected in it. */
  show(all) {
    const tokens = all.filter(isShown);
    tokens.forEach((token, at) => {
      const node = this.#nodes[at];
      if (node && (same(this.#tokens[at], token) || update(node, this.#tokens[at], token))) return;
      const made = elementOf(token);
      if (node) node.replaceWith(made);
      else this.element.append(made);
      this.#nodes[at] = made;
    });
    for (const node of this.#nodes.splice(tokens.length)) node.remove();
    this.#tokens = tokens;
  }

  /** Leave the first nodes as they are, for good. */
  close(count) {
    this.#tokens.splice(0, count);
    this.#nodes.splice(0, count);
  }

  /** Close the first items of a list that goes on; return how many characters they had. */
  closeItems() {
    const [list] = this.#tokens;
    if (this.#tokens.length !== 1 || list.type !== "list" || list.items.length < OPEN_ITEMS) return 0;
    const closed = list.items.slice(0, -2);
    const raw = closed.map((item) => item.raw).join("");
    if (!list.raw.startsWith(raw)) return 0;
    inside.get(this.#nodes[0]).close(closed.length);
    return raw.length;
  }
}

const same = (old, token) => old.type === token.type && old.raw === token.raw;

/** Change a node to show another token; return false if it has to be made anew. */
function update(node, old, token) {
  if (old.type !== token.type) return false;
  const { type } = token;
  if (type === "code") {
    if (old.lang !== token.lang || !token.text.startsWith(old.text)) return false;
    inside.get(node).write(token.text.slice(old.text.length));
  } else if (type === "table") {
    showTable(inside.get(node), token);
  } else if (node.nodeType === Node.TEXT_NODE) {
    const [before, now] = [node.data, textOf(token)];
    if (now.startsWith(before)) node.appendData(now.slice(before.length));
    else node.data = now;
  } else if (type === "codespan") {
    node.textContent = token.text;
  } else if (inside.has(node)) {
    if (old.depth !== token.depth || ADDRESS.test(old.href) !== ADDRESS.test(token.href)) return false;
    if (node.href) node.href = token.href;
    if (type === "list" && old.ordered !== token.ordered) return false;
    const [before, now] = [old.items ?? old.tokens, token.items ?? token.tokens];
    if (!before || !now) return false;
    inside.get(node).show(now);
  } else return false;
  return true;
}

function elementOf(token) {
  const { type } = token;
  if (type === "list") return listOf(token);
  if (type === "heading") return container(`h${Math.min(6, token.depth + 2)}`, token);
  if (type === "link")
    return ADDRESS.test(token.href) ? linkOf(token, token.tokens) : container("span", token);
  if (type === "image")
    return ADDRESS.test(token.href)
      ? linkOf(token, [{ type: "text", raw: token.text || token.href }])
      : textNode(token);
  if (type === "code") return codeOf(token);
  if (type === "codespan") return Object.assign(document.createElement("code"), { textContent: token.text });
  if (type === "table") return tableOf(token);
  if (type === "cell") return cellOf(token);
  if (type === "hr" || type === "br") return document.createElement(type);
  if (type === "html" && /^<br *\/?>$/i.test(token.raw)) return document.createElement("br");
  if (type === "html" && token.block) return paragraphOf(token);
  if (token.tokens && CONTAINERS[type]) return container(CONTAINERS[type], token);
  return textNode(token);
}

function container(name, token, tokens = token.tokens) {
  const element = document.createElement(name);
  if (BLOCKS.has(token.type)) element.dir = "auto";
  const shown = new Shown(element);
  inside.set(element, shown);
  shown.show(tokens);
  return element;
}

function listOf(token) {
  const list = container(token.ordered ? "ol" : "ul", token, token.items);
  if (token.ordered && token.start !== 1) list.start = token.start;
  return list;
}

/** Pictures become links too: nothing is loaded from elsewhere. */
function linkOf(token, tokens) {
  const link = container("a", token, tokens);
  link.href = token.href;
  link.target = "_blank";
  link.rel = "noopener noreferrer nofollow";
  return link;
}

function codeOf(token) {
  const block = new CodeBlock(token.lang ?? "");
  inside.set(block.element, block);
  block.write(token.text);
  return block.element;
}

function tableOf(token) {
  const element = document.createElement("div");
  // It scrolls where it is too wide, by keyboard as well.
  Object.assign(element, { className: "table", tabIndex: 0, dir: "auto" });
  const table = element.appendChild(document.createElement("table"));
  const parts = ["thead", "tbody"].map((name) => new Shown(table.appendChild(document.createElement(name))));
  inside.set(element, parts);
  showTable(parts, token);
  return element;
}

function showTable([head, body], { header, rows }) {
  head.show([rowOf(header)]);
  body.show(rows.map(rowOf));
}

function rowOf(cells) {
  const tokens = cells.map((cell) => ({ ...cell, type: "cell", raw: cell.text }));
  return { type: "row", raw: tokens.map(({ raw }) => raw).join("|"), tokens };
}

function cellOf(token) {
  const cell = container(token.header ? "th" : "td", token);
  if (token.align) cell.dataset.align = token.align;
  return cell;
}

function paragraphOf(token) {
  return Object.assign(document.createElement("p"), { textContent: token.raw.trimEnd() });
}

const textNode = (token) => document.createTextNode(textOf(token));

function textOf(token) {
  if (token.type === "checkbox") return token.checked ? "☑ " : "☐ ";
  if (token.type === "escape") return token.text;
  return token.type === "text" ? plain(token.raw) : token.raw;
}
