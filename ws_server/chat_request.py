"""Check a request for a chat completion, and read it into what a response is made of."""

from dataclasses import dataclass

from turnstream.ws_server import (
    answer_formats,
    chat_messages,
    field,
    fields,
    hints,
    items,
    request_options,
    requests,
    tools,
)
from turnstream.ws_server.create import TIERS, Create
from turnstream.ws_server.decode import decode
from turnstream.ws_server.field import Body
from turnstream.ws_server.sampling import sampling_of


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A validated request for a completion."""

    create: Create
    stream: bool
    #: Whether a stream ends with token usage.
    include_usage: bool
    #: Whether a call is to have the form of before `tool_calls`.
    functions: bool


def read_chat(body: Body) -> ChatRequest:
    """Check a request.

    Raises:
        BadRequest: a field is wrong, missing or not supported; it says which.
    """
    fields.check(body, fields.CHAT)
    asked = decode(body, requests.CompletionBody)
    options = asked.stream_options or request_options.StreamOptions()
    field.check_obfuscation(options.include_obfuscation)
    if asked.top_logprobs and not asked.logprobs:
        raise field.wrong("top_logprobs", "used with 'logprobs' true")
    logprobs = {"top_logprobs": asked.top_logprobs or 0} if asked.logprobs else {}
    limit = _most_tokens(asked)
    stops = (asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ())
    if not all(stops):
        raise field.wrong("stop", "at most 4 strings, none of them empty")
    read = chat_messages.read_messages(asked.messages)
    items.check_answerable(read, "messages", goes_on=False)
    said = hints.of_completion(asked)
    grammar = answer_formats.of_completion(asked, stops)
    params = _tool_params(asked)
    called = tools.read(said.tools, said.tool_choice, params, text_held=grammar is not None)
    tools.check_end(called, ignore_eos=asked.ignore_eos, min_tokens=asked.min_tokens)
    create = Create(
        model=asked.model,
        messages=chat_messages.continued(
            read.items,
            continue_final_message=asked.continue_final_message,
            add_generation_prompt=asked.add_generation_prompt,
        ),
        instructions=None,
        previous_response_id=None,
        max_output_tokens=limit,
        sampling=sampling_of(asked, limit=limit) | logprobs,
        truncate=False,
        stop=stops,
        store=asked.store is True,
        background=False,
        tier=TIERS[asked.service_tier or "auto"],
        metadata=asked.metadata or {},
        choices=asked.n or 1,
        hints=said,
        tools=called,
        grammar=grammar,
        idempotency_key=asked.idempotency_key,
    )
    return ChatRequest(
        create,
        stream=asked.stream is True,
        include_usage=options.include_usage is True,
        functions=hints.is_older(asked),
    )


def _tool_params(asked: requests.CompletionBody) -> list[str]:
    named = [
        f"tools[{number}].function" if tool["type"] == "function" else f"tools[{number}]"
        for number, tool in enumerate(asked.tools or ())
    ]
    return named + [f"functions[{number}]" for number in range(len(asked.functions or ()))]


def _most_tokens(asked: requests.CompletionBody) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        if getattr(asked, name) == 0:
            raise field.wrong(name, "at least 1, or -1 for no limit")
    most = asked.max_tokens if asked.max_completion_tokens is None else asked.max_completion_tokens
    return None if most == -1 else most
