"""The examples that resume print their whole answers, by our client and the SDKs' own hooks."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx2
import pytest

from harness.proxy import Proxy
from harness.reader import text_of
from harness.service import ROOT, Service
from tests.end_to_end.story import ANSWER_SECONDS
from tests.programs import link_modules

#: Cuts a first connection amid its first event, and later ones amid later events.
WITHIN_THE_FIRST_EVENT, FURTHER_ON = 400, 5000


@pytest.fixture(params=["resume.py", "resume_openai.py", "resume.mjs"])
def example(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path, str]:
    """Give a program, the folder for its example, and the example's name."""
    if request.param == "resume.py":
        return sys.executable, tmp_path, request.param
    if request.param.endswith(".py"):
        return str(request.getfixturevalue("client_python")), tmp_path, request.param
    link_modules(tmp_path, request.getfixturevalue("node_modules"))
    return "node", tmp_path, request.param


@pytest.mark.parametrize("first_cut", [WITHIN_THE_FIRST_EVENT, FURTHER_ON])
async def test_an_example_prints_its_answer_without_a_gap_after_repeated_disconnects(
    service: Service, example: tuple[str, Path, str], http: httpx2.AsyncClient, first_cut: int
) -> None:
    program, folder, name = example
    source = (ROOT / "examples" / name).read_text(encoding="utf-8")
    key = f"key-{uuid4()}"
    for theirs in ("str(uuid.uuid4())", "randomUUID()"):
        source = source.replace(theirs, json.dumps(key))
    async with Proxy(urlsplit(service.url).port or 0) as proxy:
        proxy.reset_after = first_cut
        source = source.replace("127.0.0.1:8000", f"127.0.0.1:{proxy.port}")
        (folder / name).write_text(source, encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            program, name, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                while proxy.connections < 2 and process.returncode is None:
                    await asyncio.sleep(0.01)
                proxy.reset_after = FURTHER_ON
                printed, complaints = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    assert complaints.decode() == ""
    assert proxy.connections > 1
    # Repeated with its key, the request returns the same turn.
    question = {"model": "demo", "input": "Do you know the Titanic movie?"}
    again = await http.post("/v1/responses", json=question, headers={"Idempotency-Key": key})
    kept = (await http.get(f"/v1/responses/{again.json()['id']}")).json()
    assert printed.decode().removesuffix("\n") == text_of(kept) != ""
