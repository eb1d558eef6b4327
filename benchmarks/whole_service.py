"""The whole service as `benchmarks.engine` compares it with its engine alone.

Sixteen readers ask at the same time, each on a socket of its own, and read every event. The engine
alone gets the same ids that the worker makes of their questions.
"""

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import copy

from transformers import LlamaConfig
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.batch import CONTEXT, NEW_TOKENS, SHAPE, TURNS, new_model
from benchmarks.processes import answers_http, front_end, python, redis_server, running
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.turn import Message, Request
from turnstream.workers.engines.checkpoint import DEMO_FOLDER
from turnstream.workers.engines.tokenizer import load_tokenizer
from turnstream.workers.prompter import Llama2Prompter

MODEL = "m160"
#: Timeout of a round.
TIMEOUT_SECONDS = 300.0
_ENDS = ("response.completed", "response.incomplete", "response.failed", "error")


class ServiceFailed(Exception):
    """An answer does not have all its tokens."""


def make_checkpoint(folder: Path) -> None:
    """Save a model of the usual shape that never generates EOS, with the demo model's tokenizer."""
    demo = json.loads((DEMO_FOLDER / "config.json").read_text())
    shape = type(SHAPE)(**SHAPE.to_dict() | {"vocab_size": demo["vocab_size"]})
    model = new_model(shape)
    # EOS then has the logit 0, and that of the likeliest token is above 0.
    model.lm_head.weight.data[demo["eos_token_id"]] = 0
    model.save_pretrained(folder)
    for file in DEMO_FOLDER.glob("tokenizer*"):
        copy(file, folder)


def questions(seed: int) -> list[str]:
    """Return questions of some forty tokens, different for each seed."""
    draw = random.Random(seed)
    return [" ".join(str(draw.randrange(10**6)) for _ in range(5)) for _ in range(TURNS)]


def prompt_writer(folder: Path) -> Callable[[str], list[int]]:
    """Return a function from a question to its ids, as the worker makes them."""
    config = LlamaConfig.from_pretrained(folder)
    tokenizer = load_tokenizer(
        folder, size=config.vocab_size, eos_ids=frozenset({config.eos_token_id})
    )
    prompter = Llama2Prompter(tokenizer)
    request = Request(
        instructions=None,
        sampling=SamplingParams(max_tokens=NEW_TOKENS, temperature=0, top_p=1, seed=0),
    )
    return lambda text: prompter.ids((Message("user", text),), request, limit=CONTEXT)


class Service:
    """A running service."""

    def __init__(self, address: str) -> None:
        self._url = f"ws://{address}/v1/responses"

    def run(self, asked: list[str]) -> None:
        """Ask each question on a socket of its own, all at the same time.

        Raises:
            ServiceFailed: an answer does not have all its tokens.
        """
        tokens = asyncio.run(self._run(asked))
        if tokens != [NEW_TOKENS] * len(asked):
            raise ServiceFailed(f"answers of {tokens} tokens, not {NEW_TOKENS} each")

    async def _run(self, asked: list[str]) -> list[int]:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            sockets = await asyncio.gather(*(connect(self._url) for _ in asked))
            try:
                return list(await asyncio.gather(*map(_ask, sockets, asked)))
            finally:
                await asyncio.gather(*(socket.close() for socket in sockets))


async def _ask(socket: ClientConnection, text: str) -> int:
    question = {"input": text, "temperature": 0, "max_output_tokens": NEW_TOKENS}
    await socket.send(json.dumps({"type": "response.create"} | question))
    async for frame in socket:
        event = json.loads(frame)
        if event["type"] in _ENDS:
            return int(event.get("response", {}).get("usage", {}).get("output_tokens", 0))
    raise ServiceFailed("the socket was closed")


def settings(folder: Path) -> dict[str, str]:
    """Return the settings of a worker with this model."""
    return {
        "TURNSTREAM_MODEL": str(folder),
        "TURNSTREAM_DEVICE": "cpu",
        "TURNSTREAM_DTYPE": "bfloat16",
        "TURNSTREAM_PROMPT": "llama-2-chat",
        "TURNSTREAM_SLOTS": str(TURNS),
        "TURNSTREAM_CONTEXT": str(CONTEXT),
    }


@contextmanager
def service(directory: Path, folder: Path) -> Iterator[Service]:
    """Run Redis, a front end and a worker with this model until the block ends."""
    with ExitStack() as stack:
        redis_url = stack.enter_context(redis_server(directory))
        front = stack.enter_context(front_end(directory, redis_url, folder.name))
        environ = settings(folder) | {"TURNSTREAM_REDIS_URL": redis_url}
        worker = running(
            "worker", *python("turnstream", "worker"), directory=directory, environ=environ
        )
        process = stack.enter_context(worker)
        process.wait_until(lambda: answers_http(f"http://{front.address}/readyz"))
        yield Service(front.address)
