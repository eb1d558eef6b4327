"""The node that uploads are sent to."""

from collections.abc import Iterator

import pytest

from tests.conftest import private_redis
from tests.ws_server.conftest import serving


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A front end that wants no key, with a Redis of its own."""
    with (
        private_redis(tmp_path_factory.mktemp("redis")) as redis_url,
        serving(redis_url, tmp_path_factory.mktemp("node")) as url,
    ):
        yield url
