"""Turn the token ids of one attempt into numbered events.

Belongs to the publisher's thread; only `opened` is read by others.
"""

import time
from collections.abc import Sequence

from turnstream.turns import events, response
from turnstream.turns.errors import BadRequest
from turnstream.turns.log import Append, Entry, Final, Requeued
from turnstream.turns.shapes import Cut, MessageItem, MessageStatus, TokenLogprob
from turnstream.turns.token_logprobs import TokenLogprobs
from turnstream.turns.turn import Claimed
from turnstream.workers.engine import Finish, FinishReason
from turnstream.workers.shown_tokens import ShownTokens, Vocabulary
from turnstream.workers.slicer import IdSlicer

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
        slicer: IdSlicer,
        *,
        input_tokens: int,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        #: Whether the output item has been opened, by this attempt or an earlier one.
        self.opened = bool(claimed.token_ids)
        #: When the last events were made, by `time.monotonic`.
        self.last_made = time.monotonic()
        self._claimed = claimed
        self._slicer = slicer
        self._input_tokens = input_tokens
        self._output_tokens = 0
        reports = claimed.request.sampling.top_logprobs is not None
        self._shown = ShownTokens(vocabulary) if vocabulary and reports else None
        #: Of the tokens that readers have seen, and of the ids that are not logged yet.
        self._logprobs: list[TokenLogprob] = []
        self._unlogged_logprobs: list[TokenLogprobs] = []
        self._next = claimed.seq + 1
        # Readers have seen the text of these ids: replaying them restores the slicer's state.
        self._text = self._sliced(claimed.token_ids)
        if self._shown:
            self._shown.feed(claimed.token_ids, claimed.logprobs)
            self._logprobs += self._shown.take(len(self._text))
        self._unlogged: list[int] = []
        self._unsent = ""

    @property
    def stopped(self) -> bool:
        """Whether the text has met a stop string."""
        return self._slicer.stopped

    def feed(self, ids: Sequence[int], logprobs: Sequence[TokenLogprobs] = ()) -> None:
        """Take new ids; their text goes into the next slice.

        Args:
            logprobs: of the same ids, if the turn reports them.
        """
        self._unlogged += ids
        self._unsent += self._sliced(ids)
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
        finished = self._finished_response(item=None, reason=None, completed=False, cached_tokens=0)
        return self._append(
            [Entry(events.refused(self._next, error))],
            Final(status="failed", error=body, response=finished, text="", tokens=self._tokens),
        )

    def end(self, finish: Finish, *, cached_tokens: int) -> Append:
        """Return the last slice and the events that end the turn."""
        self._unsent += self._slicer.finish()
        entries = self._slice(last=True)
        match finish.reason:
            case FinishReason.ERROR:
                return self._failed(entries, finish.message, cached_tokens)
            # A stop string ends an answer as the model's own end would.
            case _ if self._slicer.stopped:
                return self._closed(entries, "completed", None, cached_tokens)
            case FinishReason.STOP:
                return self._closed(entries, "completed", None, cached_tokens)
            case FinishReason.LENGTH:
                return self._closed(entries, "incomplete", "max_output_tokens", cached_tokens)
            case FinishReason.CANCELLED:
                return self._closed(entries, "cancelled", None, cached_tokens)

    def _sliced(self, ids: Sequence[int]) -> str:
        """Return the text of new ids; stop strings count after the first `min_tokens` tokens."""
        unstoppable = self._claimed.request.sampling.min_tokens - self._output_tokens
        self._output_tokens += len(ids)
        if unstoppable <= 0:
            return self._slicer.feed(ids)
        text = self._slicer.feed(ids[:unstoppable], may_stop=False)
        return text + self._slicer.feed(ids[unstoppable:])

    def _slice(self, *, last: bool = False) -> list[Entry]:
        text, self._unsent = self._unsent, ""
        logprobs: list[TokenLogprob] = []
        if self._shown and (text or last):
            shown = len(self._text) + len(text)
            logprobs = self._shown.take_last(shown) if last else self._shown.take(shown)
        # At the end there may be tokens without text, such as an EOS that was ignored.
        if not (text or logprobs):
            return []
        entries = []
        if not self.opened:
            self.opened = True
            entries = [Entry(event) for event in events.opening(self._claimed.id, self._next)]
        delta = events.text_delta(self._claimed.id, self._next + len(entries), text, logprobs)
        entries.append(Entry(delta, tuple(self._unlogged), tuple(self._unlogged_logprobs)))
        self._unlogged, self._unlogged_logprobs = [], []
        self._text += text
        self._logprobs += logprobs
        return entries

    def _closed(
        self, entries: list[Entry], status: str, reason: Cut | None, cached_tokens: int
    ) -> Append:
        if not self.opened:
            opening = events.opening(self._claimed.id, self._next + len(entries))
            entries = [*entries, *map(Entry, opening)]
        item_status: MessageStatus = "completed" if status == "completed" else "incomplete"
        seq = self._next + len(entries)
        closing = events.closing(self._claimed.id, seq, item_status, self._text, self._logprobs)
        finished = self._finished_response(
            item=response.message_item(self._claimed.id, item_status, self._text, self._logprobs),
            reason=reason,
            completed=status == "completed",
            cached_tokens=cached_tokens,
        )
        end = events.terminal(seq + len(closing), status, _NO_ERROR, finished)
        return self._append(
            [*entries, *map(Entry, closing), Entry(end)],
            Final(
                status=status,
                error=_NO_ERROR,
                response=finished,
                text=self._text,
                tokens=self._tokens,
            ),
        )

    def _failed(self, entries: list[Entry], message: str, cached_tokens: int) -> Append:
        error = response.error_json("server_error", message)
        item = response.message_item(self._claimed.id, "incomplete", self._text, self._logprobs)
        finished = self._finished_response(
            item=item if self.opened else None,
            reason=None,
            completed=False,
            cached_tokens=cached_tokens,
        )
        end = events.terminal(self._next + len(entries), "failed", error, finished)
        return self._append(
            [*entries, Entry(end)],
            Final(
                status="failed",
                error=error,
                response=finished,
                text=self._text,
                tokens=self._tokens,
            ),
        )

    @property
    def _tokens(self) -> int:
        return self._input_tokens + self._output_tokens

    def _finished_response(
        self, *, item: MessageItem | None, reason: Cut | None, completed: bool, cached_tokens: int
    ) -> str:
        return response.finished_response(
            self._claimed.response,
            item=item,
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
