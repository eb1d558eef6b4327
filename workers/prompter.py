"""From the messages of a turn to the token ids of its prompt.

A prompt has one system text and alternating requests and replies; a request may have any order.
Neighbouring messages of one role are joined, and empty replies are left out. Where a request is
missing it is empty. A template that knows tools gets them, and calls and outputs as they are. For
all other models they are text: as our system text says, if the turn has tools.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, assert_never

from turnstream.prompts import SYSTEM_PROMPT, PromptTooLong, llama2
from turnstream.prompts.tools import told
from turnstream.turns.errors import BadRequest, ContextLengthExceeded, NothingToAnswer
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.turn import (
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
    Request,
    can_be_answered,
    spoken_at,
)
from turnstream.workers.chat_items import ChatDict, chat_dicts, has_calls
from turnstream.workers.engine import Tokenizer

_SEPARATOR = "\n\n"
_NO_REQUEST = Message("user", "")
_EMPTY: ChatDict = {"role": "user", "content": ""}


class TemplateTokenizer(Tokenizer, Protocol):
    """A tokenizer that came with a chat template."""

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        continue_last: bool = False,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> list[int]:
        """Return a conversation's ids; raise ValueError if the template refuses it."""
        ...


class Prompter(Protocol):
    """Writes prompts for one model."""

    def ids(self, messages: Sequence[Item], request: Request, *, limit: int) -> list[int]:
        """Return the prompt of a turn; one that ends in a reply is to be continued.

        Args:
            messages: the whole conversation, oldest first.
            limit: tokens that it may have.

        Raises:
            ContextLengthExceeded: it is too long, and may not be truncated.
            BadRequest: the format cannot express this conversation, or it ends in a call.
        """
        ...


