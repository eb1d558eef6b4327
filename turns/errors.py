"""Every error that a client can receive of a turn, and what a node does with it.

The rest of the tree is in `ws_server/request_errors.py`: errors of a request that is no turn yet.

* TurnError
    * BadRequest                 400, the request itself is wrong; `code` and `param` say what
        * PreviousResponseNotFound
        * NothingToAnswer
        * CallNotFound
        * ContextLengthExceeded
        * ConversationTooLong
        * ConversationLocked
        * SteerRefused           in turns/steering.py
    * ModelNotFound              404
    * ResponseNotFound           404
    * ConversationNotFound       404
    * ItemNotFound               404
    * FileNotFound               404
    * BatchNotFound              404
    * StreamExpired              400, its events have expired
    * ResponseLost               500, Redis lost its data while the response was being read
    * TierNotAllowed             403, the key is limited to other tiers
    * RateLimited                429, the owner has reached a limit
        * QuotaExceeded          its budget of tokens is used up
    * NewerVersion               503, a newer release wrote the record: this node can't read it
    * Overloaded                 503, the queue is full
        * RedisUnusable          Redis is away, refuses this service, or takes no data

An error's `code` is stable: clients may match on it.
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar

from turnstream.turns.limit_use import NO_LIMITS, LimitUse
from turnstream.turns.redis_problem import RedisProblem
from turnstream.turns.shapes import Error, ErrorType


class TurnError(Exception):
    """Base of every error that reaches a client."""

    status: ClassVar[int] = 500
    type: ClassVar[ErrorType] = "server_error"
    code: str = "server_error"
    param: str | None = None
    #: After how long a retry may succeed; None: a retry does not help.
    retry_seconds: int | None = None
    #: Headers of the answer over HTTP, beside those that every error has.
    headers: Mapping[str, str] = {}

    @property
    def message(self) -> str:
        return str(self)


class BadRequest(TurnError):
    """The client sent something that can't be carried out as it stands."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_value"

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code
        self.param = param


class PreviousResponseNotFound(BadRequest):
    """This owner has no such response to continue."""

    def __init__(self, id: str) -> None:
        super().__init__(
            f"Previous response with id '{id}' not found.",
            code="previous_response_not_found",
            param="previous_response_id",
        )


class ConversationLocked(BadRequest):
    """A turn of the conversation is still being answered; nothing was changed."""

    retry_seconds = 1

    def __init__(self, what: str) -> None:
        super().__init__(
            f"A turn of {what} is still being answered. Try again when it has ended.",
            code="conversation_locked",
            param="conversation",
        )


class NothingToAnswer(BadRequest):
    """The conversation neither asks for an answer nor has a reply to continue."""

    def __init__(self, param: str = "input") -> None:
        super().__init__(
            f"'{param}' has nothing to answer: it must end in a user's message, in the output of"
            " each tool that was called, or in a reply to continue.",
            param=param,
        )


class CallNotFound(BadRequest):
    """An output of a tool answers no call of the conversation."""

    def __init__(self, call_id: str) -> None:
        super().__init__(
            f"No tool call found for the function call output with call_id '{call_id[:80]}'.",
            param="input",
        )


class ContextLengthExceeded(BadRequest):
    """The prompt leaves no room for an answer."""

    def __init__(self, tokens: int, limit: int, *, at_least: bool = False) -> None:
        how_many = f"more than {tokens}" if at_least else str(tokens)
        super().__init__(
            f"The prompt has {how_many} tokens; this model takes at most {limit}.",
            code="context_length_exceeded",
            param="input",
        )
        self.tokens = tokens
        self.limit = limit


class ConversationTooLong(BadRequest):
    """A conversation has more bytes, or more turns, than one may have."""

    def __init__(self, most: str = "fewer bytes or turns") -> None:
        super().__init__(
            f"This conversation is too long: with earlier turns and answers it may have {most}.",
            code="conversation_too_long",
            param="input",
        )


