"""Fetches what the service stores of a turn, and compares what a reader got with it."""

import json
import urllib.request
from typing import Any

from harness.reader import ENDS, Reader, call_events, calls_of, event_text, text_of
from harness.service import Service


def fetch(service: Service, path: str, body: dict[str, Any] | None = None) -> Any:
    """GET a path of a service, or POST a body to it; return a stream as the list of its events."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        service.url + path, data=data, headers={"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as response:
        text = response.read().decode()
    if "stream=true" in path:
        return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    return json.loads(text)


def assert_as_stored(service: Service, reader: Reader) -> None:
    """Assert that a reader got exactly the events and the text that the service stores."""
    events = reader.events
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events if event["type"] in ENDS] == [events[-1]["type"]]
    assert fetch(service, f"/v1/responses/{reader.id}?stream=true") == events
    stored = fetch(service, f"/v1/responses/{reader.id}")
    assert text_of(stored) == event_text(events)
    assert calls_of(stored) == call_events(events)
