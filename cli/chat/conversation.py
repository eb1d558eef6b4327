"""A conversation as the terminal knows it: its turns in order, as the server has them.

A turn belongs to it from its first event on, so that one that was never accepted leaves no trace.
"""

from dataclasses import dataclass, field
from uuid import uuid4

from turnstream.cli.chat import wording
from turnstream.client import AsyncClient, Json, RequestRefused, Response

#: Earlier turns are not read back: `previous_response_id` still has them.
MOST_TURNS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A question and its answer."""

    question: str
    response_id: str
    #: The response that it continues.
    previous: str | None
    #: Empty while it runs.
    answer: str = ""
    #: What is to be said beside the text, such as that it was cut.
    note: str = ""
    running: bool = False


@dataclass(slots=True, kw_only=True)
class Conversation:
    """Questions and answers, and the title under which they are saved."""

    id: str = field(default_factory=lambda: uuid4().hex)
    title: str = ""
    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def last(self) -> str | None:
        """The response that the next question continues."""
        return self.exchanges[-1].response_id if self.exchanges else None

    def markdown(self) -> str:
        """Return all of it as a document."""
        parts = [f"# {self.title}"]
        for each in self.exchanges:
            quoted = "\n".join(f"> {line}".rstrip() for line in each.question.splitlines())
            parts += [quoted, each.answer.strip() or f"*{each.note}*"]
        return "\n\n".join(parts) + "\n"


async def read_back(client: AsyncClient, response_id: str) -> list[Exchange]:
    """Return the turns up to a response, oldest first.

    Raises:
        RequestRefused, Unreachable
    """
    found: list[Exchange] = []
    next_id: str | None = response_id
    while next_id is not None and len(found) < MOST_TURNS:
        try:
            response = await client.retrieve(next_id)
            asked = await client.input_items(next_id)
        except RequestRefused as exc:
            # An earlier turn may have been deleted; what came after it can still be shown.
            if found and exc.status == 404:
                break
            raise
        found.append(_exchange(response, asked))
        next_id = response.previous_response_id
    return found[::-1]


def _exchange(response: Response, asked: list[Json]) -> Exchange:
    notes = [wording.call(each) for each in response.calls]
    return Exchange(
        question=question_of(asked),
        response_id=response.id,
        previous=response.previous_response_id,
        answer=response.text,
        note="\n".join(filter(None, [*notes, wording.end(response)])),
        running=response.status in ("queued", "in_progress"),
    )


def question_of(asked: list[Json]) -> str:
    """Return what the input items of a turn say."""
    return "\n\n".join(filter(None, map(_question, asked)))


def _question(item: Json) -> str:
    match item:
        case {"type": "message", "role": "system" | "developer"}:
            return ""
        case {"type": "message", "content": str(text)}:
            return text
        case {"type": "message", "content": list(parts)}:
            return "".join(part.get("text", "") for part in parts)
        case {"type": "function_call_output", "output": output}:
            return f"The tool returned: {output}"
    return ""
