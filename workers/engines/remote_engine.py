"""vLLM's own servers as an engine: a durable queue in front of a fleet.

Token ids go to a server and token ids come back. A turn whose server fails goes on at another one,
from the tokens that it has. One thread runs the event loop, which owns servers and turns.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import aclosing

import httpx2

from turnstream.turns.constraint import Constraint
from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.cache_scope import NO_OWNER, CacheScope
from turnstream.workers.check_turn import check_turn
from turnstream.workers.engine import (
    CheckpointError,
    Finish,
    FinishReason,
    OnLogprobs,
    OnStep,
)
from turnstream.workers.engines.grammars import Grammars, matcher_of
from turnstream.workers.engines.loop_turns import LoopTurns
from turnstream.workers.engines.remote_errors import RequestRefused, ServerFailed, ServerUnfit
from turnstream.workers.engines.remote_protocols import Chunk
from turnstream.workers.engines.remote_server import RemoteServer
from turnstream.workers.engines.remote_turn import RemoteTurn
from turnstream.workers.engines.server_pool import ServerPool
from turnstream.workers.remote_settings import RemoteSettings

log = logging.getLogger(__name__)

#: Servers that may fail with a turn, one after the other without a new token, before it fails.
MOST_FAILURES = 3
#: How long an idle connection to a server is kept.
IDLE_SECONDS = 2.0


class RemoteEngine:
    """Answers turns with vLLM's servers; the constructor returns when one of them can be used.

    Args:
        name: what we call the model.
        vocabulary: the model's vocabulary size.
        eos_ids: tokens that end an answer.
        after_step: called on the engine's thread once all ``on_step`` calls of a step are made.
        slots: turns at all servers together; None: as many as the settings allow for each server.
        context: tokens of prompt and answer together; None: as many as the servers take.
        longest: the context that the model itself has, if its config says it.
        grammars: compiles what answers must follow; None refuses turns with a constraint.

    Raises:
        CheckpointError: all servers answer, and none can be used; the text says why.
    """

    def __init__(
        self,
        settings: RemoteSettings,
        *,
        name: str,
        vocabulary: int,
        eos_ids: frozenset[int],
        after_step: Callable[[], None],
        slots: int | None = None,
        context: int | None = None,
        longest: int | None = None,
        grammars: Grammars | None = None,
    ) -> None:
        most = settings.concurrency * len(settings.urls)
        self.capacity = min(slots or most, most)
        self.context = 0
        self._settings = settings
        self._name = name
        self._vocabulary = vocabulary
        self._eos_ids = eos_ids
        self._grammars = grammars
        self._turns = LoopTurns(self._answer, after_step)
        self._pool: ServerPool
        ready: Future[None] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(ready, context, longest)),
            name="engine",
            daemon=True,
        )
        self._thread.start()
        try:
            ready.result()
        except ServerUnfit as exc:
            self._thread.join()
            raise CheckpointError(f"engine remote: {exc}") from exc

    @property
    def free_slots(self) -> int:
        """How many slots are free."""
        return max(0, self.capacity - self._pool.running)

    @property
    def short_of_memory(self) -> bool:
        """Whether the servers that can be used have as many turns as they may."""
        return self._turns.count >= self._pool.room

    def submit(
        self,
        prompt_ids: Sequence[int],
        sampling: SamplingParams,
        on_step: OnStep,
        *,
        generated: int = 0,
        low_priority: bool = False,
        on_logprobs: OnLogprobs | None = None,
        constraint: Constraint | None = None,
        cache: CacheScope = NO_OWNER,
    ) -> RemoteTurn:
        """Take a turn; see `workers.engine.Engine.submit`."""
        prompt = list(prompt_ids)
        context, vocabulary = self.context, self._vocabulary
        check_turn(prompt, sampling, generated=generated, context=context, vocabulary=vocabulary)
        said = prompt[len(prompt) - generated :]
        turn = RemoteTurn(
            prompt,
            sampling,
            on_step,
            self._turns.schedule_cancel,
            generated=generated,
            most=min(sampling.max_tokens or context, context - len(prompt)),
            low_priority=low_priority,
            on_logprobs=on_logprobs,
            salt=cache.salt,
            constraint=constraint,
            matcher=matcher_of(self._grammars, constraint, said),
        )
        self._turns.submit(turn)
        return turn

    def healthy(self) -> bool:
        """Return whether the engine takes turns."""
        return self._turns.open and self._thread.is_alive()

    def stop(self, drain_seconds: float) -> None:
        """Let the running turns continue for this long, cancel the rest, and join the thread."""
        self._turns.schedule_end(drain_seconds)
        self._thread.join()

    async def _serve(self, ready: Future[None], context: int | None, longest: int | None) -> None:
        self._turns.run_here()
        settings = self._settings
        # vLLM closes an idle connection after 5 seconds.
        limits = httpx2.Limits(keepalive_expiry=IDLE_SECONDS)
        async with httpx2.AsyncClient(limits=limits, trust_env=False) as http:
            self._pool = pool = ServerPool(
                [
                    RemoteServer(
                        http,
                        url,
                        key,
                        ours=self._name,
                        wanted=settings.model,
                        timeout=settings.timeout,
                    )
                    for url, key in settings.servers
                ],
                concurrency=settings.concurrency,
                capacity=self.capacity,
                timeout=settings.timeout,
            )
            try:
                await pool.found()
                self.context = pool.agree_on_context(context, longest)
            except Exception as exc:
                ready.set_exception(exc)
                return
            ready.set_result(None)
            watching = asyncio.create_task(self._watch(pool))
            await self._turns.over.wait()
            watching.cancel()
            await asyncio.wait([watching])

    async def _watch(self, pool: ServerPool) -> None:
        try:
            await pool.watch()
        except* Exception as group:
            self._turns.die(f"the engine died: {group.exceptions[0]}")

    async def _answer(self, turn: RemoteTurn) -> None:
        """Have servers answer a turn, the next one where the last one failed."""
        while not turn.finished:
            if turn.complete or turn.left < 1:
                reason = FinishReason.STOP if turn.complete else FinishReason.LENGTH
                self._turns.finish(turn, [], Finish(reason))
                return
            async with self._pool.place(
                turn.ids, turn.salt, low_priority=turn.low_priority
            ) as server:
                # Also for the other choices of a request, which have the same prompt.
                self._pool.remember(server, turn.ids, turn.salt)
                try:
                    await self._go_on(turn, server)
                except RequestRefused as exc:
                    message = f"{server.url} refused the turn: {exc}"
                    self._turns.finish(turn, [], Finish(FinishReason.ERROR, message))
                except ServerFailed as exc:
                    self._note_failure(turn, server, exc)
                else:
                    self._pool.remember(server, turn.ids, turn.salt)

    def _note_failure(self, turn: RemoteTurn, server: RemoteServer, exc: ServerFailed) -> None:
        turn.failures += 1
        if server.usable:
            server.fail(exc)
            log.warning("%s: failed: %s", server.url, server.problem)
        if turn.failures >= MOST_FAILURES:
            message = f"{turn.failures} servers failed with it, at last {server.url}: {exc}"
            self._turns.finish(turn, [], Finish(FinishReason.ERROR, message))

    async def _go_on(self, turn: RemoteTurn, server: RemoteServer) -> None:
        """Deliver what one request to a server brings."""
        others: dict[str, object] = {"cache_salt": turn.salt} if turn.salt else {}
        if turn.low_priority and server.abilities.priorities:
            others["priority"] = 1
        stepwise, last = turn.stepwise, None
        params = turn.params(self._eos_ids)
        chunks = server.stream(turn.ids.copy(), params, turn.sampling.top_logprobs, **others)
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    self._check(chunk.ids)
                    if chunk.cached_tokens is not None:
                        turn.cached_tokens = chunk.cached_tokens
                    elif chunk.finish is not None:
                        # What was cached is said after it.
                        last = chunk
                    elif chunk.ids:
                        self._take(turn, chunk)
                    if turn.finished:
                        return
        except ServerFailed:
            if last is None:
                raise
        if last is None:
            raise ServerFailed("its stream has no end of the answer")
        if stepwise and last.finish == "length" and turn.left > 1:
            self._take(turn, last)
        else:
            self._end(turn, last)

    def _check(self, ids: Sequence[int]) -> None:
        """Raise ServerFailed for ids that the model here does not have."""
        for id in ids:
            if not 0 <= id < self._vocabulary:
                raise ServerFailed(f"it has another model: it sent the token {id}")

    def _take(self, turn: RemoteTurn, chunk: Chunk) -> None:
        """Deliver new ids after which the answer goes on."""
        turn.failures = 0
        if self._follow(turn, chunk, chunk.ids, ended=False):
            self._turns.deliver(turn, chunk.ids)

    def _end(self, turn: RemoteTurn, chunk: Chunk) -> None:
        """Deliver an answer's last ids and its finish."""
        match chunk.finish:
            case "stop":
                # The last one ended the answer.
                if self._follow(turn, chunk, ids := chunk.ids[:-1], ended=True):
                    self._turns.finish(turn, ids, Finish(FinishReason.STOP))
            case "length":
                if self._follow(turn, chunk, chunk.ids, ended=False):
                    self._turns.finish(turn, chunk.ids, Finish(FinishReason.LENGTH))
            case _:
                raise ServerFailed(f"it ended the answer: {chunk.finish}")

    def _follow(self, turn: RemoteTurn, chunk: Chunk, ids: Sequence[int], *, ended: bool) -> bool:
        """Add new ids to a turn; end it if they do not follow its grammar."""
        if turn.follows(ids, ended=ended):
            turn.ids.extend(ids)
            turn.logprobs = chunk.logprobs
            return True
        message = "the server's answer does not follow its grammar"
        self._turns.finish(turn, [], Finish(FinishReason.ERROR, message))
        return False
