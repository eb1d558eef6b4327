"""A worker: one engine, and the threads that feed it and carry away what it says.

Celery's part is to ring. A claimed turn lives here, not in a Celery thread, so that what Celery
does with a message after it was heard changes nothing.
"""

import logging
import os
import time

from turnstream.prompts import ChatPromptMetaLlamaLlama2Chat, prompt_for
from turnstream.prompts.registry import PROMPTS
from turnstream.turns.commands import commands
from turnstream.turns.connection import connect
from turnstream.turns.log import Log
from turnstream.turns.queue import TurnQueue
from turnstream.turns.record import VERSION, SelfDescription
from turnstream.turns.token_count import CountQueue
from turnstream.workers.active_turns import ActiveTurns
from turnstream.workers.claimer import Claimer
from turnstream.workers.counter import Counter
from turnstream.workers.engine import CheckpointError
from turnstream.workers.engines.load import LoadedModel, load_engine
from turnstream.workers.engines.slicing import slicers
from turnstream.workers.heartbeat import Heartbeat
from turnstream.workers.prompter import Llama2Prompter, Prompter, TemplatePrompter
from turnstream.workers.publisher import Publisher
from turnstream.workers.settings import WorkerSettings
from turnstream.workers.stopper import Stopper

log = logging.getLogger(__name__)

#: The process ends with this when its engine has died, to be started again.
ENGINE_DIED = 4


class Worker:
    """Answers turns of one model from its making until `stop`."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._leaving = False
        loaded = load_engine(
            model=settings.model,
            engine=settings.engine,
            tensor_parallel=settings.tensor_parallel,
            device=settings.device,
            dtype=settings.dtype,
            slots=settings.slots,
            context=settings.context,
            compile_cache=settings.compile_cache,
            after_step=self._after_step,
        )
        self.model = loaded.name
        self._engine = loaded.engine
        redis = connect(settings.turns.redis_url)

        def queue() -> TurnQueue:
            return TurnQueue(redis, settings.turns, model=loaded.name, worker=settings.name)

        prompter = _prompter(loaded, settings.prompt)
        self._counter = Counter(
            CountQueue(redis, model=loaded.name), prompter, context=loaded.engine.context
        )
        self._active = ActiveTurns(loaded.engine.capacity)
        self._publisher = Publisher(self._active, Log(redis, settings.turns, worker=settings.name))
        self._claimer = Claimer(
            queue(),
            self._active,
            self._publisher,
            loaded.engine,
            prompter,
            slicers(loaded.tokenizer),
        )
        about: SelfDescription = {
            "version": VERSION,
            "created": int(time.time()),
            "context": loaded.engine.context,
            "temperature": loaded.temperature,
            "top_p": loaded.top_p,
        }
        self._stopper = Stopper(
            lambda: commands(redis, model=loaded.name, worker=settings.name), self._active
        )
        self._heartbeat = Heartbeat(queue(), self._active, about=about, check=self._check)

    def start(self) -> None:
        """Begin to claim and answer."""
        self._publisher.start()
        self._heartbeat.start()
        self._stopper.start()
        self._claimer.start()
        self._counter.start()

    def wake_up(self) -> None:
        """Somebody may be waiting."""
        self._claimer.wake_up()

    def retire(self) -> None:
        """Claim nothing more; never waits, so that a signal handler may call it."""
        self._claimer.retire()

    def stop(self) -> None:
        """Let running turns go on for the drain time, give up the rest, and end the threads.

        What is given up goes on at another worker at once.
        """
        self._leaving = True
        self._counter.retire()
        self._claimer.stop()
        deadline = time.monotonic() + self._settings.drain_seconds
        while self._active.answers() and time.monotonic() < deadline:
            time.sleep(0.02)
        # One that is finished may not be written by the end: it is handed on too, and whoever ended
        # in time is let be.
        left = self._active.answers()
        for answer in left:
            if not answer.finished:
                answer.drop()
        self._stopper.stop()
        self._counter.stop()
        self._engine.stop(0)
        self._publisher.stop()
        self._heartbeat.stop([(answer.claimed.id, answer.claimed.attempt) for answer in left])

    def _after_step(self) -> None:
        self._publisher.after_step()

    def _check(self) -> None:
        # An engine that was stopped takes no turns either; nobody is to be alarmed by that.
        if not self._leaving and not self._engine.healthy():
            log.critical("the engine died; this process ends so that another can begin")
            os._exit(ENGINE_DIED)


def _prompter(loaded: LoadedModel, wanted: str) -> Prompter:
    if wanted == "auto":
        prompt = prompt_for(loaded.name, loaded.config.to_dict())
    else:
        prompt = PROMPTS[wanted]
    if prompt is ChatPromptMetaLlamaLlama2Chat:
        return Llama2Prompter(loaded.tokenizer)
    if not loaded.tokenizer.has_template:
        raise CheckpointError(
            f"model {loaded.name}: nothing says how its conversations are written;"
            " if it was trained on Llama 2's format, set TURNSTREAM_PROMPT=llama-2-chat"
        )
    return TemplatePrompter(loaded.tokenizer)
