"""Work on the JSON of events and responses as text, without decoding it.

An event's type is the first key of its JSON, and a response's status and error are its first two:
scripts in Redis and these functions put the parts together. Nothing else cuts JSON by position.
"""

import re

import msgspec

from turnstream.turns.shapes import Steering

#: What became of a turn's steers, as the scripts put it at the end of its last event.
_STEERING = re.compile(rb',"steering":(\{[^{}]*\})\}?(?:,"snapshot":true)?\}$')


def encode(value: object) -> str:
    """Write a value as compact JSON, its keys in their order."""
    return msgspec.json.encode(value).decode()


def event_type(event: bytes) -> bytes:
    """Return the type of an event."""
    return event.split(b'"', 4)[3]


def steering_of(event: bytes) -> Steering | None:
    """Return what an event says of the steers of its turn; None if it says nothing."""
    # The search is over the last bytes only: what comes before may be a whole answer.
    found = _STEERING.search(event, max(0, len(event) - 200))
    return None if found is None else msgspec.json.decode(found[1], type=Steering)


def with_stream_id(event: bytes, stream_id: str | None) -> str:
    """Return an event for the socket; None is the lane without a name."""
    if stream_id is None:
        return event.decode()
    return f'{{"stream_id":"{stream_id}",{event[1:].decode()}'


def with_snapshot(event: str) -> str:
    """Return an event marked as `snapshot`: at its end, since its type must stay in front."""
    return f'{event[:-1]},"snapshot":true}}'


def response_event(type: str, seq: int, response: str) -> str:
    """Return an event that carries a response's JSON."""
    return f'{{"type":"{type}","sequence_number":{seq},"response":{response}}}'


def response_json(status: str, error: str, response: str, *, queue: str = "") -> str:
    """Return a response's whole JSON, from the part after its status and error.

    `queue` is its queue place as JSON while it waits, else empty.
    """
    position = f'"queue":{queue},' if queue else ""
    return f'{{"status":"{status}","error":{error},{position}{response}'


def response_fields_json(response: object) -> str:
    """Return a response's JSON after its status and error, as `response_json` expects it."""
    return encode(response)[1:]
