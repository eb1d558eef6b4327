"""`/metrics` of a node: who may read it, and that it says what happened."""

import asyncio
import hashlib
from collections.abc import Iterable

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import ClientConnection, connect

from harness.ports import free_port
from tests.ws_server.conftest import Node
from tests.ws_server.fake_worker import FakeWorker
from tests.ws_server.wire_client import socket_url
from turnstream.turns.environment import SettingError
from turnstream.ws_server.settings import ServerSettings

KEY_HASH = hashlib.sha256(b"metrics-key").hexdigest()
Sample = tuple[str, frozenset[tuple[str, str]]]


def samples(text: str) -> dict[Sample, float]:
    """Return each sample by its name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def scrape(http: httpx2.AsyncClient, **headers: str) -> dict[Sample, float]:
    answer = await http.get("/metrics", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return samples(answer.text)


def of(found: dict[Sample, float], name: str, **labels: str) -> float:
    return found.get((f"turnstream_{name}", frozenset(labels.items())), 0.0)


async def test_without_keys_the_metrics_are_open(node: str, worker: FakeWorker) -> None:
    worker.heartbeat()
    async with httpx2.AsyncClient(base_url=node) as http:
        found = await scrape(http)

    assert of(found, "redis_writable") == 1
    assert of(found, "workers", model_name="tiny") == 1
    assert of(found, "slots", model_name="tiny") == 1


async def test_without_keys_a_foreign_host_gets_no_metrics(node: str) -> None:
    async with httpx2.AsyncClient(base_url=node) as http:
        answer = await http.get("/metrics", headers={"host": "evil.example"})

    assert answer.status_code == 403


async def test_with_keys_no_api_key_reads_the_metrics(local_node: Node) -> None:
    async with local_node() as http:
        answer = await http.get("/metrics")

    assert answer.status_code == 401
    assert "TURNSTREAM_METRICS_KEY" in answer.json()["error"]["message"]


async def test_with_keys_the_key_for_metrics_reads_them_and_nothing_else(local_node: Node) -> None:
    async with local_node(METRICS_KEY=KEY_HASH) as http:
        assert (await http.get("/metrics")).status_code == 401
        assert (await http.get("/metrics", headers={"authorization": ""})).status_code == 401
        bearer = {"authorization": "Bearer metrics-key"}
        assert of(await scrape(http, **bearer), "redis_writable") == 1
        assert (await http.get("/v1/models", headers=bearer)).status_code == 401


async def test_a_port_of_its_own_answers_without_a_key(local_node: Node) -> None:
    port = free_port()
    async with local_node(METRICS_PORT=str(port)), httpx2.AsyncClient() as http:
        answer = await http.get(f"http://127.0.0.1:{port}/metrics")

    assert of(samples(answer.text), "redis_writable") == 1


def test_a_key_for_metrics_that_is_not_hashed_is_refused_and_not_repeated() -> None:
    with pytest.raises(SettingError, match="METRICS_KEY must be the SHA-256") as refused:
        ServerSettings.read({"TURNSTREAM_METRICS_KEY": "metrics-key"})

    assert "metrics-key" not in str(refused.value)


async def test_waiting_turns_and_sockets_are_reported(
    node: str, socket: ClientConnection, worker: FakeWorker
) -> None:
    async with httpx2.AsyncClient(base_url=node, timeout=20) as http:
        for _ in range(2):
            await http.post("/v1/responses", json={"input": "Hi", "background": True})
        found = await scrape(http)

    by_tier = {"model_name": "tiny", "tier": "default"}
    assert of(found, "num_requests_waiting", **by_tier) == 2
    assert of(found, "num_requests_waiting", **{**by_tier, "tier": "batch"}) == 0
    assert 0 < of(found, "oldest_wait_seconds", **by_tier) < 60
    assert of(found, "sockets") >= 1
    assert of(found, "redis_round_trip_seconds_count") > 2


async def test_refusals_are_counted_by_code_over_http_and_on_a_socket(
    node: str, socket: ClientConnection
) -> None:
    async with httpx2.AsyncClient(base_url=node) as http:
        before = await scrape(http)
        await http.get("/v1/responses/resp_nobody")
        await http.get("/nowhere")
        await socket.send('{"type":"response.create","model":"nobody","input":"Hi"}')
        await asyncio.wait_for(socket.recv(), 20)
        after = await scrape(http)

    def more(code: str) -> float:
        return of(after, "refusals_total", code=code) - of(before, "refusals_total", code=code)

    assert [more(code) for code in ("response_not_found", "not_found", "model_not_found")] == [
        1
    ] * 3


async def test_resumes_are_counted_by_transport(node: str, worker: FakeWorker) -> None:
    worker.heartbeat()
    async with httpx2.AsyncClient(base_url=node, timeout=20) as http:
        before = await scrape(http)
        made = await http.post("/v1/responses", json={"input": "Hi", "background": True})
        id = made.json()["id"]
        await worker.claim()
        worker.say("Hello")
        worker.end()
        await http.get(f"/v1/responses/{id}", params={"stream": "true", "starting_after": "1"})
        url = f"{socket_url(node)}?resume_response_id={id}&starting_after=1"
        async with connect(url) as resumed:
            await asyncio.wait_for(resumed.recv(), 20)
        after = await scrape(http)

    for transport in ("http", "websocket"):
        labels = {"transport": transport, "source": "log"}
        assert of(after, "resumes_total", **labels) - of(before, "resumes_total", **labels) == 1


def ours(found: Iterable[Sample]) -> set[Sample]:
    return {sample for sample in found if sample[0].startswith("turnstream_")}


async def test_no_label_names_an_owner_or_an_id(node: str, worker: FakeWorker) -> None:
    async with httpx2.AsyncClient(base_url=node, timeout=20) as http:
        made = await http.post("/v1/responses", json={"input": "Hi", "background": True})
        found = ours(await scrape(http))

    names = {name for _, labels in found for name, _ in labels}
    values = {value for _, labels in found for _, value in labels}
    assert names <= {
        "model_name",
        "tier",
        "code",
        "reason",
        "transport",
        "source",
        "cause",
        "le",
        "result",
    }
    assert made.json()["id"] not in values
    assert "local" not in values
