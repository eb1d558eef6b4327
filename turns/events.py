"""The numbered events of an answer, as the JSON that reaches the reader unchanged.

`response.created`, `queued` and `in_progress` are written by the scripts in Redis, together with
the change that they report; all later events are written here, by the worker.
"""

from turnstream.turns.errors import TurnError, error_body
from turnstream.turns.event_json import encode, response_event, response_json, with_snapshot
from turnstream.turns.event_shapes import Event
from turnstream.turns.ids import message_id
from turnstream.turns.response import message_item, output_text
from turnstream.turns.shapes import MessageStatus


def _json(event: Event) -> str:
    return encode(event)


def still_in_progress(seq: int, response: str) -> str:
    """Write `response.in_progress` again, while there is no slice yet."""
    return response_event(
        "response.in_progress", seq, response_json("in_progress", "null", response)
    )


def opening(response_id: str, seq: int) -> list[str]:
    """Write the two events that open an answer."""
    item = message_item(response_id, "in_progress", "")
    return [
        _json(
            {
                "type": "response.output_item.added",
                "sequence_number": seq,
                "output_index": 0,
                "item": item | {"content": []},
            }
        ),
        _json(
            {
                "type": "response.content_part.added",
                "sequence_number": seq + 1,
                "item_id": item["id"],
                "output_index": 0,
                "content_index": 0,
                "part": output_text(""),
            }
        ),
    ]


def text_delta(response_id: str, seq: int, text: str) -> str:
    """Write a slice."""
    return _json(
        {
            "type": "response.output_text.delta",
            "sequence_number": seq,
            "item_id": message_id(response_id),
            "output_index": 0,
            "content_index": 0,
            "delta": text,
            "logprobs": [],
        }
    )


def closing(response_id: str, seq: int, status: MessageStatus, text: str) -> list[str]:
    """Write the three events that close an answer; `status` is the item's."""
    item = message_item(response_id, status, text)
    return [
        _json(
            {
                "type": "response.output_text.done",
                "sequence_number": seq,
                "item_id": item["id"],
                "output_index": 0,
                "content_index": 0,
                "text": text,
                "logprobs": [],
            }
        ),
        _json(
            {
                "type": "response.content_part.done",
                "sequence_number": seq + 1,
                "item_id": item["id"],
                "output_index": 0,
                "content_index": 0,
                "part": output_text(text),
            }
        ),
        _json(
            {
                "type": "response.output_item.done",
                "sequence_number": seq + 2,
                "output_index": 0,
                "item": item,
            }
        ),
    ]


def terminal(seq: int, status: str, error: str, response: str) -> str:
    """Write the event that ends a turn: completed, incomplete (also when cancelled) or failed."""
    name = "incomplete" if status == "cancelled" else status
    return response_event(f"response.{name}", seq, response_json(status, error, response))


def kept(
    response_id: str, seq: int, status: str, error: str, response: str, text: str
) -> list[str]:
    """Write the last events of a turn again, from its record, marked as `snapshot`.

    They carry the whole text and their first numbers, `seq` being the last; the slices are gone.
    """
    end = terminal(seq, status, error, response)
    item_status: MessageStatus = "completed" if status == "completed" else "incomplete"
    closed = closing(response_id, seq - 3, item_status, text) if status != "failed" else []
    return [with_snapshot(event) for event in (*closed, end)]


def refused(seq: int, error: TurnError) -> str:
    """Write the event that ends a turn whose request turned out to be bad only at the worker."""
    return _json(
        {
            "type": "error",
            "sequence_number": seq,
            "status": error.status,
            "error": error_body(error),
        }
    )
