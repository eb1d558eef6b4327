"""One trace for a turn over real processes: client, node and two workers, one of them killed."""

import json
import secrets
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from harness.collector import ReceivedSpan, collector
from harness.service import Service
from turnstream.cli.service_redis import redis_of_service
from turnstream.turns.admin import Admin
from turnstream.turns.connection import connect as connect_redis
from turnstream.turns.settings import TurnSettings

SECONDS = 60.0


def wait_until(ready: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + SECONDS
    while not (found := ready()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


@pytest.mark.long
def test_a_turn_is_one_trace_over_http_on_a_socket_and_over_a_lost_worker(tmp_path: Path) -> None:
    with collector() as received:
        environ = {
            "TURNSTREAM_TRACES": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": received.url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        with Service(tmp_path, "--workers", "2", environ=environ) as service:
            over_http, on_socket, over_takeover = (secrets.token_hex(16) for _ in range(3))

            def parent(trace: str) -> str:
                return f"00-{trace}-00f067aa0ba902b7-01"

            def whole(trace: str) -> list[ReceivedSpan]:
                spans = received.of_trace(trace)
                names = {span.name for span in spans}
                return spans if {"chat demo", "attempt"} <= names else []

            body = json.dumps({"input": "Hi", "max_output_tokens": 4}).encode()
            headers = {"content-type": "application/json", "traceparent": parent(over_http)}
            request = urllib.request.Request(f"{service.url}/v1/responses", body, headers)
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                id = json.load(answer)["id"]
            check(wait_until(lambda: whole(over_http)), id)

            with connect(service.url.replace("http", "ws") + "/v1/responses") as socket:
                id = ask(socket, parent(on_socket), tokens=4)
                while "response.completed" not in (text := socket.recv(SECONDS)) and (
                    "response.incomplete" not in text
                ):
                    pass
                check(wait_until(lambda: whole(on_socket)), id)

                id = ask(socket, parent(over_takeover), tokens=1500)
                while "response.output_text.delta" not in socket.recv(SECONDS):
                    pass
                record = admin_show(service, id)
                # What was not sent yet is lost with the worker.
                wait_until(lambda: named(received.of_trace(over_takeover), "wait"))
                worker = next(
                    each
                    for each in service.family()
                    if each.cmdline()[-1:] == ["worker"]
                    and "guard.py" not in " ".join(each.cmdline())
                    and f"w{each.environ()['TURNSTREAM_WORKER_INDEX']}" == record["worker"]
                )
                worker.kill()
                socket.send(json.dumps({"type": "response.cancel", "response_id": id}))
                while '"status":"cancelled"' not in socket.recv(SECONDS):
                    pass
            wait_until(lambda: len(named(received.of_trace(over_takeover), "attempt")) == 2)
            spans = wait_until(lambda: whole(over_takeover))
            check(spans, id)
            lost, attempt = (each.attributes for each in ordered(named(spans, "attempt")))
            killed = f"demo/{record['worker']}"
            assert killed in lost["turnstream.worker"]
            assert killed not in attempt["turnstream.worker"]
            assert "lost" in lost["turnstream.status"]
            assert "cancelled" in attempt["turnstream.status"]
            [wait] = named(spans, "wait")
            assert wait.instance == killed
            assert "my secret" not in repr(received.spans)


def ask(socket: Any, traceparent: str, *, tokens: int) -> str:
    frame = {
        "type": "response.create",
        "input": "my secret question",
        "max_output_tokens": tokens,
        "ignore_eos": True,
        "metadata": {"traceparent": traceparent},
    }
    socket.send(json.dumps(frame))
    created = json.loads(socket.recv(SECONDS))
    id: str = created["response"]["id"]
    return id


def admin_show(service: Service, id: str) -> dict[str, str]:
    url = redis_of_service({"TURNSTREAM_DATA_DIR": str(service.data_dir)})
    with connect_redis(url) as client:
        return Admin(client, TurnSettings(redis_url=url)).turn(id)


def named(spans: list[ReceivedSpan], name: str) -> list[ReceivedSpan]:
    return [span for span in spans if span.name == name]


def ordered(attempts: list[ReceivedSpan]) -> list[ReceivedSpan]:
    """Return attempts by their numbers."""
    return sorted(attempts, key=lambda span: span.attributes["turnstream.attempt"])


def check(spans: list[ReceivedSpan], id: str) -> None:
    """Check whose children the spans of a turn are, and which processes reported them."""
    [node] = named(spans, "chat demo")
    assert (node.service, node.parent_id) == ("turnstream-node", "00f067aa0ba902b7")
    assert id in node.attributes["gen_ai.response.id"]
    for span in spans:
        if span.name in ("submit", "wait", "attempt"):
            assert span.parent_id == node.span_id
        # Whoever finds that an attempt was lost reports it: a worker or a node.
        if span.name in ("wait", "attempt", "prefill", "decode") and "lost" not in repr(span):
            assert span.service == "turnstream-worker"
