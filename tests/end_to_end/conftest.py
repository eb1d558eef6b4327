"""Fixtures of tests that use the service over HTTP, and a service to break."""

from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest

from harness import tiny_llama
from harness.service import Service

ANSWER_SECONDS = 60


@pytest.fixture
async def http(service: Service) -> AsyncIterator[httpx2.AsyncClient]:
    """An HTTP client of the service."""
    # Certificates, which nothing here has, would be loaded for each client.
    async with httpx2.AsyncClient(
        base_url=service.url, timeout=ANSWER_SECONDS, verify=False
    ) as client:
        yield client


@pytest.fixture(scope="session")
def broken_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service to break; each test waits until it has healed. The last in test_up.py ends it.

    It has two models, the demo model and one that is called something else than its folder.
    """
    folder = tiny_llama.make(tmp_path_factory.mktemp("models") / "llama")
    environ = {"TURNSTREAM_PROMPT": "llama-2-chat"}
    models = ("--model", f"tiny={folder}")
    with Service(tmp_path_factory.mktemp("broken"), *models, environ=environ) as running:
        yield running
