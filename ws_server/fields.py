"""What becomes of each field of a request: honoured, returned with the response, or refused.

The published table in docs/wire.md is made of these (`python -m scripts.schemas`), and a test holds
them to the official SDKs. A field that is not listed here is somebody's own, and ignored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from turnstream.ws_server.field import Body, unsupported


@dataclass(frozen=True, slots=True)
class Honoured:
    """It has the effect that its protocol gives it."""

    #: What a reader of the protocol's documentation would not expect.
    note: str = ""


@dataclass(frozen=True, slots=True)
class Returned:
    """It has no effect on the answer; the response repeats it."""

    note: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """It can't be honoured, or belongs to another endpoint."""

    #: What to do instead, or why not.
    hint: str
    #: Values that ask for nothing, and are accepted.
    harmless: tuple[Any, ...] = ()


Decision = Honoured | Returned | Refused

_RESPONSES_ONLY = "only /v1/responses has it."
_CHAT_ONLY = "only /v1/chat/completions has it."
_COMPLETIONS_ONLY = "only /v1/completions has it."
_NO_AUDIO = "answers are text."
_PLAIN = ({"type": "text"},)

#: Fields that mean the same in both protocols.
_SHARED: dict[str, Decision] = {
    "model": Honoured("the server's default if it is absent"),
    "temperature": Honoured(),
    "top_p": Honoured(),
    "seed": Honoured("64 bits"),
    "frequency_penalty": Honoured(),
    "presence_penalty": Honoured(),
    "top_k": Honoured("an addition, as vLLM has it"),
    "repetition_penalty": Honoured("an addition, as vLLM has it"),
    "min_tokens": Honoured("an addition, as vLLM has it"),
    "ignore_eos": Honoured("an addition, as vLLM has it"),
    "logit_bias": Honoured(),
    "structured_outputs": Honoured("an addition, as vLLM has it"),
    "top_logprobs": Honoured(),
    "store": Honoured("here false by default"),
    "metadata": Honoured(),
    "service_tier": Honoured("`scale` and `ultrafast` are refused"),
    "idempotency_key": Honoured("an addition"),
    "stream": Honoured("a socket always streams"),
    "tools": Honoured("functions; other tools are not run here, and alone they are refused"),
    "tool_choice": Honoured(),
    "parallel_tool_calls": Honoured(),
    "prompt_cache_key": Returned(),
    "prompt_cache_retention": Returned(),
    "safety_identifier": Returned(),
    "user": Returned(),
    "moderation": Refused("nothing is moderated here."),
    "best_of": Refused(_COMPLETIONS_ONLY, harmless=(1,)),
    "echo": Refused(_COMPLETIONS_ONLY, harmless=(False,)),
    "suffix": Refused(_COMPLETIONS_ONLY, harmless=("",)),
}

RESPONSES: dict[str, Decision] = _SHARED | {
    "seed": Honoured("64 bits; an addition"),
    "frequency_penalty": Honoured("an addition"),
    "presence_penalty": Honoured("an addition"),
    "logit_bias": Honoured("an addition"),
    "store": Honoured("true by default"),
    "input": Honoured(),
    "instructions": Honoured(),
    "previous_response_id": Honoured(),
    "conversation": Honoured(),
    "max_output_tokens": Honoured("at most as many as the context leaves"),
    "truncation": Honoured(),
    "background": Honoured("over HTTP; refused on a socket"),
    "background_options": Honoured("also returned, with its `continuation_id`"),
    "generate": Honoured("false is a warm-up"),
    "stream_id": Honoured("on a socket"),
    "include": Honoured("of what an answer can have here: `message.output_text.logprobs`"),
    "stream_options": Honoured("`include_obfuscation: true` is refused"),
    "text": Honoured("`format`; its `verbosity` is returned"),
    "reasoning": Returned("Llama 2 does not reason apart from its answer"),
    "max_tool_calls": Returned(),
    "prompt_cache_options": Returned("`prewarm` is honoured"),
    "prompt": Refused("use 'instructions' and 'input'."),
    "context_management": Refused(
        "use 'truncation', or POST /v1/responses/compact.", harmless=([],)
    ),
    "image": Refused("input is text."),
    "access_programs": Refused("this service has none."),
    "messages": Refused("at /v1/responses use 'input'."),
    "max_tokens": Refused("at /v1/responses use 'max_output_tokens'."),
    "max_completion_tokens": Refused("at /v1/responses use 'max_output_tokens'."),
    "response_format": Refused("at /v1/responses use 'text.format'.", harmless=_PLAIN),
    "verbosity": Refused("at /v1/responses use 'text.verbosity'."),
    "reasoning_effort": Refused("at /v1/responses use 'reasoning.effort'."),
    "logprobs": Refused(
        "at /v1/responses use 'top_logprobs' and, in 'include', 'message.output_text.logprobs'.",
        harmless=(False,),
    ),
    "functions": Refused("at /v1/responses use 'tools'.", harmless=([],)),
    "function_call": Refused("at /v1/responses use 'tool_choice'.", harmless=("auto", "none")),
    "stop": Refused(_CHAT_ONLY, harmless=([], "")),
    "n": Refused(_CHAT_ONLY, harmless=(1,)),
    "modalities": Refused(_NO_AUDIO, harmless=(["text"],)),
    "audio": Refused(_NO_AUDIO),
    "prediction": Refused("an answer is generated whole."),
    "web_search_options": Refused("nothing is searched here."),
}

