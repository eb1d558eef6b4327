"""The engine without the service: answers a file of requests and prints the time it took.

`python -m benchmarks.bare_engine IN.jsonl` loads the model that a worker with the same settings
would load and prints `ready`; then, for each line on its standard input, it answers all requests of
the file once and prints the seconds and the number of tokens.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.turn import Request
from turnstream.workers.engine import Engine, Finish
from turnstream.workers.engines.load import load_engine
from turnstream.workers.prompter import Llama2Prompter, Prompter
from turnstream.workers.settings import WorkerSettings
from turnstream.ws_server.create import Create, read_create


def request_of(create: Create) -> Request:
    """Return the request as a worker reads it from a turn."""
    return Request(
        instructions=None,
        sampling=SamplingParams(
            max_tokens=create.max_output_tokens,
            temperature=create.sampling.get("temperature", 0.0),
            top_p=1.0,
            seed=create.sampling.get("seed", 0),
        ),
    )


def answer(engine: Engine, prompter: Prompter, creates: Sequence[Create]) -> int:
    """Answer all of them at once; return the number of tokens."""
    tokens, left = 0, threading.Semaphore(0)

    def on_step(ids: Sequence[int], finish: Finish | None) -> None:
        nonlocal tokens
        tokens += len(ids)
        if finish:
            left.release()

    for create in creates:
        request = request_of(create)
        prompt = prompter.ids(create.messages, request, limit=engine.context - 1)
        engine.submit(prompt, request.sampling, on_step)
    for _ in creates:
        left.acquire()
    return tokens


def main() -> None:
    """Answer the file once for each line on standard input."""
    settings = WorkerSettings.read(os.environ)
    loaded = load_engine(
        model=settings.model,
        device=settings.device,
        dtype=settings.dtype,
        slots=settings.slots or None,
        context=settings.context,
        cache=settings.cache,
        compile_cache=settings.compile_cache,
        after_step=lambda: None,
    )
    prompter = Llama2Prompter(loaded.tokenizer)
    with Path(sys.argv[1]).open("rb") as lines:
        creates = [read_create(json.loads(line)["body"]) for line in lines]
    print("ready", flush=True)
    for _ in sys.stdin:
        begun = time.perf_counter()
        tokens = answer(loaded.engine, prompter, creates)
        print(time.perf_counter() - begun, tokens, flush=True)
    loaded.engine.stop(0)


if __name__ == "__main__":
    main()
