"""One turn in a `SlotEngine`, from its being handed in to its end."""

from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.engine import OnStep
from turnstream.workers.engines.penalties import Penalties
from turnstream.workers.engines.slots import Slot


class SlotTurn:
    """A turn in a `SlotEngine`; all but `cancel` belongs to the engine's thread."""

    def __init__(
        self,
        prompt: list[int],
        sampling: SamplingParams,
        on_step: OnStep,
        *,
        generated: int,
        end: int,
        low_priority: bool,
    ) -> None:
        self.prompt = prompt
        self.sampling = sampling
        self.on_step = on_step
        #: How many of the prompt's last ids an earlier attempt generated.
        self.generated = generated
        #: How many tokens prompt and answer may have together.
        self.end = end
        #: It sits out steps with others who have said nothing yet.
        self.low_priority = low_priority
        self.slot: Slot | None = None
        self.cancelled = False
        #: Its finish was told.
        self.over = False
        self.penalties: Penalties | None = None
        #: How many of the prompt's tokens were there already when the turn joined.
        self.cached_tokens = 0

    @property
    def awaits_first_token(self) -> bool:
        """Whether a turn that has its slot has said nothing yet."""
        slot = self.slot
        return slot is not None and len(slot.ids) + slot.unknown == len(self.prompt)

    def cancel(self) -> None:
        """End the turn within a step; a second time, or after its end, changes nothing."""
        self.cancelled = True
