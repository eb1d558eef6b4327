"""Functions that an answer may call, as a request names them."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function that its client runs when the model calls it."""

    name: str
    description: str | None = None
    #: The JSON Schema of its arguments, as JSON; None: it takes none.
    parameters: str | None = None
    #: Whether calls hold the schema exactly.
    strict: bool = False


@dataclass(frozen=True, slots=True)
class NamedTool:
    """The choice of the one function that must be called."""

    name: str


@dataclass(frozen=True, slots=True)
class AllowedTools:
    """The choice of some of the functions."""

    mode: Literal["auto", "required"]
    names: tuple[str, ...]


#: `auto`: the model decides; `none`: it calls nothing; `required`: it calls at least one.
ToolChoice = Literal["auto", "none", "required"] | NamedTool | AllowedTools


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What may be called in one answer."""

    #: Never empty.
    tools: tuple[Tool, ...]
    #: Whether the answer is a call, and no text.
    required: bool = False
    #: Whether it may have several calls.
    parallel: bool = True

    @property
    def names(self) -> frozenset[str]:
        """The names of the tools."""
        return frozenset(tool.name for tool in self.tools)


def offer(tools: tuple[Tool, ...], choice: ToolChoice, *, parallel: bool) -> Offer | None:
    """Return what may be called; None: the answer is text."""
    match choice:
        case "none":
            return None
        case NamedTool(name):
            offered = tuple(tool for tool in tools if tool.name == name)
            required, parallel = True, False
        case AllowedTools(mode, names):
            offered = tuple(tool for tool in tools if tool.name in names)
            required = mode == "required"
        case _:
            offered, required = tools, choice == "required"
    return Offer(tools=offered, required=required, parallel=parallel) if offered else None
