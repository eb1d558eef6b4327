// Reads Markdown into tokens, by the library marked. Its tokens are data: no HTML is ever written.

import { Marked } from "./vendor/marked.esm.js";

// Formulas stay as they were written; without this the escapes and underscores in them would go.
const FORMULA = /^(?:\$\$[^$]+\$\$|\\\[[\s\S]+?\\\]|\\\([^\n]+?\\\)|\$(?=\S)[^$\n]*[^\s$\\]\$(?!\d))/;

const formula = {
  name: "formula",
  level: "inline",
  start: (text) => text.match(/\$|\\[[(]/)?.index,
  tokenizer(text) {
    const found = FORMULA.exec(text);
    return found ? { type: "formula", raw: found[0], text: found[0] } : undefined;
  },
};

// An address that is defined for the rest of a text would change what is shown of it already; its line
// stays as it was written, with a link.
const tokenizer = { def: () => undefined };

const marked = new Marked({ gfm: true, breaks: true, extensions: [formula], tokenizer });

/** Return the block tokens of a text. */
export const tokensOf = (text) => marked.lexer(text);
