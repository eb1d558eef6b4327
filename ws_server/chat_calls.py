"""Calls of tools in chat completions: those of an answer, and the chunks of their events."""

from msgspec import Struct
from msgspec.json import Decoder

from turnstream.turns.shapes import FunctionCallItem, OutputItem, Response
from turnstream.ws_server.call_bodies import (
    FunctionDelta,
    FunctionOfCall,
    ToolCallDelta,
    ToolCallMade,
)


class _Added(Struct, frozen=True):
    output_index: int
    item: OutputItem


class _Arguments(Struct, frozen=True):
    output_index: int
    delta: str


_ADDED = Decoder(_Added)
_ARGUMENTS = Decoder(_Arguments)


def calls_of(response: Response) -> tuple[ToolCallMade, ...]:
    """Return the calls of an ended response."""
    calls = [item for item in response.output if isinstance(item, FunctionCallItem)]
    return tuple(
        ToolCallMade(
            id=call.call_id, function=FunctionOfCall(name=call.name, arguments=call.arguments)
        )
        for call in calls
    )


class CallChunks:
    """Makes the pieces of the calls of one request's answers, and numbers them."""

    def __init__(self) -> None:
        #: Numbers of the calls, by answer and by place in its output.
        self._numbers: dict[tuple[int, int], int] = {}

    def added(self, choice: int, event: bytes) -> ToolCallDelta | None:
        """Return the beginning of a call; None if another item begins."""
        read = _ADDED.decode(event)
        if not isinstance(read.item, FunctionCallItem):
            return None
        number = sum(of == choice for of, _ in self._numbers)
        self._numbers[choice, read.output_index] = number
        return ToolCallDelta(
            index=number,
            id=read.item.call_id,
            type="function",
            function=FunctionDelta(name=read.item.name, arguments=""),
        )

    def arguments(self, choice: int, event: bytes) -> ToolCallDelta:
        """Return a piece of the arguments of a call."""
        read = _ARGUMENTS.decode(event)
        number = self._numbers[choice, read.output_index]
        return ToolCallDelta(index=number, function=FunctionDelta(arguments=read.delta))
