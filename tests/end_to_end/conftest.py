"""Fixtures of tests that use the service over HTTP, and a service to break."""

from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest

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
    """A service to break; each test waits until it has healed. The last in test_up.py ends it."""
    with Service(tmp_path_factory.mktemp("broken")) as running:
        yield running
