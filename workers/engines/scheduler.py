"""The turns of a `SlotEngine`, what the next step computes for them, and what a step returned.

All of it belongs to the engine's thread, except `SlotTurn.cancel`.
"""

from collections.abc import Sequence

from torch import Tensor

from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.token_logprobs import TokenLogprobs
from turnstream.workers import metrics
from turnstream.workers.cache_scope import CacheScope
from turnstream.workers.engine import Finish, FinishReason, OnLogprobs, OnStep
from turnstream.workers.engines.attention import PENDING_ID, NewTokens
from turnstream.workers.engines.grammars import Matcher
from turnstream.workers.engines.logit_changes import LogitChanges
from turnstream.workers.engines.logprobs import StepLogprobs
from turnstream.workers.engines.sampler import NOT_A_NUMBER
from turnstream.workers.engines.slots import Slot
from turnstream.workers.engines.to_device import copy_event

#: A prefill chunk is not made smaller than this when memory runs out.
LEAST_PROMPT_TOKENS = 32


class SlotTurn:
    """A turn in a `SlotEngine`, from `submit` to its finish."""

    def __init__(
        self,
        prompt: list[int],
        sampling: SamplingParams,
        on_step: OnStep,
        *,
        generated: int,
        context: int,
        low_priority: bool,
        on_logprobs: OnLogprobs | None,
        cache: CacheScope,
        matcher: Matcher | None = None,
    ) -> None:
        self.prompt = prompt
        #: Follows the answer's grammar; None if it has none.
        self.matcher = matcher
        self.sampling = sampling
        self.on_step = on_step
        self.cache = cache
        #: None if the turn reports no log probabilities.
        self.on_logprobs = None if sampling.top_logprobs is None else on_logprobs
        #: Of the token to be delivered next; None if it reports none.
        self.logprobs: TokenLogprobs | None = None
        #: How many of the prompt's last ids an earlier attempt generated.
        self.generated = generated
        #: How many tokens prompt and answer may have together.
        self.end = min(context, len(prompt) + (sampling.max_tokens or context))
        #: It skips steps in which other turns compute their first token.
        self.low_priority = low_priority
        self.slot: Slot | None = None
        #: How many turns were submitted before it.
        self.number = 0
        #: Whether it had a slot before and was put back.
        self.put_back = False
        self.cancelled = False
        #: Whether `on_step` was called with the finish.
        self.finished = False
        self.logit_changes: LogitChanges | None = None
        #: Whether its draws sort all tokens from now on; see `sampler.UNDECIDED`.
        self.sort_all = False
        #: Whether a step was launched whose token for this turn means nothing.
        self.skips_next = False
        #: How many of the prompt's tokens were in the cache when the turn got its slot.
        self.cached_tokens = 0

    @property
    def awaits_first_token(self) -> bool:
        """Whether the turn has a slot and no token of its answer."""
        slot = self.slot
        return slot is not None and len(slot.ids) + slot.pending == len(self.prompt)

    @property
    def rank(self) -> tuple[bool, int]:
        """The turn's place among all: those before it are not to wait for it."""
        return self.low_priority, self.number

    def leave_slot(self) -> Slot:
        """Give the slot up; the answer continues from its own tokens, which the host knows all."""
        slot, self.slot = self.slot, None
        assert slot is not None
        assert not slot.pending
        self.prompt = list(slot.ids)
        self.put_back = True
        return slot

    def choose_again(self) -> None:
        """Have the next token chosen again, for which not enough tokens were sorted."""
        slot = self.slot
        assert slot is not None
        # A step that ran ahead has taken the token that was not chosen.
        self.skips_next = slot.pending > 1
        slot.pending = 0
        slot.written = len(slot.ids) - 1
        self.sort_all = True

    def completes(self, new: NewTokens) -> bool:
        """Return whether these are the last tokens before the next one of the answer."""
        slot = self.slot
        assert slot is not None
        return slot.written + len(new.ids) == len(slot.ids) + slot.pending

    def take(self, id: int, eos_ids: frozenset[int]) -> tuple[list[int], Finish | None]:
        """Take the token chosen for this turn; return what is new of its answer, and its end."""
        assert self.slot is not None
        if id == NOT_A_NUMBER:
            message = "the model's output for this turn was not a number"
            return [], Finish(FinishReason.ERROR, message)
        if id in eos_ids and not self.sampling.ignore_eos:
            if self.matcher and not self.matcher.may_end:
                return [], Finish(FinishReason.ERROR, "the answer's grammar is too complex")
            return [], Finish(FinishReason.STOP)
        if self.matcher and not self.matcher.accept(id):
            return [], Finish(FinishReason.ERROR, "no token can continue the answer's grammar")
        self.slot.ids.append(id)
        if self.matcher and self.matcher.complete:
            return [id], Finish(FinishReason.STOP)
        if len(self.slot.ids) == self.end:
            return [id], Finish(FinishReason.LENGTH)
        return [id], None

    def deliver(self, ids: Sequence[int], finish: Finish | None) -> None:
        """Call `on_step`, and before it `on_logprobs` with the token's log probabilities."""
        logprobs, self.logprobs = self.logprobs, None
        # Not those of an EOS, which is not part of the answer.
        if self.on_logprobs and logprobs and ids:
            self.on_logprobs((logprobs,))
        self.on_step(ids, finish)

    def cancel(self) -> None:
        """End the turn within a step; a second call, or one after its end, changes nothing."""
        self.cancelled = True


