"""The node that uploads are sent to."""

from collections.abc import Iterator

import pytest

from tests.ws_server.conftest import serving


@pytest.fixture(scope="session")
def node(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A front end that wants no key."""
    with serving(redis_url, tmp_path_factory.mktemp("node")) as url:
        yield url
