"""One launched step: who hears of it, and the ids that it chose, once they are known.

A GPU computes while the host goes on. So the ids are copied to the host in the background, and
only who asks for them waits.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from turnstream.workers.engines.slot_turn import SlotTurn
from turnstream.workers.engines.slots import Slot


class PendingStep:
    """What a step brings.

    Args:
        answered: the turns that get a token, with the slots that they had when it was launched.
        ids: ``(answered,)`` int64, on the device; below 0 where the logits are not numbers.
    """

    def __init__(self, answered: Sequence[tuple[SlotTurn, Slot]], ids: Tensor) -> None:
        self.answered = answered
        self._ids = ids.to("cpu", non_blocking=True)
        self._copied = torch.cuda.Event() if ids.is_cuda else None
        if self._copied:
            self._copied.record(torch.cuda.current_stream(ids.device))

    def ids(self) -> list[int]:
        """Return the ids, when the device has them."""
        if self._copied:
            self._copied.synchronize()
        return self._ids.tolist()
