"""The two endpoints of vLLM's server that take token ids and stream token ids.

`/inference/v1/generate` is made for that. Where a server lacks it, `/v1/completions` does the same
with `return_token_ids`, but turns each answer into text that nobody reads.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from turnstream.turns.token_logprobs import TokenLogprobs


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """What one message of a stream brings."""

    ids: Sequence[int] = ()
    #: Of these ids; empty if none were asked for.
    logprobs: Sequence[TokenLogprobs] = ()
    #: Why the answer ended, as vLLM says it.
    finish: str | None = None
    #: None where the message does not say it.
    cached_tokens: int | None = None
    #: What went wrong at the server; empty: nothing.
    error: str = ""


class RemoteProtocol(Protocol):
    """One endpoint."""

    @property
    def path(self) -> str:
        """Where it is, below the base URL."""
        ...

    def body(
        self, ids: Sequence[int], params: Mapping[str, Any], logprobs: int | None, most: int
    ) -> dict[str, Any]:
        """Return the request for tokens after some ids, without the model.

        Args:
            logprobs: likeliest tokens to report; None: no log probabilities.
            most: how many the server reports at most.
        """
        ...

    def chunk(self, message: bytes | str, logprobs: int | None) -> Chunk:
        """Read a message.

        Raises:
            msgspec.DecodeError: it has another form.
        """
        ...


class _CachedTokens(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens_details: _CachedTokens | None = None


class _Error(msgspec.Struct):
    message: str = "it gives no reason"


class _Message(msgspec.Struct):
    usage: _Usage | None = None
    error: _Error | str | None = None


class _Logprob(msgspec.Struct):
    token_id: int
    logprob: float


class _Place(_Logprob):
    top_logprobs: list[_Logprob] = []


class _Places(msgspec.Struct):
    content: list[_Place] | None = None


class _GenerateChoice(msgspec.Struct):
    token_ids: list[int] | None = None
    finish_reason: str | None = None
    logprobs: _Places | None = None


class _GenerateMessage(_Message):
    choices: list[_GenerateChoice] = []


class _Columns(msgspec.Struct):
    """Log probabilities as OpenAI's completions have them, a list for each kind."""

    token_logprobs: list[float | None] = []
    top_logprobs: list[dict[str, float] | None] = []


class _CompletionChoice(msgspec.Struct):
    token_ids: list[int] | None = None
    finish_reason: str | None = None
    logprobs: _Columns | None = None


class _CompletionMessage(_Message):
    choices: list[_CompletionChoice] = []


class Generate:
    """`/inference/v1/generate`."""

    path = "/inference/v1/generate"

    def body(
        self, ids: Sequence[int], params: Mapping[str, Any], logprobs: int | None, most: int
    ) -> dict[str, Any]:
        """Return the request for tokens after some ids, without the model."""
        # The chosen token takes the place of one of the likeliest, so one more is asked for.
        asked = {} if logprobs is None else {"logprobs": min(logprobs + 1, most)}
        return {"token_ids": ids, "sampling_params": {**params, **asked, "detokenize": False}}

    def chunk(self, message: bytes | str, logprobs: int | None) -> Chunk:
        """Read a message."""
        read = msgspec.json.decode(message, type=_GenerateMessage)
        if not read.choices:
            return _without_ids(read)
        choice = read.choices[0]
        places = (choice.logprobs and choice.logprobs.content) or []
        return Chunk(
            ids=choice.token_ids or (),
            logprobs=[
                _likeliest(
                    each.logprob,
                    {top.token_id: top.logprob for top in each.top_logprobs},
                    logprobs,
                )
                for each in places
            ],
            finish=choice.finish_reason,
        )


class Completions:
    """`/v1/completions` with a prompt of token ids."""

    path = "/v1/completions"

    def body(
        self, ids: Sequence[int], params: Mapping[str, Any], logprobs: int | None, most: int
    ) -> dict[str, Any]:
        """Return the request for tokens after some ids, without the model."""
        asked = {} if logprobs is None else {"logprobs": logprobs}
        as_ids = {"return_token_ids": True, "return_tokens_as_token_ids": True}
        return {"prompt": ids, **params, **asked, **as_ids}

    def chunk(self, message: bytes | str, logprobs: int | None) -> Chunk:
        """Read a message."""
        read = msgspec.json.decode(message, type=_CompletionMessage)
        if not read.choices:
            return _without_ids(read)
        choice = read.choices[0]
        columns = choice.logprobs or _Columns()
        tops = columns.top_logprobs or [None] * len(columns.token_logprobs)
        return Chunk(
            ids=choice.token_ids or (),
            logprobs=[
                _likeliest(
                    chosen if chosen is not None else -9999.0,
                    {int(name.removeprefix("token_id:")): p for name, p in (top or {}).items()},
                    logprobs,
                )
                for chosen, top in zip(columns.token_logprobs, tops, strict=True)
            ],
            finish=choice.finish_reason,
        )


def _likeliest(chosen: float, by_id: Mapping[int, float], count: int | None) -> TokenLogprobs:
    """Return what is reported at one place: the chosen token and the `count` likeliest ones."""
    likeliest = sorted(by_id.items(), key=lambda each: -each[1])[: count or 0]
    return TokenLogprobs(chosen, tuple(likeliest))


def _without_ids(message: _Message) -> Chunk:
    match message.error:
        case _Error():
            return Chunk(error=message.error.message)
        case str():
            return Chunk(error=message.error)
    details = message.usage and message.usage.prompt_tokens_details
    return Chunk(cached_tokens=details.cached_tokens if details else None)
