"""Settings of a worker, read once at its start."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from turnstream.prompts.registry import PROMPTS
from turnstream.prompts.tools import TOOL_FORMATS
from turnstream.turns.environment import Setting, SettingError, choice, read_all, seconds, whole
from turnstream.turns.settings import METRICS_HOST, MODEL, TurnSettings
from turnstream.workers.prompt_choice import PromptChoice
from turnstream.workers.remote_settings import RemoteSettings

ENGINES = ("slot", "vllm", "remote")
QUANTIZE = ("none", "int4", "int8")
DTYPES = ("auto", "float32", "bfloat16", "float16")


def _device(value: str) -> str:
    if value not in ("auto", "cpu", "cuda") and not value.startswith("cuda:"):
        raise ValueError(f"must be auto, cpu, cuda or cuda:N, not {value!r}")
    return value


def _file(value: str) -> Path:
    path = Path(value).expanduser()
    if not path.is_file():
        raise ValueError(f"must be a file, and {value} is none")
    return path.resolve()


WORKER_INDEX = Setting(
    "WORKER_INDEX",
    whole(0, 9999),
    None,
    "a worker's number among the workers of its model, for those who give each its own; the first"
    " one's for `turnstream up`",
    shown="the lowest that no other worker has",
)
WORKER_METRICS_PORT = Setting(
    "WORKER_METRICS_PORT",
    whole(0, 65535),
    9464,
    "port on which a worker answers `/metrics`; 0: on none. With `turnstream up` the first"
    " worker's, and each further one has the next",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """Settings of the `workers` room."""

    turns: TurnSettings
    remote: RemoteSettings = RemoteSettings()
    model: str = MODEL.field()
    lora_base: str = Setting(
        "LORA_BASE",
        str,
        "",
        "the model that a LoRA adapter is merged into",
        shown="what its `adapter_config.json` names",
    ).field()
    #: Names the worker, and so its Celery queue. None until `workers.main` has leased one.
    index: int | None = WORKER_INDEX.field()
    engine: str = Setting(
        "ENGINE",
        choice(*ENGINES),
        "slot",
        "what runs the model: `slot`; `vllm`, with the extra of that name; or `remote`, which has"
        " vLLM's servers do it",
    ).field()
    tensor_parallel: int = Setting(
        "TENSOR_PARALLEL",
        whole(1, 64),
        1,
        "GPUs that share the model; more than one requires `vllm`",
    ).field()
    device: str = Setting("DEVICE", _device, "auto", "`auto`, `cpu`, `cuda` or `cuda:N`").field()
    dtype: str = Setting(
        "DTYPE", choice(*DTYPES), "auto", "`auto`, `float32`, `bfloat16` or `float16`"
    ).field()
    quantize: str = Setting(
        "QUANTIZE",
        choice(*QUANTIZE),
        "none",
        "`int4` or `int8`: weights are rounded to so many bits when a model is loaded, and take a"
        " quarter or half of the memory of bfloat16; `none`",
    ).field()
    compile: str = Setting(
        "COMPILE",
        choice("auto", "off"),
        "auto",
        "`auto`: a worker on a CPU compiles part of its attention with g++, if there is one, into"
        " `~/.cache/turnstream` (`$XDG_CACHE_HOME/turnstream`); `off`: it does not",
    ).field()
    #: Where compiled code and unpacked models are kept.
    cache: Path
    prompt: str = Setting(
        "PROMPT",
        choice("auto", *PROMPTS),
        "auto",
        "prompt format: `auto` goes by the model's config and name; `llama-2-chat`, `vicuna`,"
        " `alpaca`, `alpaca-ja`, `youri-chat` or `chatml`; or `template`, the tokenizer's own;"
        " see [models.md](models.md#prompts)",
    ).field()
    chat_template: Path | None = Setting(
        "CHAT_TEMPLATE",
        _file,
        None,
        "a file with the chat template to use, in Jinja",
        shown="the tokenizer's own",
    ).field()
    tool_parser: str = Setting(
        "TOOL_PARSER",
        choice("auto", *TOOL_FORMATS),
        "auto",
        "how the model writes calls of tools: `auto` goes by its chat template; `hermes` (also"
        " Qwen), `llama3`, `pythonic` (Llama 3.2 and 4), `mistral`, `mistral-args` or"
        " `mistral-call-id` (its later models); `turnstream`: our own system text tells it how,"
        " whatever its template knows",
    ).field()
    slots: int = Setting(
        "SLOTS",
        whole(0, 4096),
        0,
        "turns that one engine answers at once; 0 takes as many as are likely to fit the memory, up"
        " to 64 on a GPU and 8 on a CPU; with `remote`, as many as `TURNSTREAM_REMOTE_CONCURRENCY`"
        " allows",
    ).field()
    memory_share: int = Setting(
        "MEMORY_SHARE",
        whole(1, 100),
        100,
        "percent of the device's memory that one worker may take, its weights included, with the"
        " engine `slot`",
        shown="`100`; with `turnstream up`, 100 divided by the number of its workers",
    ).field()
    #: Of prompt and answer together; 0: the model's own, or what fits the memory.
    context_tokens: int = Setting(
        "CONTEXT",
        whole(0, 1_000_000),
        0,
        "tokens of prompt and answer together; 0 takes the model's own, or what fits the memory",
    ).field()
    drain_seconds: float = Setting(
        "DRAIN_SECONDS",
        seconds(0.0),
        5.0,
        "how long a worker that is told to stop finishes its turns before others get them",
    ).field()

    metrics_host: str = METRICS_HOST.field()
    metrics_port: int = WORKER_METRICS_PORT.field()

    @property
    def name(self) -> str:
        """The worker's name in Redis and in Celery."""
        assert self.index is not None
        return f"w{self.index}"

    @property
    def context(self) -> int | None:
        """The context in tokens, or None for the model's own."""
        return self.context_tokens or None

    @property
    def prompts(self) -> PromptChoice:
        """What chooses the format of prompts."""
        return PromptChoice(wanted=self.prompt, file=self.chat_template)

    @property
    def compile_cache(self) -> Path | None:
        """Where compiled code is kept, or None if nothing is compiled."""
        return self.cache if self.compile == "auto" else None

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "WorkerSettings":
        """Read and check all of them.

        Raises:
            SettingError: naming the variable and what is wrong with it.
        """
        values = read_all(cls, environ)
        cache = _cache_folder(environ)
        settings = cls(
            turns=TurnSettings.read(environ),
            remote=RemoteSettings.read(environ),
            cache=cache,
            **values,
        )
        if settings.tensor_parallel > 1 and settings.engine != "vllm":
            problem = f"must be 1 for the engine {settings.engine}, not {settings.tensor_parallel}"
            raise SettingError("TENSOR_PARALLEL", problem)
        if settings.engine == "remote":
            settings.check_remote()
        if settings.chat_template is not None and settings.prompt not in ("auto", "template"):
            problem = f"cannot be used beside TURNSTREAM_PROMPT={settings.prompt}"
            raise SettingError("CHAT_TEMPLATE", problem)
        return settings

    def check_remote(self) -> None:
        """Raise for settings that do not go with the engine `remote`.

        Raises:
            SettingError: naming the variable and what is wrong with it.
        """
        if not self.remote.urls:
            raise SettingError("REMOTE_URLS", "must have the servers of the engine remote")
        if self.quantize != "none":
            problem = f"must be none for the engine remote, not {self.quantize}; its servers have"
            raise SettingError("QUANTIZE", f"{problem} the weights")


def _cache_folder(environ: Mapping[str, str]) -> Path:
    base = environ.get("XDG_CACHE_HOME", "")
    # The XDG base directory specification has relative paths ignored.
    parent = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return parent / "turnstream"
