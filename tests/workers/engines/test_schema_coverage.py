"""The demo model answers schemas over every supported keyword, and each whole answer is valid."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from harness.json_schemas import make_schema, validate
from turnstream.turns.constraint import Constraint
from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.engine import Finish, FinishReason
from turnstream.workers.engines.load import load_engine
from turnstream.workers.engines.loaded_model import LoadedModel
from turnstream.ws_server.json_schemas import prepared

MOST_TOKENS = 600
SECONDS = 120


@dataclass
class Answer:
    ids: list[int] = field(default_factory=list)
    finish: Finish | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    def on_step(self, ids: Sequence[int], finish: Finish | None) -> None:
        self.ids += ids
        if finish:
            self.finish = finish
            self.ended.set()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoadedModel]:
    loaded = load_engine(
        model="demo",
        device="cpu",
        dtype="float32",
        slots=8,
        context=1024,
        compile_cache=tmp_path_factory.mktemp("cache"),
        after_step=lambda: None,
    )
    yield loaded
    loaded.engine.stop(0)


@pytest.mark.parametrize(
    "seeds", [range(10), pytest.param(range(10, 200), marks=pytest.mark.long)], ids=["few", "all"]
)
def test_every_whole_answer_is_valid(demo: LoadedModel, seeds: range) -> None:
    prompt = demo.tokenizer.encode("Write some JSON.")
    answers = {}
    for seed in seeds:
        answers[seed] = Answer()
        demo.engine.submit(
            prompt,
            SamplingParams(max_tokens=MOST_TOKENS, temperature=1.0, top_p=1.0, seed=seed),
            answers[seed].on_step,
            constraint=Constraint.json_schema(prepared(make_schema(seed), "schema")),
        )
    whole = 0
    for seed, answer in answers.items():
        assert answer.ended.wait(SECONDS)
        assert answer.finish is not None
        assert answer.finish.reason in (FinishReason.STOP, FinishReason.LENGTH), answer.finish
        if answer.finish.reason is FinishReason.STOP:
            validate(demo.tokenizer.decode(answer.ids), make_schema(seed))
            whole += 1
    # Numbers and names of further properties have no longest form.
    assert whole > 0.75 * len(seeds)
