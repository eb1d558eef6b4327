"""The formats in which models write calls of tools.

A format is data: the texts around a call's name and arguments. The grammar that holds an answer to
the format, the text of past calls, and the reader of new ones all come from the same texts.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from turnstream.prompts.tools.keywords import keywords
from turnstream.prompts.tools.parts import CallReader
from turnstream.prompts.tools.reading import MarkedCalls, Syntax
from turnstream.prompts.tools.tool import Offer


class ToolFormat(StrEnum):
    """The formats that can be asked for by name."""

    #: `<tool_call>` around JSON, as in Hermes and Qwen; the model's template tells of the tools.
    HERMES = "hermes"
    #: JSON with `parameters`, as in Llama 3.
    LLAMA_3 = "llama3"
    #: `[add(a=1, b=2)]`, as in Llama 3.2 and 4.
    PYTHONIC = "pythonic"
    #: `[TOOL_CALLS]` and a JSON list, as in Mistral's first models with tools.
    MISTRAL = "mistral"
    #: `[TOOL_CALLS]`, a name, `[ARGS]` and the arguments, as in Mistral's later models.
    MISTRAL_ARGS = "mistral-args"
    #: The same with `[CALL_ID]` and an id before `[ARGS]`, as in Mistral's models of 2025.
    MISTRAL_CALL_ID = "mistral-call-id"
    #: Ours, for models that have none: a system text tells of the tools, calls are as in Hermes.
    TURNSTREAM = "turnstream"


TOOL_FORMATS: tuple[str, ...] = tuple(each.value for each in ToolFormat)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFormat:
    """How calls are written: opening, calls with `between` between them, closing."""

    #: `NAME` stands for the tool's name, `RANDOM_ID` for nine characters; the arguments
    #: follow.
    before: str
    after: str
    opening: str = ""
    between: str = ""
    closing: str = ""
    #: Calls that a model of this format was trained to write in one answer; None: any number.
    most: int | None = None
    syntax: Syntax
    #: Texts that are control tokens with some tokenizers: of a call they must be read.
    control: tuple[str, ...] = ()

    def reader(self, offer: Offer) -> CallReader:
        """Return the reader of an answer."""
        return MarkedCalls(self.syntax, offer.names, parallel=offer.parallel and self.most is None)

    def written(self, *calls: tuple[str, str]) -> str:
        """Return calls as the model writes them: each a name and the JSON of its arguments."""
        form = keywords if self.syntax.keywords else str
        before = self.before.replace("RANDOM_ID", "0" * 9)
        each = [before.replace("NAME", name) + form(said) + self.after for name, said in calls]
        return self.opening + self.between.join(each) + self.closing


_TAGGED = CallFormat(
    before='<tool_call>\n{"name": "NAME", "arguments": ',
    after="}\n</tool_call>",
    between="\n",
    syntax=Syntax(marks=("<tool_call>",), glue=("</tool_call>",)),
    control=("<tool_call>", "</tool_call>"),
)
CALL_FORMATS: dict[ToolFormat, CallFormat] = {
    ToolFormat.HERMES: _TAGGED,
    ToolFormat.TURNSTREAM: _TAGGED,
    ToolFormat.LLAMA_3: CallFormat(
        before='{"name": "NAME", "parameters": ',
        after="}",
        between="; ",
        most=1,
        syntax=Syntax(marks=("<|python_tag|>",), glue=(";", ","), bare="{"),
        control=("<|python_tag|>",),
    ),
    ToolFormat.PYTHONIC: CallFormat(
        before="NAME(",
        after=")",
        opening="[",
        between=", ",
        closing="]",
        syntax=Syntax(
            marks=("<|python_start|>",),
            glue=("[", ",", "]", "<|python_end|>"),
            bare="[",
            named=True,
            keywords=True,
        ),
        control=("<|python_start|>", "<|python_end|>"),
    ),
    ToolFormat.MISTRAL: CallFormat(
        before='{"name": "NAME", "arguments": ',
        after="}",
        opening="[TOOL_CALLS] [",
        between=", ",
        closing="]",
        syntax=Syntax(marks=("[TOOL_CALLS]",), glue=("[", ",", "]"), named=True),
        control=("[TOOL_CALLS]",),
    ),
    ToolFormat.MISTRAL_ARGS: CallFormat(
        before="[TOOL_CALLS]NAME[ARGS]",
        after="",
        syntax=Syntax(
            marks=("[TOOL_CALLS]",), glue=("[", ",", "]"), named=True, after_name="[ARGS]"
        ),
        control=("[TOOL_CALLS]", "[ARGS]"),
    ),
    ToolFormat.MISTRAL_CALL_ID: CallFormat(
        before="[TOOL_CALLS]NAME[CALL_ID]RANDOM_ID[ARGS]",
        after="",
        syntax=Syntax(
            marks=("[TOOL_CALLS]",),
            glue=("[", ",", "]"),
            named=True,
            id_mark="[CALL_ID]",
            after_name="[ARGS]",
        ),
        control=("[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"),
    ),
}


def format_of_template(template: str | None) -> ToolFormat:
    """Return the format of a model, by its chat template.

    A template that does not know tools, or has them called in a way that is not read here, gets
    our system text.
    """
    if not template or not re.search(r"\btools\b", template):
        return ToolFormat.TURNSTREAM
    if "[TOOL_CALLS]" in template:
        if "[CALL_ID]" in template:
            return ToolFormat.MISTRAL_CALL_ID
        return ToolFormat.MISTRAL_ARGS if "[ARGS]" in template else ToolFormat.MISTRAL
    # Qwen's coder models write XML in the tag.
    if "<tool_call>" in template and "<function=" not in template:
        return ToolFormat.HERMES
    if re.search(r"\[func(tion)?_name1?\(|<\|python_start\|>", template):
        return ToolFormat.PYTHONIC
    if re.search(r'"name": function name, "parameters"|<\|python_tag\|>', template):
        return ToolFormat.LLAMA_3
    return ToolFormat.TURNSTREAM
