"""One attempt at a turn: its state, and the way from the engine's token ids to events.

Four kinds of threads call an attempt. The engine's thread adds ids (`on_step`), the publisher's
takes events (`take`), and the control, heartbeat and claimer threads change what becomes of it. All
changes go through the table in `attempt_state`, under one lock.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock

from turnstream.turns.errors import BadRequest
from turnstream.turns.log import Append
from turnstream.turns.origin import log_fields
from turnstream.turns.token_logprobs import TokenLogprobs
from turnstream.turns.turn import Claimed
from turnstream.workers.answer_events import AnswerEvents
from turnstream.workers.answer_reader import AnswerReader
from turnstream.workers.attempt_state import (
    LAST_TO_TAKE,
    NOTHING_TO_TAKE,
    SLOT_FREE,
    TO_LEAVE_ENGINE,
    TRANSITIONS,
    AttemptState,
    Transition,
)
from turnstream.workers.engine import Finish, FinishReason, Handle
from turnstream.workers.shown_tokens import Vocabulary
from turnstream.workers.turn_clock import TurnClock

log = logging.getLogger(__name__)

#: Write interval of a turn without readers; a later attempt may compute this much again.
UNREAD_SECONDS = 0.25


def _ignore() -> None:
    return


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """What an attempt calls; none of these may wait."""

    #: The ids of the running step are to be written at the end of the step.
    write_after_step: Callable[[], None] = _ignore
    #: The slot became free, or was preempted and can be reassigned.
    slot_changed: Callable[[], None] = _ignore
    engine_healthy: Callable[[], bool] = lambda: True


class Attempt:
    """One attempt at a turn, from its claim until its last event is written."""

    def __init__(
        self,
        claimed: Claimed,
        reader: AnswerReader,
        callbacks: Callbacks = Callbacks(),
        *,
        input_tokens: int = 0,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        self.claimed = claimed
        self.clock = TurnClock(claimed)
        self._callbacks = callbacks
        self._events = AnswerEvents(
            claimed, reader, input_tokens=input_tokens, vocabulary=vocabulary
        )
        # Guards all of these. Nothing is called while it is held.
        self._lock = Lock()
        self._state = AttemptState.CLAIMED
        self._handle: Handle | None = None
        self._ids: list[int] = []
        #: Of these ids and perhaps of the next, which come after them.
        self._logprobs: list[TokenLogprobs] = []
        self._finish: Finish | None = None
        self._refusal: BadRequest | None = None
        #: New input waits for the turn's end.
        self._steered = False
        #: The publisher ended the turn for it: ids that come after the last slice are not shown.
        self._cut = False
        self._cancelled = False

    @property
    def state(self) -> AttemptState:
        """Where the attempt stands now."""
        return self._state

    @property
    def slot_free(self) -> bool:
        """Whether the slot can be given to another turn; a pending slot cannot."""
        return self._state in SLOT_FREE

    @property
    def dropped(self) -> bool:
        """Whether nothing more is written."""
        return self._state in (AttemptState.DROPPING, AttemptState.DROPPED)

    def start(self, handle: Handle) -> None:
        """Note that the engine has taken the turn; cancel it if that was asked for meanwhile."""
        with self._lock:
            self._handle = handle
        self._apply(Transition.START)

    def cancel(self) -> None:
        """End the turn: its reader cancelled it."""
        self._cancelled = True
        self._apply(Transition.CANCEL)

    def steer(self) -> None:
        """End the turn with its next slice, unless it calls a tool: then it goes on to its end."""
        self._steered = True

    def preempt(self) -> None:
        """Free the slot for another turn; this one is requeued and continues from its log."""
        self._apply(Transition.PREEMPT)

    def reassign_slot(self) -> None:
        """Note that the turn for the preempted slot is claimed."""
        self._apply(Transition.REASSIGN_SLOT)

    def drop(self) -> None:
        """Write nothing more: another attempt has the turn, or it ended or expired."""
        self._apply(Transition.DROP)

    def refuse(self, error: BadRequest) -> None:
        """End the turn with an error about its request."""
        self._apply(Transition.REFUSE, refusal=error)

    def abandon(self) -> None:
        """Leave the turn to another worker: the engine is dead and did not take it."""
        self._apply(Transition.ABANDON)

    def on_logprobs(self, logprobs: Sequence[TokenLogprobs]) -> None:
        """Take the log probabilities of the ids that come next, on the engine's thread."""
        with self._lock:
            self._logprobs.extend(logprobs)

    def on_step(self, ids: Sequence[int], finish: Finish | None) -> None:
        """Take the ids of one step, on the engine's thread."""
        if finish is None:
            with self._lock:
                self._ids.extend(ids)
            if self._urgent:
                self._callbacks.write_after_step()
            return
        if finish.reason is FinishReason.ERROR:
            about = log_fields(self.claimed)
            log.error("%s: the engine failed: %s", self.claimed.id, finish.message, extra=about)
            if not self._callbacks.engine_healthy():
                # The process will end, and another attempt continue from the log.
                self.drop()
        cancelled = finish.reason is FinishReason.CANCELLED
        transition = Transition.LEAVE_ENGINE if cancelled else Transition.FINISH
        self._apply(transition, ids=ids, finish=finish)
        self._callbacks.write_after_step()

    def take(self) -> Append | None:
        """Return the events of the ids gathered so far; None when there is nothing to write."""
        with self._lock:
            if self._state in NOTHING_TO_TAKE:
                return None
            last = self._state in LAST_TO_TAKE
            if not last and self._may_wait():
                return None
            ids, self._ids = self._ids, []
            logprobs = self._logprobs[: len(ids)]
            del self._logprobs[: len(ids)]
        steered = self._cut and not self._cancelled
        if self._refusal is not None:
            return self._events.refuse(self._refusal) if self._take_last() else None
        if not steered:
            self._events.feed(ids, logprobs)
        if self._events.stopped:
            self._apply(Transition.CANCEL)
        elif self._steered and not (last or self._cut or self._events.calls_tools):
            self._cut = self._apply(Transition.CANCEL) is not None
        if not last:
            return self._events.slice()
        match self._take_last():
            case AttemptState.REQUEUED:
                return self._events.requeue()
            case AttemptState.ENDED:
                assert self._finish is not None
                cached = self._handle.cached_tokens if self._handle else 0
                return self._events.end(self._finish, cached_tokens=cached, steered=steered)
            case _:
                return None

    def written(self) -> None:
        """Note that the last events are in the log; the slot of a requeued turn is free now."""
        self._apply(Transition.WRITE_LAST)

    @property
    def _urgent(self) -> bool:
        # The first text is shown at once, and a stop string must be found before more is computed.
        unread = self.claimed.unread
        return bool(self.claimed.request.stop) or not (self._events.opened or unread)

    def _may_wait(self) -> bool:
        if not self.claimed.unread or self._urgent:
            return False
        # All turns without readers are written at the same moments, in one call.
        return time.monotonic() // UNREAD_SECONDS == self._events.last_made // UNREAD_SECONDS

    def _take_last(self) -> AttemptState | None:
        return self._apply(Transition.TAKE_LAST)

    def _apply(
        self,
        transition: Transition,
        *,
        ids: Sequence[int] = (),
        finish: Finish | None = None,
        refusal: BadRequest | None = None,
    ) -> AttemptState | None:
        """Change the state as the table says; return the new state, or None if it ignores this."""
        with self._lock:
            before = self._state
            after = TRANSITIONS[transition].get(before)
            if after is not None:
                self._state = after
                self._ids.extend(ids)
                self._finish = finish or self._finish
                self._refusal = refusal or self._refusal
            now, handle = self._state, self._handle
            # `start` brings the handle to a state that was reached without one.
            leaves = now in TO_LEAVE_ENGINE and (
                before not in TO_LEAVE_ENGINE or transition is Transition.START
            )
        if leaves and handle is not None:
            handle.cancel()
        freed = now in SLOT_FREE and before not in SLOT_FREE
        if freed or after is AttemptState.PREEMPTING:
            self._callbacks.slot_changed()
        return after