class Llama2Prompter:
    """Writes prompts in Llama 2's format; the tokenizer must have a BOS."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        assert tokenizer.bos_id is not None
        self._bos_id = tokenizer.bos_id
        self._tokenizer = tokenizer

    def ids(self, messages: Sequence[Item], request: Request, *, limit: int) -> list[int]:
        """Return the prompt of a turn; truncation drops the oldest turns."""
        offer = request.offer
        system = system_text(messages, request) or SYSTEM_PROMPT
        if offer:
            system = _SEPARATOR.join((system, told.system_text(offer)))
        spoken = joined(messages, tools=offer is not None)
        try:
            return llama2.prompt_ids(
                [(m.role, m.text) for m in begun(spoken) if m.role != "system"],
                system=system,
                encode=self._tokenizer.encode,
                bos_id=self._bos_id,
                eos_id=min(self._tokenizer.eos_ids),
                limit=limit,
                truncate=request.truncate,
                continue_last=continued_reply(messages) is not None,
            ).ids
        except PromptTooLong as exc:
            raise ContextLengthExceeded(exc.tokens, exc.limit) from exc


class TemplatePrompter:
    """Writes prompts with the chat template that came with the model.

    Args:
        knows_tools: whether the template tells the model of tools.
    """

    def __init__(self, tokenizer: TemplateTokenizer, *, knows_tools: bool = False) -> None:
        self._tokenizer = tokenizer
        self._knows_tools = knows_tools

    def ids(self, messages: Sequence[Item], request: Request, *, limit: int) -> list[int]:
        """Return the prompt of a turn; truncation drops the oldest turns."""
        offer = request.offer
        tools: list[dict[str, Any]] = []
        texts = [system_text(messages, request)]
        if offer and self._knows_tools:
            # Some templates want a description of every function.
            tools = [
                {"type": "function", "function": {"description": ""} | told.described(tool)}
                for tool in offer.tools
            ]
        elif offer:
            texts.append(told.system_text(offer))
        system = _SEPARATOR.join(text for text in texts if text)
        head = [{"role": "system", "content": system}] if system else []
        continue_last = continued_reply(messages) is not None

        def render(spoken: Sequence[ChatDict]) -> list[int]:
            return self._tokenizer.render(
                [*head, *spoken], continue_last=continue_last, tools=tools
            )

        refusal: ValueError | None = None
        for spoken in self._forms(messages, told=offer is not None and not tools):
            try:
                return _fitting(render, spoken, request, limit=limit)
            except ValueError as exc:
                refusal = exc
        raise BadRequest(str(refusal), param="input") from refusal

    def _forms(self, messages: Sequence[Item], *, told: bool) -> Iterator[list[ChatDict]]:
        """Yield the conversation in the forms that the template may take, the best first."""
        if self._knows_tools and has_calls(messages):
            yield chat_dicts(messages, one_call=False)
            # Templates of Llama 3 take one call at a time.
            yield chat_dicts(messages, one_call=True)
        written = [
            {"role": message.role, "content": message.text}
            for message in joined(messages, tools=told)
        ]
        yield written or [_EMPTY]
        if written and written[0]["role"] != "user":
            # Many templates refuse a conversation that a reply begins.
            yield [_EMPTY, *written]


def _fitting(
    render: Callable[[Sequence[ChatDict]], list[int]],
    spoken: Sequence[ChatDict],
    request: Request,
    *,
    limit: int,
) -> list[int]:
    """Return the ids of a conversation, without its oldest turns if they have no room."""
    whole = render(spoken)
    if len(whole) <= limit:
        return whole
    later = [at for at, each in enumerate(spoken) if at and each["role"] == "user"]
    if not request.truncate or not later:
        raise ContextLengthExceeded(len(whole), limit)
    # Each turn left out makes the prompt shorter, so the fewest can be found by halving.
    fewest = bisect_left(later, True, key=lambda at: len(render(spoken[at:])) <= limit)
    shortest = render(spoken[later[min(fewest, len(later) - 1)] :])
    if fewest == len(later):
        raise ContextLengthExceeded(len(shortest), limit)
    return shortest


def continued_reply(items: Sequence[Item]) -> str | None:
    """Return the text that the answer goes on from; None: it is a new reply.

    Raises:
        NothingToAnswer: the last item is a call of a tool, without its output.
    """
    at = spoken_at(items)
    if at is None:
        return None
    last = items[at]
    if not can_be_answered(last):
        raise NothingToAnswer
    return last.text if isinstance(last, Message) and last.role == "assistant" else None


def begun(spoken: Sequence[Message]) -> list[Message]:
    """Return the messages with an empty request before the first, unless it is a request."""
    first = [] if spoken and spoken[0].role == "user" else [_NO_REQUEST]
    return [*first, *spoken]


def joined(items: Iterable[Item], *, tools: bool = False) -> list[Message]:
    """Return alternating requests and replies, without empty replies and system messages.

    Args:
        tools: calls are written as our system text says.
    """
    result: list[Message] = []
    for message in as_messages(items, tools=tools):
        # Meta's code strips messages, too.
        message = Message(message.role, message.text.strip())
        if message.role == "system" or (message.role == "assistant" and not message.text):
            continue
        if result and result[-1].role == message.role:
            texts = (result.pop().text, message.text)
            message = Message(message.role, _SEPARATOR.join(text for text in texts if text))
        result.append(message)
    return result


def as_messages(items: Iterable[Item], *, tools: bool) -> Iterator[Message]:
    """Yield each item as the message that the model reads."""
    names: dict[str, str] = {}
    for item in items:
        match item:
            case Message(role, text):
                yield Message(role, told.message_text(text)) if tools else item
            case FunctionCall() if tools:
                yield Message("assistant", told.call_text(item.name, item.arguments))
            case FunctionCall():
                names[item.call_id] = item.name
                yield Message("assistant", f"Call of the tool {item.name}: {item.arguments}")
            case FunctionCallOutput() if tools:
                yield Message("user", told.output_text(item.output))
            case FunctionCallOutput():
                tool = f"the tool {names[item.call_id]}" if item.call_id in names else "a tool"
                yield Message("user", f"Output of {tool}: {item.output}")
            case _:
                assert_never(item)


def system_text(items: Sequence[Item], request: Request) -> str | None:
    """Return the instructions and the system messages as one text; None if there are none."""
    said = [item.text for item in items if isinstance(item, Message) and item.role == "system"]
    texts = [request.instructions, *said]
    return _SEPARATOR.join(text for text in texts if text) or None


def public_prefix(prompter: Prompter, *, limit: int) -> list[int]:
    """Return the ids that begin the prompt of every conversation without a system text of its own.

    Empty if the prompt's format needs more than `limit` tokens or other messages.
    """
    asked = Request(instructions=None, sampling=SamplingParams())
    try:
        one, other = (
            prompter.ids([Message("user", text)], asked, limit=limit) for text in ("0", "Q")
        )
    except BadRequest:
        return []
    return one[: common_length(one, other)]


def common_length(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many first ids two prompts have in common."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
