"""vLLM keeps what every engine promises, but for what `conftest.DIFFERENT` says."""

from tests.workers.test_engine_contract import *  # noqa: F403
