"""The fields of a request for a turn; docs/wire.md has what each means, and all others."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict


class CreateBody(TypedDict, total=False):
    """The body of `create`. The service ignores fields that it does not know."""

    input: str | Sequence[Mapping[str, Any]]
    instructions: str | None
    previous_response_id: str | None
    conversation: str | Mapping[str, Any] | None
    model: str | None
    max_output_tokens: int | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    seed: int | None
    frequency_penalty: float | None
    presence_penalty: float | None
    repetition_penalty: float | None
    logit_bias: Mapping[str, float] | None
    min_tokens: int | None
    ignore_eos: bool | None
    truncation: Literal["auto", "disabled"] | None
    store: bool | None
    service_tier: str | None
    metadata: Mapping[str, str] | None
    tools: Sequence[Mapping[str, Any]] | None
    tool_choice: str | Mapping[str, Any] | None
    parallel_tool_calls: bool | None
    text: Mapping[str, Any] | None
    structured_outputs: Mapping[str, Any] | None
    include: Sequence[str] | None
    top_logprobs: int | None
    generate: bool | None
    #: By default a new one: a request that is sent again after a lost answer is the same turn.
    idempotency_key: str