CHAT: dict[str, Decision] = _SHARED | {
    "messages": Honoured(),
    "max_completion_tokens": Honoured("at most as many as the context leaves; -1 is no limit"),
    "max_tokens": Honoured("the older name of `max_completion_tokens`"),
    "continue_final_message": Honoured("an addition, as vLLM has it"),
    "add_generation_prompt": Honoured("an addition, as vLLM has it"),
    "stop": Honoured(),
    "n": Honoured("up to 8"),
    "logprobs": Honoured(),
    "stream_options": Honoured("`include_obfuscation: true` is refused"),
    "response_format": Honoured("returned with the response as `text.format`"),
    "modalities": Honoured("`audio` is refused"),
    "functions": Honoured("as `tools`; a call comes as `function_call`. Refused in a batch"),
    "function_call": Honoured("as `tool_choice`"),
    "reasoning_effort": Returned("as `reasoning.effort`"),
    "verbosity": Returned("as `text.verbosity`"),
    "prompt_cache_options": Returned(),
    "audio": Refused(_NO_AUDIO),
    "prediction": Refused("an answer is generated whole."),
    "web_search_options": Refused("nothing is searched here."),
    "input": Refused("at /v1/chat/completions use 'messages'."),
    "instructions": Refused("at /v1/chat/completions use a system message."),
    "max_output_tokens": Refused("at /v1/chat/completions use 'max_completion_tokens'."),
    "text": Refused(
        "at /v1/chat/completions use 'response_format' and 'verbosity'.",
        harmless=({}, {"format": {"type": "text"}}),
    ),
    "reasoning": Refused("at /v1/chat/completions use 'reasoning_effort'.", harmless=({},)),
    "include": Refused("at /v1/chat/completions use 'logprobs'.", harmless=([],)),
    "prompt": Refused(f"{_COMPLETIONS_ONLY} At /v1/chat/completions use 'messages'."),
    "previous_response_id": Refused(_RESPONSES_ONLY),
    "conversation": Refused(_RESPONSES_ONLY),
    "truncation": Refused(_RESPONSES_ONLY, harmless=("disabled",)),
    "background": Refused(_RESPONSES_ONLY, harmless=(False,)),
    "background_options": Refused(_RESPONSES_ONLY),
    "generate": Refused(_RESPONSES_ONLY, harmless=(True,)),
    "max_tool_calls": Refused(_RESPONSES_ONLY),
    "context_management": Refused(_RESPONSES_ONLY, harmless=([],)),
    "image": Refused("input is text."),
    "access_programs": Refused("this service has none."),
    "stream_id": Refused("only the socket has lanes."),
}

#: What `/v1/completions` refuses; all that it has is in the struct of its body.
TEXT: dict[str, Decision] = {
    "suffix": Refused("the model continues a text, it fills no gap.", harmless=("",)),
    "logprobs": Refused("they are not kept."),
    "n": Refused("each prompt has one answer.", harmless=(1,)),
    "best_of": Refused("each prompt has one answer.", harmless=(1,)),
    "messages": Refused("at /v1/completions use 'prompt'."),
    "input": Refused("at /v1/completions use 'prompt'."),
    "instructions": Refused("at /v1/completions it is a part of 'prompt'."),
    "max_completion_tokens": Refused("at /v1/completions use 'max_tokens'."),
    "max_output_tokens": Refused("at /v1/completions use 'max_tokens'."),
    "top_logprobs": Refused("they are not kept.", harmless=(0,)),
    "previous_response_id": Refused(_RESPONSES_ONLY),
    "conversation": Refused(_RESPONSES_ONLY),
    "background": Refused(_RESPONSES_ONLY, harmless=(False,)),
    "truncation": Refused(_RESPONSES_ONLY, harmless=("disabled",)),
    "store": Refused("text completions are not stored.", harmless=(False,)),
    "response_format": Refused(_CHAT_ONLY, harmless=_PLAIN),
    "tools": Refused(_CHAT_ONLY, harmless=([],)),
    "functions": Refused(_CHAT_ONLY, harmless=([],)),
    "modalities": Refused(_NO_AUDIO, harmless=(["text"],)),
    "stream_id": Refused("only the socket has lanes."),
}


def check(body: Body, decisions: Mapping[str, Decision]) -> None:
    """Refuse a request with a field that can't be honoured.

    Raises:
        BadRequest: it names the field and what to use instead.
    """
    for name, value in body.items():
        match decisions.get(name):
            case Refused(hint, harmless) if value is not None and value not in harmless:
                raise unsupported(name, hint)
