"""Turn the token ids of one attempt into numbered events.

Belongs to the publisher's thread; only `opened` is read by others.
"""

import time
from collections.abc import Sequence

from turnstream.prompts.tools import Part
from turnstream.turns import events, response
from turnstream.turns.errors import BadRequest
from turnstream.turns.log import Append, Entry, Final, Requeued
from turnstream.turns.shapes import Cut, OutputItem
from turnstream.turns.token_logprobs import TokenLogprobs
from turnstream.turns.turn import Claimed
from turnstream.workers.answer_reader import AnswerReader
from turnstream.workers.engine import Finish, FinishReason
from turnstream.workers.output_items import OutputItems
from turnstream.workers.shown_tokens import ShownTokens, Vocabulary

#: A turn without new text gets a `response.in_progress` event at this interval.
IN_PROGRESS_SECONDS = 10.0
_NO_ERROR = "null"


class AnswerEvents:
    """The events of one attempt, numbered on from the turn's log.

    `vocabulary` is needed for a turn that reports log probabilities only.
    """

    def __init__(
        self,
        claimed: Claimed,
        reader: AnswerReader,
        *,
        input_tokens: int,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        #: When the last events were made, by `time.monotonic`.
        self.last_made = time.monotonic()
        self._claimed = claimed
        self._reader = reader
        self._input_tokens = input_tokens
        self._output_tokens = 0
        reports = claimed.request.sampling.top_logprobs is not None
        self._shown = ShownTokens(vocabulary) if vocabulary and reports else None
        self._items = OutputItems(claimed.id, self._shown)
        #: Of the ids that are not logged yet.
        self._unlogged_logprobs: list[TokenLogprobs] = []
        self._next = claimed.seq + 1
        # Readers have seen what these ids say: replaying them restores the state of the reader.
        said = self._read(claimed.token_ids)
        if self._shown:
            self._shown.feed(claimed.token_ids, claimed.logprobs)
        self._items.add(said, 0)
        self._unlogged: list[int] = []
        self._unsent: list[Part] = []

    @property
    def opened(self) -> bool:
        """Whether an output item has begun, in this attempt or an earlier one."""
        return self._items.opened

    @property
    def stopped(self) -> bool:
        """Whether the text has met a stop string, or the last call has ended."""
        return self._reader.stopped

    @property
    def calls_tools(self) -> bool:
        """Whether a call of a tool has begun."""
        return self._items.calls

    def feed(self, ids: Sequence[int], logprobs: Sequence[TokenLogprobs] = ()) -> None:
        """Take new ids; their text goes into the next slice.

        Args:
            logprobs: of the same ids, if the turn reports them.
        """
        self._unlogged += ids
        self._unsent += self._read(ids)
        if self._shown:
            self._unlogged_logprobs += logprobs
            self._shown.feed(ids, logprobs)

    def slice(self) -> Append | None:
        """Return the text since the last slice; None when there is nothing to write."""
        entries = self._slice()
        if not entries and time.monotonic() - self.last_made >= IN_PROGRESS_SECONDS:
            entries = [Entry(events.still_in_progress(self._next, self._claimed.response))]
        return self._append(entries) if entries else None

    def requeue(self) -> Append:
        """Return the last slice of an attempt whose turn is requeued.

        Text that the slicer holds back is not shown: the next attempt computes its ids again.
        """
        return self._append(self._slice(), Requeued())

    def refuse(self, error: BadRequest) -> Append:
        """Return the end of a turn whose request cannot be answered."""
        body = response.error_json("invalid_prompt", error.message)
        finished = self._finished_response(output=(), reason=None, completed=False, cached_tokens=0)
        return self._append(
            [Entry(events.refused(self._next, error))],
            Final(
                status="failed",
                error=body,
                response=finished,
                text="",
                tokens=self._tokens,
                input_tokens=self._input_tokens,
            ),
        )

    def end(self, finish: Finish, *, cached_tokens: int, steered: bool = False) -> Append:
        """Return the last slice and the events that end the turn."""
        self._unsent += self._reader.finish(cut=steered or finish.reason is not FinishReason.STOP)
        entries = self._slice(last=True)
        match finish.reason:
            case FinishReason.ERROR:
                return self._failed(entries, finish.message, cached_tokens)
            # A stop string ends an answer as the model's own end would.
            case _ if self._reader.stopped:
                return self._closed(entries, "completed", None, cached_tokens)
            case _ if steered:
                return self._closed(entries, "incomplete", "steered", cached_tokens)
            case FinishReason.STOP:
                return self._closed(entries, "completed", None, cached_tokens)
            case FinishReason.LENGTH:
                return self._closed(entries, "incomplete", "max_output_tokens", cached_tokens)
            case FinishReason.CANCELLED:
                return self._closed(entries, "cancelled", None, cached_tokens)

    def _read(self, ids: Sequence[int]) -> list[Part]:
        """Return the parts of new ids; stop strings count after the first `min_tokens` tokens."""
        unstoppable = self._claimed.request.sampling.min_tokens - self._output_tokens
        self._output_tokens += len(ids)
        if unstoppable <= 0:
            return self._reader.feed(ids)
        parts = self._reader.feed(ids[:unstoppable], may_stop=False)
        return parts + self._reader.feed(ids[unstoppable:])

    def _slice(self, *, last: bool = False) -> list[Entry]:
        parts, self._unsent = self._unsent, []
        made = self._items.add(parts, self._next, last=last) if parts or last else []
        if not made:
            return []
        # All events of a slice are written together, so the ids may be at any of them.
        ids = Entry(made[-1], tuple(self._unlogged), tuple(self._unlogged_logprobs))
        self._unlogged, self._unlogged_logprobs = [], []
        return [*map(Entry, made[:-1]), ids]

    def _closed(
        self, entries: list[Entry], status: str, reason: Cut | None, cached_tokens: int
    ) -> Append:
        completed = status == "completed"
        closing = self._items.close(self._next + len(entries), completed=completed)
        finished = self._finished_response(
            output=self._items.items(completed=completed),
            reason=reason,
            completed=completed,
            cached_tokens=cached_tokens,
        )
        seq = self._next + len(entries) + len(closing)
        end = events.terminal(seq, status, _NO_ERROR, finished)
        return self._ended(
            [*entries, *map(Entry, closing), Entry(end)], status, finished, cached_tokens
        )

    def _failed(self, entries: list[Entry], message: str, cached_tokens: int) -> Append:
        error = response.error_json("server_error", message)
        finished = self._finished_response(
            output=self._items.items(completed=False),
            reason=None,
            completed=False,
            cached_tokens=cached_tokens,
        )
        end = events.terminal(self._next + len(entries), "failed", error, finished)
        return self._ended([*entries, Entry(end)], "failed", finished, cached_tokens, error=error)

    def _ended(
        self,
        entries: list[Entry],
        status: str,
        finished: str,
        cached_tokens: int,
        *,
        error: str = _NO_ERROR,
    ) -> Append:
        return self._append(
            entries,
            Final(
                status=status,
                error=error,
                response=finished,
                text=self._items.text,
                calls=self._items.calls_json(),
                tokens=self._tokens,
                input_tokens=self._input_tokens,
                # The engine's prompt includes ids of earlier attempts, which may be cached too.
                cached_tokens=min(cached_tokens, self._input_tokens),
            ),
        )

    @property
    def _tokens(self) -> int:
        return self._input_tokens + self._output_tokens

    def _finished_response(
        self,
        *,
        output: Sequence[OutputItem],
        reason: Cut | None,
        completed: bool,
        cached_tokens: int,
    ) -> str:
        return response.finished_response(
            self._claimed.response,
            output=output,
            incomplete_reason=reason,
            input_tokens=self._input_tokens,
            # The engine's prompt includes ids of earlier attempts, which may be cached as well.
            cached_tokens=min(cached_tokens, self._input_tokens),
            output_tokens=self._output_tokens,
            completed_at=int(time.time()) if completed else None,
        )

    def _append(self, entries: list[Entry], final: Final | Requeued | None = None) -> Append:
        part = Append(
            id=self._claimed.id,
            attempt=self._claimed.attempt,
            first=self._next,
            entries=tuple(entries),
            final=final,
        )
        self._next += len(entries)
        self.last_made = time.monotonic()
        return part
