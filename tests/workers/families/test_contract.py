"""The contract of engines for each family that `slot` runs, with each way of computing a step."""

import pytest

from tests.workers.contract.test_cancelling import *  # noqa: F403
from tests.workers.contract.test_constraint import *  # noqa: F403
from tests.workers.contract.test_draws import *  # noqa: F403
from tests.workers.contract.test_failing import *  # noqa: F403
from tests.workers.contract.test_greedy import *  # noqa: F403
from tests.workers.contract.test_sampling import *  # noqa: F403
from tests.workers.contract.test_stopping import *  # noqa: F403
from tests.workers.contract.test_together import *  # noqa: F403

pytestmark = pytest.mark.long
