"""How one model calls tools: what holds its answers to calls, and what reads them."""

from collections.abc import Mapping, Sequence

from turnstream.prompts.tools import CallFormat, Offer
from turnstream.prompts.tools.grammar import grammar
from turnstream.turns.constraint import Constraint
from turnstream.turns.turn import Request
from turnstream.workers.answer_reader import AnswerReader
from turnstream.workers.shown_tokens import Vocabulary
from turnstream.workers.slicer import MakeSlicer


class ToolUse:
    """Makes the readers and the constraints of a model's answers.

    Args:
        control_ids: those of the format's texts that are control tokens of the model.
        make_slicer: shows these tokens as they are written.
        vocabulary: has them as they are written, too.
    """

    def __init__(
        self,
        call_format: CallFormat,
        *,
        control_ids: Mapping[str, int],
        make_slicer: MakeSlicer,
        vocabulary: Vocabulary,
    ) -> None:
        self._format = call_format
        self._control_ids = control_ids
        self._make_slicer = make_slicer
        self.vocabulary = vocabulary

    def reader(
        self, prompt_ids: Sequence[int], request: Request, offer: Offer, *, begun: bool
    ) -> AnswerReader:
        """Return the reader of an answer that may call tools.

        Args:
            begun: the prompt ends within the reply, and not in white space.
        """
        slicer = self._make_slicer(prompt_ids, (), begun=begun)
        return AnswerReader(slicer, self._format.reader(offer), request.stop)

    def constraint(self, request: Request) -> Constraint | None:
        """Return the grammar of an answer, with the calls that it may have."""
        offer = request.offer
        if offer is None:
            return request.constraint
        said = None if request.constraint is None else request.constraint.grammar
        text = grammar(self._format, offer, control_ids=self._control_ids, said=said)
        return None if text is None else Constraint("lark", text)
