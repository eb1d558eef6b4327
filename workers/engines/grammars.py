"""Grammars that answers must follow, compiled for one model's vocabulary.

A matcher follows the ids of one answer and says which tokens may come next. It is cheap to copy, so
each grammar is compiled once and every answer gets a copy.
"""

import time
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLTokenizer, hf
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from turnstream.turns.constraint import Constraint
from turnstream.workers import metrics
from turnstream.workers.engine import BadConstraint

#: Compiled grammars that are kept; a further one takes the place of the one used longest ago.
KEPT = 256


class Matcher:
    """Follows one answer through its grammar; belongs to one thread at a time."""

    def __init__(self, matcher: LLMatcher, vocabulary: int) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary

    def allowed(self) -> NDArray[np.bool_]:
        """Return which tokens may come next; ``(vocabulary,)``."""
        begun = time.perf_counter()
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        metrics.CONSTRAINT_MASK.observe(time.perf_counter() - begun)
        return np.unpackbits(bits, count=self._vocabulary, bitorder="little").view(np.bool_)

    def accept(self, id: int) -> bool:
        """Follow a token; return False if it may not come here."""
        return bool(self._matcher.consume_token(id))

    @property
    def complete(self) -> bool:
        """Whether nothing but the end may follow."""
        return bool(self._matcher.is_stopped())

    @property
    def may_end(self) -> bool:
        """Whether the answer so far is a whole one."""
        # Past its limits the compiler allows the end, and only that, anywhere.
        return bool(self._matcher.is_accepting()) and not self._matcher.is_error()


class Grammars:
    """Compiles grammars, each once; safe on any thread.

    Args:
        tokenizer: must not be changed by others from now on.
        vocabulary: the model's vocabulary size, which may exceed the tokenizer's.
        eos_ids: tokens that end an answer.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, *, vocabulary: int, eos_ids: frozenset[int]
    ) -> None:
        fast: Any = tokenizer
        # Without any, the tokenizer's own: llguidance below 1.9 refuses an empty list.
        ends = sorted(eos_ids) or None
        self._tokenizer: LLTokenizer = hf.from_tokenizer(fast, n_vocab=vocabulary, eos_token=ends)
        self._vocabulary = vocabulary
        self._lock = Lock()
        #: By grammar; the one used longest ago is first.
        self._compiled: OrderedDict[Constraint, LLMatcher] = OrderedDict()

    def matcher(self, constraint: Constraint, generated: Sequence[int] = ()) -> Matcher:
        """Return a matcher of the answer that begins with these ids.

        Raises:
            BadConstraint: the grammar cannot be compiled, or the ids do not follow it.
        """
        matcher = self._compile(constraint).deep_copy()
        if generated and not matcher.consume_tokens(list(generated)):
            raise BadConstraint("the answer so far does not follow its grammar")
        return Matcher(matcher, self._vocabulary)

    def _compile(self, constraint: Constraint) -> LLMatcher:
        with self._lock:
            if constraint in self._compiled:
                self._compiled.move_to_end(constraint)
                return self._compiled[constraint]
        matcher = LLMatcher(
            self._tokenizer, LLMatcher.grammar_from_lark(constraint.grammar), log_level=0
        )
        if error := matcher.get_error():
            raise BadConstraint(error.strip().splitlines()[0])
        with self._lock:
            self._compiled[constraint] = matcher
            if len(self._compiled) > KEPT:
                self._compiled.popitem(last=False)
        return matcher


def matcher_of(
    grammars: Grammars | None, constraint: Constraint | None, generated: Sequence[int]
) -> Matcher | None:
    """Return a matcher of the answer that begins with these ids; None without a constraint.

    Raises:
        BadConstraint: there are no grammars, or the constraint is bad.
    """
    if constraint is None:
        return None
    if grammars is None:
        raise BadConstraint("this engine was started without grammars")
    return grammars.matcher(constraint, generated)
