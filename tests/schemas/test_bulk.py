"""What is sent of files and batches is as published and as the official SDK has it."""

import asyncio
import json
from typing import Any

import httpx2
from openai.types import Batch, FileObject

from harness.service import Service
from tests.schemas.published import OPENAPI, wrong

WAIT_SECONDS = 60
LINE = {
    "custom_id": "a",
    "method": "POST",
    "url": "/v1/responses",
    "body": {"input": "Hello", "max_output_tokens": 4},
}


async def test_files_and_batches_are_as_published(service: Service) -> None:
    async with httpx2.AsyncClient(base_url=service.url, timeout=WAIT_SECONDS) as http:
        file = await upload(http, json.dumps(LINE).encode())
        made = await batch(http, file["id"])
        ended = await end(http, made["id"])
        wrong_file = await upload(http, b"{")
        refused = await end(http, (await batch(http, wrong_file["id"]))["id"])
        output = (await http.get(f"/v1/files/{ended['output_file_id']}")).json()
        [line] = (await http.get(f"/v1/files/{output['id']}/content")).text.splitlines()
        files = (await http.get("/v1/files?limit=2")).json()
        batches = (await http.get("/v1/batches?limit=1")).json()
        deleted = (await http.delete(f"/v1/files/{file['id']}")).json()

    assert (ended["status"], refused["status"]) == ("completed", "failed")
    for one in (made, ended, refused):
        assert wrong(OPENAPI, "BatchBody", one) is None
        Batch.model_validate_json(json.dumps(one), strict=True)
    for one in (file, output):
        assert wrong(OPENAPI, "FileBody", one) is None
        FileObject.model_validate_json(json.dumps(one), strict=True)
    assert wrong(OPENAPI, "Response", json.loads(line)["response"]["body"]) is None
    assert wrong(OPENAPI, "FileList", files) is None
    assert wrong(OPENAPI, "BatchList", batches) is None
    assert wrong(OPENAPI, "FileDeleted", deleted) is None


async def upload(http: httpx2.AsyncClient, content: bytes) -> dict[str, Any]:
    form = {"purpose": "batch"}
    answer = await http.post("/v1/files", data=form, files={"file": ("in.jsonl", content)})
    file: dict[str, Any] = answer.json()
    return file


async def batch(http: httpx2.AsyncClient, file_id: str) -> dict[str, Any]:
    asked = {"input_file_id": file_id, "endpoint": "/v1/responses", "completion_window": "24h"}
    made: dict[str, Any] = (await http.post("/v1/batches", json=asked)).json()
    return made


async def end(http: httpx2.AsyncClient, id: str) -> dict[str, Any]:
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            body: dict[str, Any] = (await http.get(f"/v1/batches/{id}")).json()
            if body["status"] in ("completed", "failed"):
                return body
            await asyncio.sleep(0.1)
