"""What goes into a batch: lines read in bounded memory, checked one by one, files by owner only."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import redis.asyncio

from tests.ws_server.batch_harness import Crash
from tests.ws_server.conftest import Node
from turnstream.turns import keys
from turnstream.ws_server.batches import line_reader, validation
from turnstream.ws_server.batches.blobs import Blobs
from turnstream.ws_server.batches.line_reader import LineReader
from turnstream.ws_server.batches.validation import validate
from turnstream.ws_server.directory import Model
from turnstream.ws_server.grammar_check import GrammarCheck
from turnstream.ws_server.settings import ServerSettings


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(str(tmp_path / "files"))


async def upload(client: httpx2.AsyncClient, content: bytes, **form: str) -> httpx2.Response:
    form = {"purpose": "batch"} | form
    return await client.post("/v1/files", data=form, files={"file": ("in.jsonl", content)})


async def read_all(
    blobs: Blobs, line: int = 1, offset: int = 0, *, line_bytes: int = 2**20
) -> list[tuple[Any, ...]]:
    found = []
    reading = LineReader(blobs, "in", line_bytes=line_bytes, line=line, offset=offset)
    async with reading as reader:
        while lines := await reader.next_lines():
            found += [(line.number, line.offset, line.text) for line in lines]
    return found


@pytest.mark.parametrize("chunk", [1, 3, 1000])
async def test_lines_have_their_numbers_and_offsets_for_any_chunk_size(
    blobs: Blobs, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_reader, "CHUNK", chunk)
    await blobs.put("in", b"one\n\n \ntwo\r\nthree")

    everything = await read_all(blobs)

    assert everything == [(1, 0, b"one"), (4, 7, b"two\r"), (5, 12, b"three")]
    for n, (number, offset, _) in enumerate(everything):
        assert await read_all(blobs, number, offset) == everything[n:]


@pytest.mark.parametrize("end", [b"", b"\n", b"\nb"])
async def test_a_line_that_is_too_long_is_skipped_and_counted(
    blobs: Blobs, end: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_reader, "CHUNK", 4)
    await blobs.put("in", b"a\n" + 25 * b"x" + end)

    found = await read_all(blobs, line_bytes=10)

    assert found[:2] == [(1, 0, b"a"), (2, 2, None)]
    assert found[2:] == ([(3, 28, b"b")] if end == b"\nb" else [])


async def test_a_line_may_have_what_a_request_may(blobs: Blobs) -> None:
    most = ServerSettings.read({}).body_bytes
    await blobs.put("in", most * b"x" + b"\n" + (most + 1) * b"x")

    found = await read_all(blobs, line_bytes=most)

    assert [len(text) if text else None for _, _, text in found] == [most, None]


async def test_a_partly_written_blob_does_not_exist(blobs: Blobs, tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"some"
        raise Crash

    with pytest.raises(Crash):
        await blobs.write("files/a", broken())

    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


class OneModel:
    async def find(self, name: str | None) -> Model:
        return Model(name="tiny")


async def problems(blobs: Blobs, most_lines: int = 1000) -> list[dict[str, Any]]:
    directory: Any = OneModel()
    async with LineReader(blobs, "in", line_bytes=2**20) as reader:
        return (
            await validate(reader, "ann", "/v1/responses", directory, GrammarCheck(), most_lines)
        ).problems


def request(number: int) -> bytes:
    line = {"custom_id": f"{number}", "method": "POST", "url": "/v1/responses"}
    return json.dumps(line | {"body": {"input": "hi"}}).encode() + b"\n"


async def test_problems_are_reported_up_to_the_limit(blobs: Blobs) -> None:
    await blobs.put("in", 2 * validation.MOST_PROBLEMS * b"nonsense\n")

    assert [problem.line for problem in await problems(blobs)] == list(range(1, 101))


async def test_a_file_with_too_many_lines_is_refused_by_their_number(blobs: Blobs) -> None:
    await blobs.put("in", b"".join(map(request, range(4))))

    assert await problems(blobs, 4) == []
    [problem] = await problems(blobs, 3)
    assert (problem.code, problem.line) == ("too_many_requests", None)
    assert "3" in problem.message


async def test_a_file_of_empty_lines_has_no_requests(blobs: Blobs) -> None:
    await blobs.put("in", b"\n\n")

    assert [problem.code for problem in await problems(blobs)] == ["empty_file"]


async def test_a_file_that_is_too_large_is_refused_and_leaves_nothing(
    local_node: Node, tmp_path: Path
) -> None:
    async with local_node(FILE_BYTES="1000") as client:
        most = await upload(client, 1000 * b"x")
        more = await upload(client, 1001 * b"x")
        much_more = await upload(client, 1_000_000 * b"x")

    assert most.status_code == 200
    for refused in (more, much_more):
        assert refused.status_code == 413
        assert refused.json()["error"]["code"] == "file_too_large"
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"purpose": "fine-tune"}, "purpose"),
        ({"expires_after[anchor]": "never"}, "expires_after[anchor]"),
        ({"expires_after[seconds]": "5"}, "expires_after[seconds]"),
    ],
)
async def test_a_bad_field_of_an_upload_is_named(
    local_node: Node, form: dict[str, str], param: str
) -> None:
    async with local_node() as client:
        refused = await upload(client, b"x", **form)

    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == param


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=x", "a/b"])
async def test_a_body_that_is_no_form_is_refused(local_node: Node, kind: str) -> None:
    async with local_node() as client:
        refused = await client.post("/v1/files", content=b"x", headers={"content-type": kind})

    assert refused.status_code == 400
    assert refused.json()["error"]["type"] == "invalid_request_error"


async def test_files_and_batches_are_visible_to_their_owner_only(local_node: Node) -> None:
    async with local_node() as client:
        file = (await upload(client, request(1))).json()["id"]
        asked = {
            "input_file_id": file,
            "endpoint": "/v1/responses",
            "completion_window": "24h",
        }
        batch = (await client.post("/v1/batches", json=asked)).json()["id"]
        client.headers["Authorization"] = "Bearer bob"
        answers = [
            await client.get(f"/v1/files/{file}"),
            await client.get(f"/v1/files/{file}/content"),
            await client.delete(f"/v1/files/{file}"),
            await client.post("/v1/batches", json=asked),
            await client.get(f"/v1/batches/{batch}"),
            await client.post(f"/v1/batches/{batch}/cancel"),
        ]
        listed = [(await client.get(f"/v1/{what}")).json()["data"] for what in ("files", "batches")]

    assert {answer.status_code for answer in answers} == {404}
    assert listed == [[], []]


async def test_a_batch_requested_again_under_its_key_is_the_same(local_node: Node) -> None:
    async with local_node() as client:
        file = (await upload(client, request(1))).json()["id"]
        asked = {"input_file_id": file, "endpoint": "/v1/responses"}
        key = {"idempotency-key": "k"}

        async def make(window: str) -> httpx2.Response:
            body = asked | {"completion_window": window}
            return await client.post("/v1/batches", json=body, headers=key)

        first, again, other = await make("24h"), await make("24h"), await make("2h")

    assert first.json()["id"] == again.json()["id"]
    assert other.json()["error"]["code"] == "idempotency_key_reused"


async def test_an_expired_file_is_removed(
    local_node: Node, redis: "redis.asyncio.Redis", tmp_path: Path
) -> None:
    async with local_node() as client:
        file = (await upload(client, b"x")).json()["id"]
        await redis.zadd(keys.file_expiries(), {file: 1})
    async with local_node() as client:
        for _ in range(200):
            gone = await client.get(f"/v1/files/{file}")
            if gone.status_code == 404:
                break

    assert gone.status_code == 404
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


async def test_a_schema_that_is_not_served_is_the_problem_of_its_line(blobs: Blobs) -> None:
    lines = []
    for number, schema in enumerate(({"type": "string"}, {"pattern": "(?=a)"}, {"not": {}}), 1):
        form = {"format": {"type": "json_schema", "name": "a", "schema": schema}}
        line = {"custom_id": str(number), "method": "POST", "url": "/v1/responses"}
        lines.append(json.dumps(line | {"body": {"input": "Hi", "text": form}}).encode())
    await blobs.put("in", b"\n".join(lines))

    found = await problems(blobs)

    assert [(each.line, each.code, each.param) for each in found] == [
        (2, "invalid_json_schema", "text.format.schema"),
        (3, "invalid_json_schema", "text.format.schema.not"),
    ]