class Scheduler:
    """Chooses what each step computes: one token of each answer, and chunks of new prompts.

    Args:
        prompt_tokens: how many prompt tokens one step takes at most.
    """

    def __init__(self, prompt_tokens: int) -> None:
        #: How many prompt tokens one step takes at most.
        self.prompt_tokens = prompt_tokens
        self._low_priority_waits = False

    def shrink(self) -> bool:
        """Take half as many prompt tokens from now on; return False if that would be too few."""
        if self.prompt_tokens <= LEAST_PROMPT_TOKENS:
            return False
        self.prompt_tokens = max(self.prompt_tokens // 2, LEAST_PROMPT_TOKENS)
        return True

    def next_step(self, running: Sequence[SlotTurn]) -> list[tuple[SlotTurn, NewTokens]]:
        """Return the new tokens of each turn; prompts are taken in the order of submission."""
        step: list[tuple[SlotTurn, NewTokens]] = []
        room = self.prompt_tokens
        # A first token is awaited most, so low-priority turns skip that step. They never skip two
        # steps in a row, so that a sequence of new turns cannot stop them.
        first_due = any(turn.awaits_first_token for turn in running if not turn.low_priority)
        self._low_priority_waits = first_due and not self._low_priority_waits
        for turn in running:
            if turn.low_priority and self._low_priority_waits:
                continue
            slot = turn.slot
            assert slot is not None
            if turn.matcher and slot.pending:
                # Its grammar says what may come next only once the last token is known here.
                continue
            chosen = len(slot.ids) + slot.pending
            missing = chosen - slot.written
            decoding = missing == 1
            size = 1 if decoding else min(missing, room)
            # A turn with all its tokens only waits until the host knows the last of them.
            if size and chosen < turn.end:
                ids = slot.ids[slot.written : slot.written + size] or [PENDING_ID]
                step.append((turn, NewTokens(slot=slot.index, start=slot.written, ids=ids)))
                room -= 0 if decoding else size
        if step:
            metrics.ENGINE_BATCH_SIZE.observe(len(step))
        return step


class PendingStep:
    """A launched step whose chosen ids the host may not know yet.

    A GPU computes while the host continues: the ids are copied in the background, and only
    `ids` waits for them.

    Args:
        answered: the turns that get a token, with the slots they had at the launch.
        ids: ``(answered,)`` int64, on the device; below 0 where the logits are not numbers.
        logprobs: of the turns that report them, on the device; None if no turn does.
    """

    def __init__(
        self,
        answered: Sequence[tuple[SlotTurn, Slot]],
        ids: Tensor,
        logprobs: StepLogprobs | None = None,
    ) -> None:
        self.answered = answered
        #: Where the device can read them at once.
        self.device_ids = ids
        self._ids = ids.to("cpu", non_blocking=True)
        self._logprobs = logprobs.to_host() if logprobs else None
        self._copied = copy_event(ids.device)

    def ids(self) -> list[int]:
        """Return the ids; wait until the device has computed them."""
        if self._copied:
            self._copied.synchronize()
        return self._ids.tolist()

    def logprobs(self) -> dict[int, TokenLogprobs]:
        """Return the log probabilities by place in `answered`; to be called after `ids`."""
        return self._logprobs.by_place() if self._logprobs else {}
