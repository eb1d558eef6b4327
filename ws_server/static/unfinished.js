// Makes the last line of a text that is still being written readable as Markdown, so that nothing is
// shown first as one thing and then as another: a mark that has begun counts as closed, and what may
// become any of several things waits for its next character.

/** A line that so far consists of a mark: of a list, a task, a rule, an underline, a quote, a fence. */
const MARK = /(?:^|\n)[ \t]*(?:[-=*_+#>~`|]+|(?:[-*+]|\d{1,9}[.)]?)(?: \[[ xX]?\]?)?)[ \t]*$/;
/** An address that is not closed. */
const LINK_BEGUN = /!?\[([^\]\n]*)\]\([^)\n]*$/;
const FENCE = /^ {0,3}(?:```|~~~)/gm;

/** Return the part of a text that can be shown now, with its open marks closed. */
export function showable(text) {
  // The line that opens a fence has the language, and the one that closes it is no code.
  if ((text.match(FENCE)?.length ?? 0) % 2)
    return text.replace(/(?:^|\n)[ \t]*(?:```[^\n`]*|~~~[^\n~]*|[`~]{1,2})$/, "");
  const begun = withoutTableBegun(text).replace(MARK, "");
  const at = begun.lastIndexOf("\n") + 1;
  return begun.slice(0, at) + closed(begun.slice(at).replace(LINK_BEGUN, "$1"));
}

/** Leave out a table before the end of its second line, which tells that it is one. */
function withoutTableBegun(text) {
  const at = text.lastIndexOf("\n\n") + 1;
  const block = text.slice(at).trimStart();
  return block.startsWith("|") && block.split("\n").length < 3 ? text.slice(0, at) : text;
}

function closed(line) {
  let rest = line.replace(/(`+)[^`]+?\1/g, "");
  if (rest.includes("`")) return line.endsWith("`") ? line.replace(/`+$/, "") : line + rest.match(/`+/)[0];
  rest = rest.replace(/\\./g, "").replace(/^\s*[*+-] /, "");
  const open = openMarks(rest);
  let shown = line;
  const last = open.at(-1);
  // Half of the mark that closes; or one that has nothing in it yet.
  if (last?.length === 2 && shown.endsWith(last[0]) && !shown.endsWith(last)) shown = shown.slice(0, -1);
  while (open.length && shown.trimEnd().endsWith(open.at(-1)))
    shown = shown.trimEnd().slice(0, -open.pop().length);
  return open.length ? shown.trimEnd() + open.reverse().join("") : shown;
}

/** Return the marks that are open at the end of a line, outermost first. */
function openMarks(line) {
  const open = [];
  for (const found of line.matchAll(/\*\*|__|~~|_|\*/g)) {
    const [mark] = found;
    const before = line[found.index - 1] ?? " ";
    const after = line[found.index + mark.length] ?? "";
    if (open.at(-1) === mark && /\S/.test(before)) open.pop();
    else if (!/\s/.test(after) && !(mark[0] === "_" && /\w/.test(before))) open.push(mark);
  }
  // What looks like the beginning of `*` may be half of the `**` that closes.
  if (open.length > 1 && open.at(-1) === open.at(-2)[0] && line.endsWith(open.at(-1))) open.pop();
  return open;
}
