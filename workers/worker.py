"""A worker: one engine, and the threads that claim turns for it and write its answers.

Celery only delivers wake-ups. A claimed turn does not run in a Celery task, so it does not depend
on what Celery does with a message after its delivery.
"""

import logging
import os
import time
from collections.abc import Callable

from turnstream.prompts import PromptFormat
from turnstream.prompts.tools import CALL_FORMATS, CallFormat, ToolFormat, format_of_template
from turnstream.turns.commands import commands
from turnstream.turns.connection import connect, direct
from turnstream.turns.loading import LoadingProgress
from turnstream.turns.log import Log
from turnstream.turns.model_name import checkpoint_of, served_name
from turnstream.turns.queue import TurnQueue
from turnstream.turns.record import DESCRIPTION_VERSION, SelfDescription
from turnstream.turns.token_count import CountQueue
from turnstream.turns.traces import open_traces
from turnstream.workers import metrics_port
from turnstream.workers.active_turns import ActiveTurns
from turnstream.workers.bounded_prompter import BoundedPrompter
from turnstream.workers.claimer import Claimer
from turnstream.workers.control import ControlListener
from turnstream.workers.counter import Counter
from turnstream.workers.engines.loaded_model import LoadedModel
from turnstream.workers.engines.slicing import byte_table, slicers
from turnstream.workers.engines.tokenizer import LlamaTokenizer
from turnstream.workers.heartbeat import Heartbeat
from turnstream.workers.loading_bar import loading_bar
from turnstream.workers.prompter import Llama2Prompter, Prompter, TemplatePrompter
from turnstream.workers.publisher import Publisher
from turnstream.workers.raw_prompt import WithRawPrompts
from turnstream.workers.settings import WorkerSettings
from turnstream.workers.shown_tokens import Vocabulary
from turnstream.workers.tool_use import ToolUse

log = logging.getLogger(__name__)

#: Exit code when the engine has died; the process is to be started again.
ENGINE_DIED = 4


