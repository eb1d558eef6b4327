"""The grammar of an answer that may call tools, in llguidance's Lark.

Text is free until the mark of a call; from there on the answer is a call that validates, and
perhaps further ones. Where a call is required there is no text.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from turnstream.prompts.tools.formats import CallFormat
from turnstream.prompts.tools.keywords import keyword_rules
from turnstream.prompts.tools.tool import Offer, Tool

#: Calls in one answer at most, so that none goes on calling for ever.
MOST_CALLS = 16
#: JSON as Python writes it, which models were trained on; small models would write spaces for ever.
_WRITTEN = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_ANYTHING = "(?s:.*)"
#: What a format calls an id that the model makes up; the terminal of the grammar has its name.
_RANDOM_ID = "RANDOM_ID"


def grammar(
    call_format: CallFormat,
    offer: Offer,
    *,
    control_ids: Mapping[str, int],
    said: str | None = None,
) -> str | None:
    """Return the grammar of an answer; None: it is free, since no tool is strict.

    Args:
        control_ids: those of the format's texts that are control tokens of the model.
        said: the grammar that text must follow, if it must.
    """
    if not offer.required and said is None and not any(tool.strict for tool in offer.tools):
        return None
    rules = _Rules(call_format, offer, control_ids)
    if offer.required:
        start = "start: calls"
        lines = [f"calls: {rules.calls()}"]
    elif said is not None:
        start = "start: said | calls"
        lines = [f"said: %lark {{\n{said}\n}}", f"calls: {rules.calls()}"]
    else:
        start = "start: free | lead"
        lines = rules.mixed()
    return "\n".join([start, *lines, *rules.tools()]) + "\n"


class _Rules:
    """Writes the rules of one grammar."""

    def __init__(
        self, call_format: CallFormat, offer: Offer, control_ids: Mapping[str, int]
    ) -> None:
        self._format = call_format
        self._tools = offer.tools
        self._control_ids = control_ids
        one = not offer.parallel
        self._most = min(MOST_CALLS, call_format.most or MOST_CALLS, 1 if one else MOST_CALLS)

    def calls(self, *, without: str = "") -> str:
        """Return the expansion of all calls; `without` is the text that began the first."""
        begin = self._common
        first = (self._format.opening + begin).removeprefix(without)
        further = self._further(self._format.between + begin)
        return self._join([first, "call", further, self._format.closing])

    def mixed(self) -> list[str]:
        """Return the rules of an answer that is text, and then perhaps calls."""
        mark = self._format.syntax.marks[0]
        if self._format.syntax.bare:
            # An answer that begins with this bracket is a call.
            text = rf"(\s*[^\{self._format.syntax.bare}\s]{_ANYTHING})?"
            return [f"free: {self._text(text)}", f"lead: {self.calls()}"]
        if mark in self._control_ids:
            return [f"free: {self._text(_ANYTHING)}", f"lead: free {self.calls()}"]
        return [
            f"free: {self._text(_ANYTHING)}",
            f"lead: until {self.calls(without=mark)}",
            f"until[suffix={_quoted(mark)}]: /{_ANYTHING}/",
        ]

    def tools(self) -> list[str]:
        """Return the rules of a call of each tool."""
        lines = ["call: " + " | ".join(f"call_{n}" for n in range(len(self._tools)))]
        for n, tool in enumerate(self._tools):
            if self._format.syntax.bare == "{":
                # As literal text its first words would hide other answers that begin with a brace.
                lines.append(f"call_{n}: %json {json.dumps(_call_schema(tool))}")
                continue
            before = self._format.before.removeprefix(self._common).replace("NAME", tool.name)
            begin = re.split(f"({_RANDOM_ID})", before)
            lines.append(f"call_{n}: {self._join([*begin, f'args_{n}', self._format.after])}")
            if self._format.syntax.keywords:
                lines += keyword_rules(f"args_{n}", _schema(tool))
            else:
                lines.append(f"args_{n}: %json {json.dumps(_schema(tool))}")
        if _RANDOM_ID in self._format.before:
            lines.append(f"{_RANDOM_ID}: /[a-zA-Z0-9]{{9}}/")
        return lines

    @property
    def _common(self) -> str:
        """The text that each call begins with, whatever its tool."""
        if self._format.syntax.bare == "{":
            return ""
        return self._format.before.partition("NAME")[0]

    def _further(self, begin: str) -> str:
        if self._most == 1:
            return ""
        return f"({self._literal(begin)} call){{0,{self._most - 1}}}"

    def _join(self, parts: Iterable[str]) -> str:
        """Return an expansion of texts, and of rules and groups of them."""
        rules = re.compile(rf"call|{_RANDOM_ID}|args_\d+|\(.*\)\{{\d+,\d+\}}", re.DOTALL)
        return " ".join(
            part if rules.fullmatch(part) else self._literal(part) for part in parts if part
        )

    def _literal(self, text: str) -> str:
        if not self._control_ids:
            return _quoted(text)
        written: list[str] = []
        for each in re.split("(" + "|".join(map(re.escape, self._control_ids)) + ")", text):
            if each in self._control_ids:
                written.append(f"<[{self._control_ids[each]}]>")
                continue
            if written and each.startswith(" "):
                # Some tokenizers write a space of their own after a control token, others none.
                written.append('" "?')
                each = each[1:]
            written += [_quoted(each)] if each else []
        return " ".join(written)

    def _text(self, pattern: str) -> str:
        """Return a rule's expansion to text without a mark that is written as text."""
        marks = [mark for mark in self._format.syntax.marks if mark not in self._control_ids]
        without = [f" & ~/{_ANYTHING}{_escaped(mark)}{_ANYTHING}/" for mark in marks]
        return f"TEXT\nTEXT: /{pattern}/" + "".join(without)


def _call_schema(tool: Tool) -> dict[str, Any]:
    """Return the schema of a call as one object."""
    arguments = _schema(tool)
    written = arguments.pop("x-guidance")
    definitions = {key: arguments[key] for key in ("$defs", "definitions") if key in arguments}
    call = {"name": {"const": tool.name}, "parameters": arguments}
    return definitions | {
        "type": "object",
        "properties": call,
        "required": list(call),
        "additionalProperties": False,
        "x-guidance": written,
    }


def _schema(tool: Tool) -> dict[str, Any]:
    if tool.parameters is None:
        schema: Any = {"properties": {}, "additionalProperties": False}
    else:
        schema = json.loads(tool.parameters)
    written = _WRITTEN if tool.strict else _WRITTEN | {"lenient": True}
    return (schema if isinstance(schema, dict) else {}) | {"type": "object", "x-guidance": written}


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _escaped(text: str) -> str:
    return re.sub(r"([][.^$*+?{}\\|()/])", r"\\\1", text)