class ModelNotFound(TurnError):
    """No worker has ever served a model of this name."""

    status = 404
    type = "invalid_request_error"
    code = "model_not_found"
    param = "model"

    def __init__(self, model: str) -> None:
        super().__init__(f"The model '{model}' does not exist.")


class ResponseNotFound(TurnError):
    """There is no such response for this owner."""

    status = 404
    type = "invalid_request_error"
    code = "response_not_found"

    def __init__(self, id: str) -> None:
        super().__init__(f"Response with id '{id}' not found.")


class ConversationNotFound(TurnError):
    """There is no such conversation for this owner."""

    status = 404
    type = "invalid_request_error"
    code = "conversation_not_found"

    def __init__(self, id: str) -> None:
        super().__init__(f"Conversation with id '{id[:80]}' not found.")


class ItemNotFound(TurnError):
    """The conversation has no such item."""

    status = 404
    type = "invalid_request_error"
    code = "item_not_found"

    def __init__(self, id: str) -> None:
        super().__init__(f"Item with id '{id[:80]}' not found.")


class FileNotFound(TurnError):
    """There is no such file for this owner."""

    status = 404
    type = "invalid_request_error"
    code = "file_not_found"

    def __init__(self, id: str) -> None:
        super().__init__(f"File with id '{id}' not found.")


class BatchNotFound(TurnError):
    """There is no such batch for this owner."""

    status = 404
    type = "invalid_request_error"
    code = "batch_not_found"

    def __init__(self, id: str) -> None:
        super().__init__(f"Batch with id '{id}' not found.")


class StreamExpired(TurnError):
    """The events of a response, or some of a conversation, are no longer kept."""

    status = 400
    type = "invalid_request_error"
    code = "stream_expired"

    def __init__(self, id: str, kind: str = "response") -> None:
        super().__init__(f"The events of {kind} '{id}' are not kept any more.")


class ResponseLost(TurnError):
    """A response that was being read is gone from Redis: its data was lost."""

    code = "response_lost"
    retry_seconds = 1

    def __init__(self, id: str) -> None:
        super().__init__(f"Response '{id}' was lost with the data of the queue. Ask again.")


class TierNotAllowed(TurnError):
    """The owner may not submit in this tier."""

    status = 403
    type = "invalid_request_error"
    code = "service_tier_not_allowed"
    param = "service_tier"

    def __init__(self, tier: str, allowed: Iterable[str]) -> None:
        super().__init__(f"This key may not ask in tier '{tier}', only in {', '.join(allowed)}.")


class RateLimited(TurnError):
    """The owner has reached a limit; the turn was not submitted."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"

    def __init__(self, limit: str, most: int, wait_ms: int, use: LimitUse = NO_LIMITS) -> None:
        #: What is left of the limits per minute.
        self.use = use
        self.retry_seconds = max(1, -(-wait_ms // 1000))
        super().__init__(
            f"The limit {limit}={most} is reached. Try again in {self.retry_seconds} s."
        )


class QuotaExceeded(RateLimited):
    """The owner's budget of tokens is used up; the turn was not submitted."""

    code = "insufficient_quota"
    # Clients that retry by themselves would wait for hours.
    headers: Mapping[str, str] = {"x-should-retry": "false"}


class Overloaded(TurnError):
    """The turn was not submitted; a retry may succeed."""

    status = 503
    code = "overloaded"
    retry_seconds = 1


class RedisUnusable(Overloaded):
    """Redis is away, refuses this service, or takes no data; its log says what to look at."""

    def __init__(self, problem: RedisProblem) -> None:
        super().__init__(f"The queue can't be used: {problem.summary}. Try again in a moment.")
        self.problem = problem


def error_body(error: TurnError) -> Error:
    """Write an error the way both wires carry it, inside `{"error": …}`."""
    return Error(type=error.type, code=error.code, message=error.message, param=error.param)


class NewerVersion(TurnError):
    """A newer release wrote the record; a node of that release can read it."""

    status = 503
    code = "newer_version"
    retry_seconds = 1

    def __init__(self, id: str) -> None:
        super().__init__(f"'{id[:80]}' was written by a newer release than this node's. Try again.")
