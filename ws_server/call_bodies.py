"""Calls of tools as chat completions have them, whole and in chunks."""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from turnstream.turns.shapes import Count


class FunctionOfCall(Struct, frozen=True, kw_only=True):
    """The function of a call."""

    name: str
    #: JSON, as the model wrote it.
    arguments: str


class ToolCallMade(Struct, frozen=True, kw_only=True):
    """A call of a tool, which the client is to run."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionOfCall


class FunctionDelta(Struct, frozen=True, kw_only=True):
    """What a chunk adds to the function of a call."""

    name: str | UnsetType = UNSET
    arguments: str


class ToolCallDelta(Struct, frozen=True, kw_only=True):
    """What a chunk adds to a call; id, type and name come first."""

    #: From 0, in each answer.
    index: Count
    id: str | UnsetType = UNSET
    type: Literal["function"] | UnsetType = UNSET
    function: FunctionDelta
