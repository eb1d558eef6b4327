"""Files and batches in a bucket instead of a folder, against moto's S3.

Both are left out where `s3fs` and `moto[server]` are not installed; neither is needed otherwise.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis.asyncio

from tests.ws_server.batch_harness import BatchHarness, line_of, own_database
from turnstream.turns import keys
from turnstream.turns.connection import connect, connect_async
from turnstream.turns.settings import TurnSettings
from turnstream.ws_server.batches.blobs import Blobs

pytestmark = [
    pytest.mark.long,
    # Warnings of other packages; none of ours is expected here.
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a folder in a bucket."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0)
    s3fs = pytest.importorskip("s3fs")
    server.start()
    host, port = server.get_host_and_port()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().makedirs("bucket", exist_ok=True)
    yield "s3://bucket/some/folder"
    server.stop()


async def some(*chunks: bytes, broken: bool = False) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
    if broken:
        raise asyncio.CancelledError


@pytest.mark.parametrize("size", [1, 20_000_000])
async def test_a_written_blob_can_be_read_and_an_interrupted_one_does_not_exist(
    bucket: str, size: int
) -> None:
    blobs = Blobs(bucket)
    chunks = (size * b"a", b"bc")

    assert await blobs.write("files/a", some(*chunks)) == size + 2
    with suppress(asyncio.CancelledError):
        await blobs.write("files/b", some(*chunks, broken=True))

    assert b"".join([chunk async for chunk in blobs.read("files/a")]) == b"".join(chunks)
    assert await blobs.size("files/a") == size + 2
    with pytest.raises(FileNotFoundError):
        await blobs.size("files/b")
    await blobs.delete("files/a")
    await blobs.delete("files/a")
    with pytest.raises(FileNotFoundError):
        [chunk async for chunk in blobs.read("files/a")]


async def test_a_batch_completes_in_an_s3_bucket(
    bucket: str, redis_url: str, redis: "redis.asyncio.Redis", tmp_path: Path
) -> None:
    url = own_database(redis_url)
    client, worker = connect_async(url), connect(url)
    harness = BatchHarness(client, worker, TurnSettings(redis_url=url), tmp_path)
    harness.blobs = Blobs(bucket)
    batch = await harness.batch([line_of(n) for n in range(9)])
    taken = await harness.store.take()
    assert taken is not None
    working = asyncio.create_task(harness.work())
    async with asyncio.timeout(60):
        await harness.runner(taken).run()
    working.cancel()
    now, good, _ = await harness.results(batch)

    assert now.completed == 9
    assert {result["custom_id"] for result in good} == {f"c{n}" for n in range(9)}
    assert await client.exists(keys.batch_parts(batch.id)) == 0
    with pytest.raises(FileNotFoundError):
        await harness.blobs.size(f"batches/{batch.id}/00000001-1.output")
    await client.aclose()
    worker.close()
