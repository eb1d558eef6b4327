"""vLLM keeps what every engine promises, but for what is said here."""

import pytest

from tests.workers.test_engine_contract import *  # noqa: F403

#: What vLLM and what it is built on warn of is theirs to mend.
pytestmark = pytest.mark.filterwarnings("default")
