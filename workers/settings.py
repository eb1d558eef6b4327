"""What a worker is told from outside, read once at its start."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from turnstream.prompts.registry import PROMPTS
from turnstream.turns import environment
from turnstream.turns.environment import SettingError
from turnstream.turns.settings import TurnSettings

ENGINES = ("slot", "vllm")
DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """Settings of the `workers` room."""

    turns: TurnSettings
    #: `demo`, a folder in Hugging Face layout, or a hub name.
    model: str
    #: What runs it: `slot`, our own, or `vllm`.
    engine: str
    device: str
    dtype: str
    #: Where what a CPU worker compiles for itself is kept; None: it compiles nothing.
    compile_cache: Path | None
    #: How conversations are written: `auto` goes by the model's config and name.
    prompt: str
    #: Turns answered at once.
    slots: int
    #: Tokens of prompt and answer together; None takes the model's own.
    context: int | None
    #: Devices that share the model.
    tensor_parallel: int
    #: Stable name among the workers of a model: Celery keeps a queue for each.
    index: int
    #: How long running turns may go on after SIGTERM before another worker gets them.
    drain_seconds: float

    @property
    def name(self) -> str:
        return f"w{self.index}"

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "WorkerSettings":
        """Read and check them all.

        Raises:
            SettingError: naming the variable and what is wrong with it.
        """
        context = environment.whole(environ, "CONTEXT", 0, least=0, most=1_000_000)
        device = environment.text(environ, "DEVICE", "auto")
        if device not in ("auto", "cpu", "cuda") and not device.startswith("cuda:"):
            raise SettingError("DEVICE", f"must be auto, cpu, cuda or cuda:N, not {device!r}")
        compiles = environment.choice(environ, "COMPILE", "auto", ("auto", "off"))
        engine = environment.choice(environ, "ENGINE", "slot", ENGINES)
        cards = environment.whole(environ, "TENSOR_PARALLEL", 1, least=1, most=64)
        if cards > 1 and engine != "vllm":
            raise SettingError("TENSOR_PARALLEL", f"must be 1 for the engine {engine}, not {cards}")
        return cls(
            turns=TurnSettings.read(environ),
            model=environment.text(environ, "MODEL", "demo"),
            engine=engine,
            device=device,
            dtype=environment.choice(environ, "DTYPE", "auto", DTYPES),
            compile_cache=_cache(environ) if compiles == "auto" else None,
            prompt=environment.choice(environ, "PROMPT", "auto", ("auto", *PROMPTS)),
            slots=environment.whole(environ, "SLOTS", 8, least=1, most=4096),
            context=context or None,
            tensor_parallel=cards,
            index=environment.whole(environ, "WORKER_INDEX", 0, least=0, most=9999),
            drain_seconds=environment.seconds(environ, "DRAIN_SECONDS", 5.0, least=0.0),
        )


def _cache(environ: Mapping[str, str]) -> Path:
    base = environ.get("XDG_CACHE_HOME", "")
    # The standard says that a relative path there is to be ignored.
    parent = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return parent / "turnstream"
