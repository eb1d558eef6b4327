"""What the next step takes up: every answering turn's next token, and pieces of joining prompts."""

from collections.abc import Sequence

from turnstream.workers.engines.attention import LATEST, Part
from turnstream.workers.engines.slot_turn import SlotTurn


class StepPlan:
    """Remembers from step to step who sat out.

    Args:
        prompt_tokens: how much of the joining prompts one step takes at most.
    """

    def __init__(self, prompt_tokens: int) -> None:
        self._prompt_tokens = prompt_tokens
        self._sitting_out = False

    def next_parts(self, running: Sequence[SlotTurn]) -> list[tuple[SlotTurn, Part]]:
        """Pick what each turn brings; prompts come in the order of joining."""
        parts: list[tuple[SlotTurn, Part]] = []
        room = self._prompt_tokens
        # Who has said nothing yet is waited for most. But nobody sits out two steps on end, so that
        # no crowd of them holds up the others for good.
        awaited = any(turn.awaits_first_token for turn in running if not turn.low_priority)
        self._sitting_out = awaited and not self._sitting_out
        for turn in running:
            if turn.low_priority and self._sitting_out:
                continue
            slot = turn.slot
            assert slot is not None
            chosen = len(slot.ids) + slot.unknown
            missing = chosen - slot.written
            answering = missing == 1
            size = 1 if answering else min(missing, room)
            # A turn that has all its tokens is only waiting to hear of the last.
            if size and chosen < turn.end:
                ids = slot.ids[slot.written : slot.written + size] or [LATEST]
                parts.append((turn, Part(row=slot.index, start=slot.written, ids=ids)))
                room -= 0 if answering else size
        return parts
