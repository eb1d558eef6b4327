"""The training loop, with Muon and AdamW; the data of a step depends only on its number and seed.

So a checkpoint has the weights, the optimizers and the number of the step, and no data order.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from random import Random

import torch
from torch import Tensor
from torch.nn import functional
from transformers import LlamaForCausalLM

from scripts.demo_model.corpus import Conversation, Corpus
from scripts.demo_model.packing import (
    IGNORED,
    Batch,
    Encode,
    example_of,
    head_of,
    hidden_states,
    pack,
    shared_by,
)
from scripts.demo_model.topics import tools


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings that determine the weights, besides the corpus."""

    seed: int = 4
    steps: int = 3_000
    #: Conversations in a step without stories.
    conversations: int = 24
    row_tokens: int = 256
    #: Further conversations in a step, all with the same tools.
    tool_conversations: int = 0
    tool_row_tokens: int = 512
    #: One step of this many has long stories and long conversations.
    story_every: int = 10
    story_row_tokens: int = 900
    rate: float = 2.5e-3
    warmup_steps: int = 40
    #: Share of the steps, at the end, over which the rate falls linearly to 0.
    fall: float = 0.4
    weight_decay: float = 0.05
    clip: float = 1.0


#: Of the second run, which goes on from weights that know the topics, and adds the tools.
FURTHER = Settings(seed=5, steps=1_300, conversations=12, tool_conversations=10, rate=1.2e-3)


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the loss curve."""

    step: int
    loss: float
    #: Mean share of answer tokens that are predicted exactly.
    right: float


@dataclass(frozen=True, slots=True)
class _Part:
    """The contribution of some rows to a step."""

    gradients: tuple[Tensor, ...]
    loss: float
    right: float


class Training:
    """One training run; its checkpoint in a work folder allows it to resume."""

    def __init__(
        self,
        model: LlamaForCausalLM,
        encode: Encode,
        settings: Settings,
        work: Path,
        device: torch.device,
    ) -> None:
        self.model = model.to(device)
        self._encode = encode
        self._settings = settings
        self._state = work / "training.pt"
        self._device = device
        self._corpus = Corpus()
        self._head = head_of(encode)
        self._optimizers = _optimizers(model, settings)
        self._weights = list(model.parameters())
        # Two threads with half a batch each wait for each other once per step, torch's own threads
        # at every layer, which is slower on a busy machine.
        self._halves = ThreadPoolExecutor(2)
        self._done = 0
        self.curve: list[Point] = []
        if self._state.exists():
            self._resume()

    def run(self, *, save_every: int = 250, report_every: int = 25) -> Iterator[Point]:
        """Train to the end; yield a point of the curve every `report_every` steps.

        A checkpoint is written every `save_every` steps.
        """
        self.model.train()
        losses: list[float] = []
        rights: list[float] = []
        for step in range(self._done, self._settings.steps):
            loss, right = self._step(step)
            losses.append(loss)
            rights.append(right)
            self._done = step + 1
            if self._done % report_every == 0 or self._done == self._settings.steps:
                count = len(losses)
                self.curve.append(Point(self._done, sum(losses) / count, sum(rights) / count))
                losses.clear()
                rights.clear()
                yield self.curve[-1]
            if self._done % save_every == 0 or self._done == self._settings.steps:
                self._save()

    def _step(self, step: int) -> tuple[float, float]:
        """Train on one batch; return its loss and the share of tokens predicted exactly."""
        batches = [batch.to(self._device) for batch in self._batches(step)]
        count = sum(map(_count, batches))
        parts = list(self._halves.map(partial(self._part, count=count), batches))
        for weight, *gradients in zip(
            self._weights, *(part.gradients for part in parts), strict=True
        ):
            weight.grad = sum(gradients[1:], start=gradients[0])
        torch.nn.utils.clip_grad_norm_(self._weights, self._settings.clip)
        rate = _rate(step, self._settings)
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        list(self._halves.map(lambda optimizer: optimizer.step(), self._optimizers))
        return sum(part.loss for part in parts), sum(part.right for part in parts)

    def _part(self, batch: Batch, count: int) -> "_Part":
        """Return the contribution of some rows of a batch that has `count` learnt tokens."""
        chosen = batch.labels != IGNORED
        targets = batch.labels[chosen]
        with torch.autocast(self._device.type, torch.bfloat16):
            logits = self.model.lm_head(hidden_states(self.model, batch)[chosen])
        loss = functional.cross_entropy(logits.float(), targets, reduction="sum") / count
        gradients = torch.autograd.grad(loss, self._weights)
        right = (logits.argmax(-1) == targets).sum() / count
        return _Part(gradients, loss.item(), right.item())

    def _batches(self, step: int) -> list[Batch]:
        """Return the batches of a step, one for each thread."""
        rng = Random(f"{self._settings.seed}/{step}")
        if (step + 1) % self._settings.story_every == 0:
            return self._pack(self._stories(rng), self._settings.story_row_tokens).halves()
        ordinary = [self._corpus.draw(rng) for _ in range(self._settings.conversations)]
        batch = self._pack(ordinary, self._settings.row_tokens)
        if not self._settings.tool_conversations:
            return batch.halves()
        with_tools = tools.draw(rng, self._corpus, self._settings.tool_conversations)
        examples = [example_of(one, self._encode) for one in with_tools]
        return [batch, pack(examples, shared_by(examples), self._settings.tool_row_tokens)]

    def _pack(self, conversations: list[Conversation], length: int) -> Batch:
        return pack([example_of(one, self._encode) for one in conversations], self._head, length)

    def _stories(self, rng: Random) -> list[Conversation]:
        return (
            [self._corpus.draw_story(rng) for _ in range(2)]
            + [self._corpus.draw_long(rng) for _ in range(2)]
            + [self._corpus.draw(rng) for _ in range(self._settings.conversations // 4)]
        )

    def _save(self) -> None:
        state = {
            "settings": asdict(self._settings),
            "step": self._done,
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "curve": [asdict(point) for point in self.curve],
        }
        unfinished = self._state.with_suffix(".unfinished")
        torch.save(state, unfinished)
        unfinished.replace(self._state)

    def _resume(self) -> None:
        state = torch.load(self._state, map_location=self._device, weights_only=True)
        # Before the rate begins to fall, the total number of steps has had no effect.
        fewest = min(state["settings"]["steps"], self._settings.steps)
        held = state["step"] <= (1 - self._settings.fall) * fewest
        free = {"steps"} if held else set()
        for name, value in asdict(self._settings).items():
            if name not in free and state["settings"][name] != value:
                raise SystemExit(f"{self._state} has another {name}; remove it to start again")
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self._done = state["step"]
        self.curve = [Point(**point) for point in state["curve"]]


def _count(batch: Batch) -> int:
    return int((batch.labels != IGNORED).sum())


def _optimizers(model: LlamaForCausalLM, settings: Settings) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices of layers, since it learns rare facts sooner, and AdamW.

    There are two Muon optimizers with half of the matrices each, for two threads.
    """
    matrices: list[Tensor] = []
    others: list[Tensor] = []
    for name, weight in model.named_parameters():
        (matrices if weight.dim() == 2 and "embed" not in name else others).append(weight)
    muons = [
        torch.optim.Muon(
            half, lr=0.0, weight_decay=settings.weight_decay, adjust_lr_fn="match_rms_adamw"
        )
        for half in (matrices[::2], matrices[1::2])
    ]
    return [*muons, torch.optim.AdamW(others, lr=0.0, betas=(0.9, 0.95), weight_decay=0.0)]


def _rate(step: int, settings: Settings) -> float:
    """Return the learning rate of a step: a linear rise, a constant part, a linear fall."""
    rise = (step + 1) / settings.warmup_steps
    fall = (settings.steps - step) / (settings.fall * settings.steps)
    return settings.rate * min(1.0, rise, fall)


class Progress:
    """Prints a line for each point, with the remaining time."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._start: tuple[int, float] | None = None

    def show(self, point: Point) -> None:
        """Print one point."""
        now = time.monotonic()
        left = ""
        if self._start is None:
            self._start = point.step, now
        elif point.step > self._start[0]:
            pace = (now - self._start[1]) / (point.step - self._start[0])
            left = f"  {pace:.2f} s/step, {(self._steps - point.step) * pace / 60:.0f} min left"
        print(
            f"step {point.step:>5}/{self._steps}  loss {point.loss:.4f}"
            f"  right {point.right:6.1%}{left}",
            flush=True,
        )
