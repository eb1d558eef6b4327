"""From the messages of a turn to the ids a model is given.

A Llama-2 prompt knows one system text and a strict question and answer; the wire knows any order.
What does not fit is joined: neighbours of one role become one message, an answer that said nothing
is left out.
"""

from collections.abc import Iterable, Sequence

from prompts import AbstractChatPrompt, PromptError, PromptIds, PromptOptions, PromptTooLong
from prompts.llama2 import ChatPromptMetaLlamaLlama2Chat
from turns.errors import BadRequest, ContextLengthExceeded, UnsafePrompt
from turns.turn import Claimed, Message, Request
from workers.engine import Tokenizer

_APART = "\n\n"


def joined(messages: Iterable[Message]) -> list[Message]:
    """Give questions and answers in turn, without what said nothing."""
    result: list[Message] = []
    for message in messages:
        if message.role == "assistant" and not message.text.strip():
            continue
        if result and result[-1].role == message.role:
            message = Message(message.role, result.pop().text + _APART + message.text)
        result.append(message)
    return result


def system_text(messages: Sequence[Message], request: Request) -> str | None:
    """Join the instructions of this turn and the system messages; None when there are none."""
    said = [request.instructions, *(m.text for m in messages if m.role == "system")]
    return _APART.join(text for text in said if text) or None


def prompt_ids(claimed: Claimed, tokenizer: Tokenizer, *, limit: int) -> PromptIds:
    """Render a conversation as Llama-2 prompt ids.

    Args:
        limit: tokens that the prompt may have.

    Raises:
        ContextLengthExceeded: the prompt is too long, and may not be cut.
        BadRequest: the conversation can't be put into this format.
    """
    prompt = _filled(claimed)
    opts = PromptOptions(
        bos_id=tokenizer.bos_id, eos_id=min(tokenizer.eos_ids), max_prompt_tokens=limit
    )
    if claimed.request.truncate:
        opts["truncation"] = "auto"
    try:
        return prompt.create_prompt_ids(tokenizer.encode, opts)
    except PromptTooLong as exc:
        raise ContextLengthExceeded(exc.tokens, exc.limit) from exc


def _filled(claimed: Claimed) -> AbstractChatPrompt:
    prompt = ChatPromptMetaLlamaLlama2Chat()
    try:
        if (system := system_text(claimed.messages, claimed.request)) is not None:
            prompt.set_system_prompt(system)
        for message in joined(m for m in claimed.messages if m.role != "system"):
            match message.role:
                case "user":
                    prompt.add_requester_msg(message.text)
                case "assistant":
                    prompt.add_responder_msg(message.text)
    except PromptError as exc:
        raise UnsafePrompt(str(exc)) from exc
    except ValueError as exc:
        raise BadRequest(str(exc), param="input") from exc
    return prompt
