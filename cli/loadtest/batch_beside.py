"""A batch that the service answers while people talk: it must not slow them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from turnstream.cli.bulk_service import BulkService
from turnstream.cli.loadtest.options import QUESTIONS, Load
from turnstream.client import RequestRefused, Unreachable


@asynccontextmanager
async def batch_beside(url: str, key: str, load: Load) -> AsyncIterator[None]:
    """Have a batch answered until the block ends, then cancel what is left of it.

    Raises:
        Unreachable, RequestRefused
    """
    service = BulkService(url, key)
    try:
        id = await asyncio.to_thread(_create, service, load)
        try:
            yield
        finally:
            with suppress(Unreachable, RequestRefused):
                await asyncio.to_thread(service.cancel, id)
    finally:
        service.close()


def _create(service: BulkService, load: Load) -> str:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "batch.jsonl"
        with path.open("w") as lines:
            for number in range(load.batch_lines):
                body = {
                    "input": QUESTIONS[number % len(QUESTIONS)],
                    "max_output_tokens": load.answer_tokens,
                }
                if load.model is not None:
                    body["model"] = load.model
                line = {
                    "custom_id": str(number),
                    "method": "POST",
                    "url": "/v1/responses",
                    "body": body,
                }
                lines.write(json.dumps(line) + "\n")
        file = service.upload(path)
    return str(service.create(file, "/v1/responses", "24h", uuid4().hex)["id"])
