"""One attempt at a turn: new token ids go in, numbered events come out.

Two threads meet here. The engine's thread only puts ids into the box; the publisher's thread takes
whatever has gathered and makes slices and events of it, so a slow Redis makes slices longer and
loses nothing.
"""

import time
from collections.abc import Sequence
from threading import Lock

from turnstream.turns import events, response
from turnstream.turns.errors import BadRequest
from turnstream.turns.log import Append, Entry, Final, Requeued
from turnstream.turns.shapes import Cut, MessageItem, MessageStatus
from turnstream.turns.turn import Claimed
from turnstream.workers.engine import Finish, FinishReason, Handle
from turnstream.workers.slicer import IdSlicer

#: A turn that has nothing to show for so long says that it is being answered all the same.
IN_PROGRESS_SECONDS = 10.0
#: A turn that nobody reads is written only so often; so much another attempt computes again.
UNREAD_SECONDS = 0.25
_NO_ERROR = "null"


class Answer:
    """What a worker knows of a turn that it answers."""

    def __init__(self, claimed: Claimed, slicer: IdSlicer) -> None:
        self.claimed = claimed
        self.input_tokens = 0
        #: Set once the engine has the turn.
        self.handle: Handle | None = None
        #: The turn's slot is free again; its last event may not be written yet.
        self.finished = False
        #: A reader asked for the end: what the engine calls cancelled is then the turn's end.
        self.stop_asked = False
        #: People wait for the slot: what the engine calls cancelled then goes on later.
        self.preempted = False
        #: The slot is somebody's already.
        self.replaced = False
        #: The turn is somebody else's by now, or nobody's: nothing more is written.
        self.dropped = False
        self._slicer = slicer
        self._lock = Lock()
        self._box: list[int] = []
        self._finish: Finish | None = None
        self._refusal: BadRequest | None = None
        self._unlogged: list[int] = []
        self._next = claimed.seq + 1
        self._spoke = time.monotonic()
        self._opened = bool(claimed.ids)
        self._output_tokens = len(claimed.ids)
        # What an earlier attempt logged was shown: the slicer must be in the state it was in then.
        self._text = slicer.feed(claimed.ids)

    def start(self, handle: Handle) -> None:
        """The engine has the turn."""
        self.handle = handle
        if self.stop_asked or self.preempted or self.dropped:
            handle.cancel()

    def put(self, ids: Sequence[int], finish: Finish | None) -> bool:
        """Take in what a step brought, on the engine's thread; tell whether to write it at once."""
        with self._lock:
            self._box.extend(ids)
            self._finish = finish
        # A slot that is given back is free once the turn is in line again, not before: till then it
        # is counted as coming, and whoever asked for it would be given two.
        if finish is not None and not self._goes_on(finish):
            self.finished = True
        return finish is not None or self._pressing

    def preempt(self) -> None:
        """Give the slot back: the turn goes on later from what is logged of it."""
        self.preempted = True
        if self.handle is not None:
            self.handle.cancel()

    def stop(self) -> None:
        """End the turn because a reader asked for it."""
        self.stop_asked = True
        if self.handle is not None:
            self.handle.cancel()

    def drop(self) -> None:
        """Give the turn up without a word: it goes on elsewhere, or nowhere."""
        self.dropped = True
        if self._finish is not None:
            self.finished = True
        elif self.handle is not None:
            self.handle.cancel()

    def refuse(self, error: BadRequest) -> None:
        """End the turn because its request turned out to be bad."""
        self._refusal = error
        self.finished = True

    def take(self) -> Append | None:
        """Make events of what has gathered; None when there is nothing to say yet."""
        if self.dropped:
            return None
        if self._refusal is not None:
            return self._refused(self._refusal)
        with self._lock:
            if self._finish is None and self._may_wait():
                return None
            ids, self._box, finish = self._box, [], self._finish
        self._unlogged += ids
        self._output_tokens += len(ids)
        text = self._slicer.feed(ids)
        if finish is not None and self._goes_on(finish):
            # What is held back stays so: the next attempt computes it again.
            self.dropped = True
            return self._append(self._slice(text) if text else [], Requeued())
        if finish is not None:
            text += self._slicer.finish()
        elif self._slicer.stopped and self.handle is not None:
            self.handle.cancel()
        entries = self._slice(text) if text else []
        if finish is not None:
            return self._ending(finish, entries)
        if not entries and time.monotonic() - self._spoke >= IN_PROGRESS_SECONDS:
            entries = [Entry(events.still_in_progress(self._next, self.claimed.rest))]
        return self._append(entries) if entries else None

    @property
    def _pressing(self) -> bool:
        """Whether what comes is to be written at once."""
        # A stop string must be seen when it comes: its answer ends there.
        return bool(self.claimed.request.stop) or not (self._opened or self.claimed.unread)

    def _may_wait(self) -> bool:
        if not self.claimed.unread or self._pressing:
            return False
        # All of them are written at the same moments, in one call.
        return time.monotonic() // UNREAD_SECONDS == self._spoke // UNREAD_SECONDS

    def _goes_on(self, finish: Finish) -> bool:
        """Whether the turn goes back to its line."""
        yields = self.preempted and not (self.stop_asked or self.dropped or self._slicer.stopped)
        return yields and finish.reason is FinishReason.CANCELLED

    def _refused(self, error: BadRequest) -> Append:
        body = response.error_json("invalid_prompt", error.message)
        rest = self._rest(item=None, reason=None, completed=False)
        return self._append(
            [Entry(events.refused(self._next, error))],
            Final(status="failed", error=body, rest=rest, text="", tokens=self._tokens),
        )

    def _slice(self, text: str) -> list[Entry]:
        entries = []
        seq = self._next
        if not self._opened:
            self._opened = True
            entries = [Entry(event) for event in events.opening(self.claimed.id, seq)]
        delta = events.text_delta(self.claimed.id, seq + len(entries), text)
        entries.append(Entry(delta, tuple(self._unlogged)))
        self._unlogged = []
        self._text += text
        return entries

    def _ending(self, finish: Finish, entries: list[Entry]) -> Append | None:
        match finish.reason:
            # A stop string ends an answer as the model's own end would.
            case reason if self._slicer.stopped and reason is not FinishReason.ERROR:
                return self._closed(entries, "completed", None)
            case FinishReason.STOP:
                return self._closed(entries, "completed", None)
            case FinishReason.LENGTH:
                return self._closed(entries, "incomplete", "max_output_tokens")
            case FinishReason.CANCELLED if self.stop_asked:
                return self._closed(entries, "cancelled", None)
            case FinishReason.CANCELLED:
                self.dropped = True
                return None
            case FinishReason.ERROR:
                return self._failed(entries, finish.message)

    def _closed(self, entries: list[Entry], status: str, reason: Cut | None) -> Append:
        if not self._opened:
            opening = events.opening(self.claimed.id, self._next + len(entries))
            entries = [*entries, *map(Entry, opening)]
        item_status: MessageStatus = "completed" if status == "completed" else "incomplete"
        seq = self._next + len(entries)
        closing = events.closing(self.claimed.id, seq, item_status, self._text)
        item = response.message_item(self.claimed.id, item_status, self._text)
        rest = self._rest(item=item, reason=reason, completed=status == "completed")
        end = events.terminal(seq + len(closing), status, _NO_ERROR, rest)
        return self._append(
            [*entries, *map(Entry, closing), Entry(end)],
            Final(status=status, error=_NO_ERROR, rest=rest, text=self._text, tokens=self._tokens),
        )

    def _failed(self, entries: list[Entry], message: str) -> Append:
        error = response.error_json("server_error", message)
        item = response.message_item(self.claimed.id, "incomplete", self._text)
        rest = self._rest(item=item if self._opened else None, reason=None, completed=False)
        end = events.terminal(self._next + len(entries), "failed", error, rest)
        return self._append(
            [*entries, Entry(end)],
            Final(status="failed", error=error, rest=rest, text=self._text, tokens=self._tokens),
        )

    @property
    def _tokens(self) -> int:
        return self.input_tokens + self._output_tokens

    def _rest(self, *, item: MessageItem | None, reason: Cut | None, completed: bool) -> str:
        return response.finished_rest(
            self.claimed.rest,
            item=item,
            incomplete_reason=reason,
            input_tokens=self.input_tokens,
            # Of this attempt; never more than the prompt has, though earlier ids may be known too.
            cached_tokens=min(self.handle.cached_tokens, self.input_tokens) if self.handle else 0,
            output_tokens=self._output_tokens,
            completed_at=int(time.time()) if completed else None,
        )

    def _append(self, entries: list[Entry], final: Final | Requeued | None = None) -> Append:
        part = Append(
            id=self.claimed.id,
            attempt=self.claimed.attempt,
            first=self._next,
            entries=tuple(entries),
            final=final,
        )
        self._next += len(entries)
        self._spoke = time.monotonic()
        return part
