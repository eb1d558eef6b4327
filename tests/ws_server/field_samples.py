"""A value for each field of a request, and what comes of it."""

from typing import Any

from turnstream.ws_server.fields import CHAT, RESPONSES

Fields = dict[str, Any]

TABLES = {"responses": RESPONSES, "chat": CHAT}
BASE: dict[str, Fields] = {
    "responses": {"input": "Hi"},
    "chat": {"messages": [{"role": "user", "content": "Hi"}]},
}
#: Its effect is outside of what a request is read into, or made by other parts of the service.
SEEN_ELSEWHERE = {
    "responses": {"stream", "stream_id", "stream_options", "conversation"},
    # These need `logprobs`, or an assistant's message at the end.
    "chat": {"top_logprobs", "continue_final_message", "add_generation_prompt"},
}
#: Accepted values have no effect, and all others are refused.
ONE_VALUE = {"modalities"}
#: A value of each honoured field that is not its default.
SAMPLES: Fields = {
    "model": "other",
    "temperature": 0.5,
    "top_p": 0.5,
    "seed": 2**63 - 1,
    "frequency_penalty": 1,
    "presence_penalty": 1,
    "top_k": 4,
    "repetition_penalty": 2,
    "metadata": {"a": "b"},
    "service_tier": "flex",
    "idempotency_key": "k",
    "input": "Bye",
    "instructions": "Be brief.",
    "previous_response_id": "resp_" + 32 * "a",
    "max_output_tokens": 3,
    "truncation": "auto",
    "background": True,
    "background_options": {"continuation_id": "c"},
    "generate": False,
    "messages": [{"role": "user", "content": "Bye"}],
    "max_completion_tokens": 3,
    "max_tokens": 3,
    "stop": ["a"],
    "n": 2,
    "stream": True,
    "stream_options": {"include_usage": True},
    "conversation": "conv_" + 32 * "a",
    "include": ["message.output_text.logprobs"],
    "logprobs": True,
    "top_logprobs": 3,
    "logit_bias": {"7": -100},
    "min_tokens": 2,
    "ignore_eos": True,
    "text": {"format": {"type": "json_object"}},
    "response_format": {"type": "json_object"},
    "structured_outputs": {"choice": ["yes", "no"]},
    "parallel_tool_calls": False,
    "functions": [{"name": "f", "parameters": {}}],
    "function_call": "none",
    "tool_choice": "none",
    # In the form of either protocol.
    "tools": [{"type": "function", "name": "f", "function": {"name": "f"}}],
}
FUNCTION = {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}
ALLOWED = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}
#: Other fields that a field needs.
BESIDE: Fields = {"tool_choice": {"tools": SAMPLES["tools"]}}
#: For each returned field, and some others, a value, and what the response has for it.
RETURNED: dict[str, dict[str, tuple[Any, Fields]]] = {
    "responses": {
        "tools": (
            [{"type": "function", **FUNCTION}, {"type": "function", "name": "g"}],
            {
                "tools": [
                    {"type": "function", **FUNCTION},
                    {
                        "type": "function",
                        "name": "g",
                        "description": None,
                        "parameters": None,
                        "strict": None,
                    },
                ]
            },
        ),
        "tool_choice": (ALLOWED, {"tool_choice": ALLOWED}),
        "reasoning": (
            {"effort": "low", "summary": "auto", "mode": "pro"},
            {"reasoning": {"effort": "low", "summary": "auto", "mode": "pro"}},
        ),
        "max_tool_calls": (3, {"max_tool_calls": 3}),
        "prompt_cache_options": (
            {"mode": "explicit", "comparison_response_id": "r"},
            {
                "prompt_cache_options": {
                    "mode": "explicit",
                    "ttl": "30m",
                    "comparison_response_id": "r",
                }
            },
        ),
    },
    "chat": {
        "tools": (
            [{"type": "function", "function": FUNCTION}],
            {"tools": [{"type": "function", **FUNCTION}]},
        ),
        "tool_choice": (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "auto",
                    "tools": [{"type": "function", "function": {"name": "f"}}],
                },
            },
            {"tool_choice": ALLOWED},
        ),
        "functions": (
            [{"name": "f", "parameters": {}}],
            {
                "tools": [
                    {
                        "type": "function",
                        "name": "f",
                        "description": None,
                        "parameters": {},
                        "strict": None,
                    }
                ]
            },
        ),
        "function_call": ("none", {"tool_choice": "none"}),
        "reasoning_effort": ("high", {"reasoning": {"effort": "high", "summary": None}}),
        "verbosity": ("high", {"text": {"format": {"type": "text"}, "verbosity": "high"}}),
        "prompt_cache_options": (
            {"ttl": "12h"},
            {"prompt_cache_options": {"mode": "implicit", "ttl": "12h"}},
        ),
    },
}
for values in RETURNED.values():
    values["prompt_cache_retention"] = ("in-memory", {"prompt_cache_retention": "in_memory"})
    for name in ("prompt_cache_key", "safety_identifier", "user"):
        values[name] = ("x", {name: "x"})
