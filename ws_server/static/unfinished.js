// Makes the last line of a text that is still being written readable as Markdown, so that nothing is
// shown first as one thing and then as another: a mark that has begun counts as closed, and what may
// become any of several things waits for its next character.

/** A line that so far consists of a mark: of a list, a rule, an underline, a quote, a fence. */
const MARK = /(?:^|\n)[ \t]*(?:[-=*_+#>~`|]+|\d{1,9}[.)]?)[ \t]*$/;
/** A table without its second line, which tells that it is one. */
const TABLE_BEGUN = /(?:^|\n)\|[^\n]*(?:\n[|:\- \t]*)?$/;
/** An address that is not closed. */
const LINK_BEGUN = /!?\[([^\]\n]*)\]\([^)\n]*$/;
const FENCE = /^ {0,3}(?:```|~~~)/gm;

/** Return the part of a text that can be shown now, with its open marks closed. */
export function showable(text) {
  if ((text.match(FENCE)?.length ?? 0) % 2) return text.replace(/\n[ \t]*[`~]+$/, "");
  const begun = text.replace(MARK, "").replace(TABLE_BEGUN, "");
  const at = begun.lastIndexOf("\n") + 1;
  return begun.slice(0, at) + closed(begun.slice(at).replace(LINK_BEGUN, "$1"));
}

function closed(line) {
  const open = [];
  let rest = line.replace(/(`+)[^`]+?\1/g, "");
  if (rest.includes("`")) return line.endsWith("`") ? line.replace(/`+$/, "") : line + rest.match(/`+/)[0];
  rest = rest.replace(/\\./g, "").replace(/^\s*[*+-] /, "");
  for (const found of rest.matchAll(/\*\*|__|~~|_|\*/g)) {
    const [mark] = found;
    const before = rest[found.index - 1] ?? " ";
    const after = rest[found.index + mark.length] ?? "";
    if (open.at(-1) === mark && /\S/.test(before)) open.pop();
    else if (!/\s/.test(after) && !(mark[0] === "_" && /\w/.test(before))) open.push(mark);
  }
  // A mark at the end, or before a space, has nothing in it yet.
  let shown = line;
  while (open.length && shown.trimEnd().endsWith(open.at(-1))) shown = shown.trimEnd().slice(0, -open.pop().length);
  return open.length ? shown.trimEnd() + open.reverse().join("") : shown;
}