class Worker:
    """Answers turns of one model from `start` until `stop`."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._draining = False
        redis = connect(settings.turns.redis_url, key_prefix=settings.turns.key_prefix)
        self.model = served_name(settings.model)
        with loading_bar(LoadingProgress(redis, self.model).report) as progress:
            loaded = _load(settings, self.model, progress, self._after_step)
        self._engine = loaded.engine
        table = byte_table(loaded.tokenizer)
        traces = open_traces(
            settings.turns.traces,
            service="turnstream-worker",
            instance=f"{self.model}/{settings.name}",
        )

        def queue() -> TurnQueue:
            return TurnQueue(
                direct(redis),
                settings.turns,
                model=self.model,
                worker=settings.name,
                most_bytes=table.most_bytes(loaded.engine.context),
                traces=traces,
            )

        tool_format = _tool_format(loaded, settings.tool_parser)
        chat = BoundedPrompter(_prompter(loaded, tool_format), loaded.tokenizer)
        prompter = WithRawPrompts(loaded.tokenizer, chat)
        self._counter = Counter(
            CountQueue(redis, model=self.model), prompter, context=loaded.engine.context
        )
        self._active = ActiveTurns(loaded.engine.capacity)
        turns_log = Log(direct(redis), settings.turns, worker=settings.name)
        self._publisher = Publisher(self._active, turns_log, traces)
        self._claimer = Claimer(
            queue(),
            self._active,
            self._publisher,
            loaded.engine,
            prompter,
            slicers(loaded.tokenizer),
            Vocabulary(table, loaded.tokenizer.tokens),
            tool_use(loaded.tokenizer, CALL_FORMATS[tool_format]),
            traces,
        )
        about: SelfDescription = {
            "version": DESCRIPTION_VERSION,
            "created": int(time.time()),
            "context": loaded.engine.context,
            "temperature": loaded.temperature,
            "top_p": loaded.top_p,
        }
        self._control = ControlListener(
            lambda: commands(redis, model=self.model, worker=settings.name),
            self._active,
            self._claimer.claim_one,
        )
        self._heartbeat = Heartbeat(
            queue(), self._active, about=about, check_engine=self._check_engine
        )

    def start(self) -> None:
        """Start claiming and answering turns."""
        self._publisher.start()
        self._heartbeat.start()
        self._control.start()
        self._claimer.start()
        self._counter.start()
        metrics_port.serve(
            self._active,
            model=self.model,
            host=self._settings.metrics_host,
            port=self._settings.metrics_port,
        )

    def wake_up(self) -> None:
        """Claim waiting turns if slots are free."""
        self._claimer.wake_up()

    def stop_claiming(self) -> None:
        """Claim no more turns; never waits, so that a signal handler may call it."""
        self._claimer.stop_claiming()

    def stop(self) -> None:
        """Let running turns continue for the drain time, requeue the rest, and end the threads."""
        self._draining = True
        self._heartbeat.drain()
        self._counter.stop_counting()
        self._claimer.stop()
        deadline = time.monotonic() + self._settings.drain_seconds
        while self._active.attempts() and time.monotonic() < deadline:
            time.sleep(0.02)
        # A finished turn whose end is not written yet is requeued too; Redis ignores that if the
        # end is written in time.
        left = self._active.attempts()
        for attempt in left:
            if not attempt.slot_free:
                attempt.drop()
        self._control.stop()
        self._counter.stop()
        self._engine.stop(0)
        self._publisher.stop()
        self._heartbeat.stop([(attempt.claimed.id, attempt.claimed.attempt) for attempt in left])

    def _after_step(self) -> None:
        self._publisher.after_step()

    def _check_engine(self) -> None:
        # An engine that was stopped on purpose is not healthy either.
        if not self._draining and not self._engine.healthy():
            log.critical("the engine died; the process ends with code %d", ENGINE_DIED)
            os._exit(ENGINE_DIED)


def _load(
    settings: WorkerSettings,
    name: str,
    on_progress: Callable[[float], None],
    after_step: Callable[[], None],
) -> LoadedModel:
    """Start the engine of the settings; only `remote` runs without torch."""
    model, slots = checkpoint_of(settings.model), settings.slots or None
    if settings.engine == "remote":
        from turnstream.workers.engines.load_remote import load_remote

        return load_remote(
            settings.remote,
            model=model,
            name=name,
            slots=slots,
            context=settings.context,
            after_step=after_step,
            lora_base=settings.lora_base,
            choose_prompts=settings.prompts.apply,
        )
    from turnstream.workers.engines.load import load_engine
    from turnstream.workers.engines.quantised_linear import Quantise

    return load_engine(
        model=model,
        engine=settings.engine,
        tensor_parallel=settings.tensor_parallel,
        device=settings.device,
        dtype=settings.dtype,
        lora_base=settings.lora_base,
        quantize=Quantise(settings.quantize),
        slots=slots,
        context=settings.context,
        memory_percent=settings.memory_share,
        cache=settings.cache,
        compile_cache=settings.compile_cache,
        after_step=after_step,
        on_progress=on_progress,
        choose_prompts=settings.prompts.apply,
    )


def _tool_format(loaded: LoadedModel, wanted: str) -> ToolFormat:
    if wanted != "auto":
        return ToolFormat(wanted)
    if loaded.prompts is PromptFormat.LLAMA_2_CHAT:
        return ToolFormat.TURNSTREAM
    return format_of_template(loaded.tokenizer.tool_template())


def _prompter(loaded: LoadedModel, tools: ToolFormat) -> Prompter:
    if loaded.prompts is PromptFormat.LLAMA_2_CHAT:
        return Llama2Prompter(loaded.tokenizer)
    return TemplatePrompter(loaded.tokenizer, knows_tools=tools is not ToolFormat.TURNSTREAM)


def tool_use(tokenizer: LlamaTokenizer, call_format: CallFormat) -> ToolUse:
    """Return how a model calls tools that has this tokenizer."""
    control = {tokenizer.tokens[id]: id for id in tokenizer.control_ids}
    control_ids = {text: control[text] for text in call_format.control if text in control}
    spelled = set(control_ids.values())
    return ToolUse(
        call_format,
        control_ids=control_ids,
        make_slicer=slicers(tokenizer, spelled=spelled),
        vocabulary=Vocabulary(byte_table(tokenizer, spelled=spelled), tokenizer.tokens),
    )
