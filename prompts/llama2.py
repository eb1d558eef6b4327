"""The prompt of Llama 2 chat, as segments and as token ids.

Each turn is one segment, ``<s>[INST] request [/INST] reply </s>``, with the system text inside the
first request. An empty reply keeps its segment: the model did answer.
"""

from collections.abc import Callable, Sequence
from typing import Literal

from turnstream.prompts.broken_marks import breaks_marks, mark_cuts
from turnstream.prompts.control_strings import CONTROL_STRINGS, neutralise
from turnstream.prompts.prompt_ids import PromptEncoder, PromptIds, fit
from turnstream.prompts.segments import Segment

#: The system text published with the model, its two paragraphs one newline apart.
#: Source: Touvron et al. 2023, "Llama 2", appendix A.3.3; ``DEFAULT_SYSTEM_PROMPT`` of
#: meta-llama/llama, ``llama/generation.py``, until August 2023 (a blank line apart there).
SYSTEM_PROMPT = (
    "You are a helpful, respectful and honest assistant. Always answer as helpfully as possible,"
    " while being safe. Your answers should not include any harmful, unethical, racist, sexist,"
    " toxic, dangerous, or illegal content. Please ensure that your responses are socially"
    " unbiased and positive in nature.\n"
    "If a question does not make any sense, or is not factually coherent, explain why instead of"
    " answering something not correct. If you don't know the answer to a question, please don't"
    " share false information."
)

INST = "[INST] "
END_INST = " [/INST] "
SYS = f"{INST}<<SYS>>\n"
END_SYS = "\n<</SYS>>\n\n"

#: Role and text; requests and replies alternate.
ChatMessage = tuple[Literal["user", "assistant"], str]


def system_head(system: str) -> str:
    """Return the text of the first segment before its request."""
    return f"{SYS}{system}{END_SYS}"


def segments(
    messages: Sequence[ChatMessage], system: str, *, continue_last: bool = False
) -> list[Segment]:
    """Return the conversation's segments; the last one ends where the next text of a reply begins.

    Marks in messages and in the system text are cut, those of the format are not.

    Args:
        continue_last: the next text goes on from the last message, which is a reply.
    """
    finished: list[Segment] = []
    text = _Text(SYS).said(system).marked(END_SYS)
    for at, (role, content) in enumerate(messages, start=1):
        text.said(content)
        if role == "user":
            text.marked(END_INST)
        elif continue_last and at == len(messages):
            return [*finished, text.segment(eos=False)]
        else:
            finished.append(text.marked(" ").segment(eos=True))
            text = _Text(INST)
    # Meta's code writes no space after the last mark.
    return [*finished, text.without_final_space().segment(eos=False)]


def prompt_ids(
    messages: Sequence[ChatMessage],
    *,
    system: str,
    encode: Callable[[str], list[int]],
    bos_id: int,
    eos_id: int,
    limit: int,
    truncate: bool,
    continue_last: bool = False,
) -> PromptIds:
    """Return the token ids of a conversation, each segment encoded by itself.

    Args:
        encode: text to ids, never adding control ids nor reading any from the text.
        limit: tokens the prompt may have.
        truncate: drop the oldest turns until the prompt fits; the system text is kept.
        continue_last: the next text goes on from the last message, which is a reply.

    Raises:
        PromptTooLong: more than `limit` tokens, and nothing may or can be dropped.
    """
    texts = (system, *(said for _, said in messages))
    typed = any(mark in text for text in texts for mark in CONTROL_STRINGS)
    if typed and not breaks_marks(encode, CONTROL_STRINGS):
        system = neutralise(system)
        messages = [(role, neutralise(said)) for role, said in messages]
    requests = [at for at, (role, _) in enumerate(messages) if role == "user"]

    def segments_without(dropped: int) -> list[Segment]:
        rest = messages[requests[dropped] :] if dropped else messages
        return segments(rest, system, continue_last=continue_last)

    return fit(
        segments_without,
        PromptEncoder(encode, bos_id=bos_id, eos_id=eos_id),
        droppable=max(0, len(requests) - 1) if truncate else 0,
        limit=limit,
    )


class _Text:
    """The text of a segment, as it is written."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._cuts: list[int] = []

    def marked(self, text: str) -> "_Text":
        """Add text of the format."""
        self._text += text
        return self

    def said(self, text: str) -> "_Text":
        """Add text of a message."""
        self._cuts += [len(self._text) + cut for cut in mark_cuts(text, CONTROL_STRINGS)]
        self._text += text
        return self

    def without_final_space(self) -> "_Text":
        self._text = self._text.removesuffix(" ")
        return self

    def segment(self, *, eos: bool) -> Segment:
        return Segment(self._text, bos=True, eos=eos, cuts=tuple(self._cuts))
