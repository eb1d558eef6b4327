// Finds comments, strings, numbers and keywords in a line of code, of any common language; what is open
// at a line's end is remembered for the next one. It need not be right always, only linear.

const HASH = "#[^\\n]*";
const SLASHES = "\\/\\/[^\\n]*";
/** How comments of one line begin. */
const COMMENTS = {
  [HASH]: words(`py python sh bash shell zsh console yaml yml toml ini ruby rb perl r dockerfile makefile
    make elixir nix`),
  [SLASHES]: words(`js javascript jsx ts typescript tsx mjs java c h cpp c++ cs csharp go rust rs swift
    kotlin php scala dart zig css scss json jsonc`),
  "--[^\\n]*": words("sql lua haskell hs ada"),
};
/** What opens a comment or string of several lines, and what closes it. */
const SPANS = { "/*": "*/", '"""': '"""', "'''": "'''", "<!--": "-->" };
const SPAN_KINDS = { "/*": "comment", "<!--": "comment" };
const STRING = /"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?|`(?:\\.|[^`\\])*`?/.source;
const KEYWORDS = words(`abstract and as assert async auto await begin bool boolean break by case catch char
  class const continue create def default defer del delete do done double echo elif else elsif end enum esac
  except export extends extern false finally float fn for foreach from func function go goto group if impl
  implements import in include inline insert instanceof int interface into is join lambda let limit local long
  loop make match mod module mut namespace new nil none not null of on operator or order override package pass
  private protected pub public raise readonly require return select self set static str string struct super
  switch table template then this throw throws trait true try type typedef typeof undefined union unless
  unsafe until update use using values var virtual void volatile when where while with yield`);
const PLAIN = new Set(["", "text", "txt", "plain", "plaintext", "md", "markdown", "csv", "log"]);

export class Highlighter {
  #pattern;
  /** What closes the comment or string that is open, and its kind. */
  #open = null;

  constructor(language) {
    if (PLAIN.has(language)) return;
    const comment = Object.keys(COMMENTS).find((key) => COMMENTS[key].has(language));
    // An apostrophe in the text of HTML begins no string.
    const markup = ["html", "xml", "svg", "vue"].includes(language);
    const spans = markup ? "<!--" : comment === HASH ? "\"\"\"|'''" : "\\/\\*";
    const strings = markup ? '"[^"]*"' : STRING;
    const parts = [`(?<span>${spans})`, comment && `(?<comment>${comment})`, `(?<string>${strings})`];
    parts.push(
      "(?<number>\\b(?:0x[\\da-f]+|\\d[\\d_]*(?:\\.\\d+)?(?:e[+-]?\\d+)?)\\b)",
      "(?<word>[\\p{L}_$][\\p{L}\\p{N}_$]*)",
    );
    this.#pattern = new RegExp(parts.filter(Boolean).join("|"), "giu");
  }

  /** Return the parts of a line that has ended, each a kind (or "") and its text. */
  line(text) {
    return this.#parts(text);
  }

  /** Return those of a line that may go on. */
  unfinished(text) {
    const open = this.#open;
    const parts = this.#parts(text);
    this.#open = open;
    return parts;
  }

  #parts(text) {
    if (!this.#pattern || !text) return text ? [["", text]] : [];
    const parts = [];
    const add = (kind, part) => {
      if (!part) return;
      if (!kind && parts.length && !parts.at(-1)[0]) parts.at(-1)[1] += part;
      else parts.push([kind, part]);
    };
    let at = 0;
    while (at < text.length) {
      if (this.#open) {
        const end = text.indexOf(this.#open.close, at);
        const stop = end < 0 ? text.length : end + this.#open.close.length;
        add(this.#open.kind, text.slice(at, stop));
        if (end >= 0) this.#open = null;
        at = stop;
        continue;
      }
      this.#pattern.lastIndex = at;
      const found = this.#pattern.exec(text);
      if (!found) break;
      add("", text.slice(at, found.index));
      at = found.index + found[0].length;
      const { span } = found.groups;
      if (span) this.#open = { kind: SPAN_KINDS[span] ?? "string", close: SPANS[span] };
      // The opening mark is not looked for again as the closing one.
      add(span ? this.#open.kind : kindOf(found.groups), found[0]);
    }
    add("", text.slice(at));
    return parts;
  }
}

/** Return the kind of what was found. */
function kindOf({ comment, string, number, word }) {
  if (comment) return "comment";
  if (string) return "string";
  if (number) return "number";
  return KEYWORDS.has(word.toLowerCase()) ? "keyword" : "";
}

/** Return a list of words as a set. */
function words(text) {
  return new Set(text.split(/\s+/));
}
