"""The prompt of Llama 2 chat, as segments and as token ids.

Each turn is one segment, ``<s>[INST] request [/INST] reply </s>``, with the system text inside the
first request. An empty reply keeps its segment: the model did answer.
"""

from collections.abc import Callable, Sequence
from typing import Literal

from turnstream.prompts.control_strings import check_text, neutralise
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

#: Role and text; requests and replies alternate.
ChatMessage = tuple[Literal["user", "assistant"], str]


def system_head(system: str) -> str:
    """Return the text of the first segment before its request."""
    return f"{INST}<<SYS>>\n{system}\n<</SYS>>\n\n"


def segments(messages: Sequence[ChatMessage], system: str) -> list[Segment]:
    """Return the conversation's segments; the last one ends where the next reply begins."""
    finished: list[Segment] = []
    text = system_head(system)
    for role, content in messages:
        if role == "user":
            text += content + END_INST
        else:
            finished.append(Segment(f"{text}{content} ", bos=True, eos=True))
            text = INST
    # Meta's code writes no space after the last mark.
    return [*finished, Segment(text.removesuffix(" "), bos=True, eos=False)]


def prompt_ids(
    messages: Sequence[ChatMessage],
    *,
    system: str,
    encode: Callable[[str], list[int]],
    bos_id: int,
    eos_id: int,
    limit: int,
    truncate: bool,
) -> PromptIds:
    """Return the token ids of a conversation, each segment encoded by itself.

    Args:
        encode: text to ids, never adding control ids nor reading any from the text.
        limit: tokens the prompt may have.
        truncate: drop the oldest turns until the prompt fits; the system text is kept.

    Raises:
        ControlStringError: a request or the system text contains a control string.
        PromptTooLong: more than `limit` tokens, and nothing may or can be dropped.
    """
    check_text(system)
    safe = [_safe(message) for message in messages]
    requests = [at for at, (role, _) in enumerate(safe) if role == "user"]

    def segments_without(dropped: int) -> list[Segment]:
        return segments(safe[requests[dropped] :] if dropped else safe, system)

    return fit(
        segments_without,
        PromptEncoder(encode, bos_id=bos_id, eos_id=eos_id),
        droppable=max(0, len(requests) - 1) if truncate else 0,
        limit=limit,
    )


def _safe(message: ChatMessage) -> ChatMessage:
    role, text = message
    if role == "user":
        check_text(text)
        return message
    return role, neutralise(text)
