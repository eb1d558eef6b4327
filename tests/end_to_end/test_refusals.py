"""What the worker refuses has a status also when a stream was asked for."""

from collections.abc import Iterator

import pytest
from openai import BadRequestError, OpenAI

from harness.service import Service

TOO_LONG = "many words " * 3_000


@pytest.fixture
def client(service: Service) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{service.url}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("stream", [True, False])
def test_a_response_that_is_too_long_is_a_bad_request_before_any_event(
    client: OpenAI, stream: bool
) -> None:
    with pytest.raises(BadRequestError) as caught:
        client.responses.create(model="demo", input=TOO_LONG, stream=stream)

    assert (caught.value.status_code, caught.value.code) == (400, "context_length_exceeded")
    assert caught.value.response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("stream", [True, False])
def test_a_completion_that_is_too_long_is_a_bad_request_before_any_chunk(
    client: OpenAI, stream: bool
) -> None:
    with pytest.raises(BadRequestError) as caught:
        client.chat.completions.create(
            model="demo", messages=[{"role": "user", "content": TOO_LONG}], stream=stream
        )

    assert (caught.value.status_code, caught.value.code) == (400, "context_length_exceeded")
    assert caught.value.response.headers["x-should-retry"] == "false"
