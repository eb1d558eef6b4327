"""One vLLM server: what it can do, whether it answers, and streams of tokens from it."""

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx2
import msgspec

from turnstream.turns.sampling_params import MAX_TOP_LOGPROBS
from turnstream.workers import metrics
from turnstream.workers.engines.remote_errors import (
    REFUSED,
    RequestRefused,
    ServerFailed,
    ServerUnfit,
    raise_for,
    said,
)
from turnstream.workers.engines.remote_protocols import (
    Chunk,
    Completions,
    Generate,
    RemoteProtocol,
)

#: How long a server may take to accept a connection, and to answer what costs it nothing.
ANSWER_SECONDS = 5.0
#: The first and the longest pause before a server that failed is looked at again.
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0
#: Statuses of an endpoint that a server does not have, or was not started with; a wrong key would
#: have been noticed before.
_MISSING = frozenset({403, 404, 405, 501})
_DONE = "[DONE]"


class _Model(msgspec.Struct):
    id: str
    parent: str | None = None
    max_model_len: int | None = None


class _Models(msgspec.Struct):
    data: list[_Model]


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What a server was found to do."""

    model: str
    #: None: it does not say it.
    context: int | None
    protocol: RemoteProtocol
    #: The likeliest tokens that it reports at a place, at most.
    logprobs: int
    #: Whether it lets requests of low priority wait.
    priorities: bool


class RemoteServer:
    """One server; belongs to one event loop.

    Args:
        key: empty where the server wants none.
        ours: what we call the model.
        wanted: what the server is to call it; empty: see `_named`.
        timeout: the longest time between two tokens, in seconds.
    """

    def __init__(
        self,
        http: httpx2.AsyncClient,
        url: str,
        key: str,
        *,
        ours: str,
        wanted: str,
        timeout: float,
    ) -> None:
        self.url = url
        #: Turns that it has now.
        self.running = 0
        #: Turns that it was given so far.
        self.given = 0
        #: Why it cannot be used; empty: it can.
        self.problem = "it was not asked yet"
        self.abilities: Abilities
        self._http = http
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._ours = ours
        self._wanted = wanted
        self._timeout = timeout
        self._failures = 0
        #: The waits of all streams; each is ended when the server is lost.
        self._waits: set[asyncio.Timeout] = set()

    @property
    def usable(self) -> bool:
        """Whether it may be given turns."""
        return not self.problem

    @property
    def pause(self) -> float:
        """Seconds until it is to be looked at again; longer after each failure in a row."""
        longest = min(LONGEST_PAUSE_SECONDS, PAUSE_SECONDS * 2 ** min(self._failures, 10))
        return longest * random.uniform(0.5, 1)

    def fail(self, problem: object) -> None:
        """Give it no turns until it was looked at again; streams that run go on."""
        if self.usable:
            metrics.server_failed()
        self._failures += 1
        self.problem = str(problem) or type(problem).__name__

    def lose(self, problem: object) -> None:
        """Give it no turns, and end its streams with `ServerFailed`."""
        self.fail(problem)
        for wait in self._waits:
            wait.reschedule(0.0)

    async def check(self) -> None:
        """Raise ServerFailed if it does not say that it is well."""
        answer = await self._ask("GET", "/health")
        # Others than vLLM may have no such endpoint; but they answered.
        if not (answer.is_success or answer.status_code == 404):
            raise ServerFailed(f"its health is HTTP {answer.status_code}")

    async def look(self) -> None:
        """Find out what it can do, and make it usable.

        Raises:
            ServerFailed: it does not answer.
            ServerUnfit: it has another model, wants another key, or returns no token ids.
        """
        await self.check()
        answer = await self._ask("GET", "/v1/models")
        try:
            raise_for(answer)
            models = msgspec.json.decode(answer.content, type=_Models).data
        except (msgspec.DecodeError, RequestRefused) as exc:
            raise ServerUnfit("its /v1/models is not that of a vLLM server") from exc
        model = self._named(models)
        for protocol in (Generate(), Completions()):
            if await self._streams_ids(protocol, model.id):
                break
        else:
            raise ServerUnfit(f"it returns no token ids for the model {model.id}")
        # One more shows whether the chosen token's place can be told from the likeliest ones'.
        more = MAX_TOP_LOGPROBS + 1
        probe = protocol.body([0], {"max_tokens": 1, "temperature": 0.0}, more - 1, more)
        self.abilities = Abilities(
            model=model.id,
            # An adapter has that of its base.
            context=model.max_model_len
            or next((each.max_model_len for each in models if each.id == model.parent), None),
            protocol=protocol,
            logprobs=more if await self._takes(protocol, model.id, probe) else MAX_TOP_LOGPROBS,
            priorities=await self._takes(
                protocol,
                model.id,
                {**protocol.body([0], {"max_tokens": 1}, None, 0), "priority": 1},
            ),
        )
        self.problem = ""

    async def stream(
        self, ids: Sequence[int], params: dict[str, Any], logprobs: int | None, **others: Any
    ) -> AsyncGenerator[Chunk, None]:
        """Have it generate tokens after some ids; leaving the loop early aborts that.

        Args:
            others: further fields of the request.

        Raises:
            ServerFailed: it cannot, or stopped before the end.
            RequestRefused: it says what is wrong with the request.
        """
        can = self.abilities
        body = can.protocol.body(ids, params, logprobs, can.logprobs)
        body |= {"model": can.model, "stream": True, "stream_options": {"include_usage": True}}
        wait = asyncio.timeout(None)
        try:
            async with wait:
                self._waits.add(wait)
                async with aclosing(self._messages(can.protocol.path, body | others)) as messages:
                    async for message in messages:
                        chunk = can.protocol.chunk(message, logprobs)
                        if chunk.error:
                            raise ServerFailed(f"it failed with an answer: {chunk.error}")
                        self._failures = 0
                        yield chunk
                        # Several messages may come at once; between them turns are cancelled.
                        await asyncio.sleep(0)
        except TimeoutError as exc:
            raise ServerFailed(self.problem) from exc
        except httpx2.HTTPError as exc:
            raise ServerFailed(said(exc)) from exc
        except msgspec.DecodeError as exc:
            raise ServerFailed(f"its stream has another form than vLLM's: {exc}") from exc
        finally:
            self._waits.discard(wait)

    async def _messages(self, path: str, body: dict[str, Any]) -> AsyncGenerator[str, None]:
        async with self._http.stream(
            "POST",
            self.url + path,
            content=msgspec.json.encode(body),
            headers=self._headers | {"Content-Type": "application/json"},
            timeout=httpx2.Timeout(self._timeout, connect=ANSWER_SECONDS),
        ) as answer:
            if answer.status_code != 200:
                await answer.aread()
                raise_for(answer)
            async for line in answer.aiter_lines():
                if line.startswith("data:"):
                    data = line.removeprefix("data:").strip()
                    if data == _DONE:
                        return
                    yield data
        raise ServerFailed("its stream ended too early")

    async def _streams_ids(self, protocol: RemoteProtocol, model: str) -> bool:
        """Return whether an endpoint exists and returns ids."""
        body = protocol.body([0], {"max_tokens": 1}, None, 0) | {"model": model}
        answer = await self._ask("POST", protocol.path, body)
        if answer.status_code in REFUSED | _MISSING:
            return False
        raise_for(answer)
        try:
            return bool(protocol.chunk(answer.content, None).ids)
        except msgspec.DecodeError:
            return False

    async def _takes(self, protocol: RemoteProtocol, model: str, body: dict[str, Any]) -> bool:
        answer = await self._ask("POST", protocol.path, body | {"model": model})
        if answer.status_code in REFUSED:
            return False
        raise_for(answer)
        return True

    def _named(self, models: Sequence[_Model]) -> _Model:
        """Return the model with the name that is wanted; without one, with ours, or the base."""
        named = [each for each in models if each.id == (self._wanted or self._ours)]
        if not named and not self._wanted:
            named = [each for each in models if each.parent is None]
        if len(named) != 1:
            has = ", ".join(each.id for each in models) or "none"
            wanted = self._wanted or self._ours
            raise ServerUnfit(
                f"it has no model {wanted}, but {has}; TURNSTREAM_REMOTE_MODEL can name one"
            )
        return named[0]

    async def _ask(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> httpx2.Response:
        try:
            return await self._http.request(
                method,
                self.url + path,
                json=body,
                headers=self._headers,
                # Even one token may have to wait for the turns of others.
                timeout=httpx2.Timeout(
                    ANSWER_SECONDS if body is None else self._timeout, connect=ANSWER_SECONDS
                ),
            )
        except httpx2.HTTPError as exc:
            raise ServerFailed(said(exc)) from exc
