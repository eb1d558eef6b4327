"""Options within a request, each declared once; the requests themselves are in `requests.py`.

Most have no effect on an answer and are returned with the response: see `fields.py`.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

#: A name of somebody else's choice: a person, a cache.
Identifier = Annotated[str, Meta(max_length=512)] | None
Verbosity = Literal["low", "medium", "high"] | None
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None
Summary = Literal["auto", "concise", "detailed"] | None
#: A tool as its protocol describes it; functions can be called.
Tool = Annotated[
    dict[str, Any],
    Meta(extra_json_schema={"required": ["type"], "properties": {"type": {"type": "string"}}}),
]
Includable = Literal[
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
    "message.input_image.image_url",
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
]


#: As the SDKs name schemas.
SchemaName = Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]{1,64}$")]


class PlainFormat(Struct, frozen=True, tag_field="type", tag="text"):
    """Plain text."""


class JsonObjectFormat(Struct, frozen=True, tag_field="type", tag="json_object"):
    """A JSON object; of a schema, as llama.cpp has it."""

    schema: dict[str, Any] | None = None


class JsonSchemaFormat(Struct, frozen=True, kw_only=True, tag_field="type", tag="json_schema"):
    """JSON of a schema."""

    name: SchemaName
    schema: dict[str, Any]
    description: str | None = None
    #: An answer follows the schema in any case.
    strict: bool | None = None


class ChatSchema(Struct, frozen=True, kw_only=True):
    """The schema of a chat completion."""

    name: SchemaName
    #: Absent: any JSON.
    schema: dict[str, Any] | None = None
    description: str | None = None
    #: An answer follows the schema in any case.
    strict: bool | None = None


class ChatSchemaFormat(Struct, frozen=True, tag_field="type", tag="json_schema"):
    """JSON of a schema, as chat completions nest it."""

    json_schema: ChatSchema


ResponseFormat = PlainFormat | JsonObjectFormat | JsonSchemaFormat
ChatFormat = PlainFormat | JsonObjectFormat | ChatSchemaFormat


class StructuredOutputs(Struct, frozen=True, kw_only=True):
    """Another form of the answer, as vLLM has it; exactly one of these."""

    #: A JSON schema, or its text.
    json: dict[str, Any] | str | None = None
    #: The whole answer matches it.
    regex: Annotated[str, Meta(min_length=1)] | None = None
    #: The answer is one of these texts.
    choice: (
        Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(min_length=1, max_length=1000)]
        | None
    ) = None
    #: In Lark, with a rule `start`.
    grammar: Annotated[str, Meta(min_length=1)] | None = None
    json_object: bool | None = None


class TextOptionsInput(Struct, frozen=True):
    """Format of the answer's text."""

    format: ResponseFormat | None = None
    #: Returned with the response; the answer is as long as the model makes it.
    verbosity: Verbosity = None


class ReasoningOptions(Struct, frozen=True):
    """How a model that reasons is to do so; returned with the response."""

    effort: Effort = None
    summary: Summary = None
    generate_summary: Summary = None
    context: Literal["auto", "current_turn", "all_turns"] | None = None
    mode: Identifier = None


class FunctionName(Struct, frozen=True):
    """A function, by its name."""

    name: str


class FunctionToolChoice(Struct, frozen=True, tag_field="type", tag="function"):
    """The function that must be called."""

    name: str


class ChatFunctionChoice(Struct, frozen=True, tag_field="type", tag="function"):
    """The function that must be called, as chat completions nest it."""

    function: FunctionName


class AllowedToolsChoice(Struct, frozen=True, tag_field="type", tag="allowed_tools"):
    """Some of the tools."""

    mode: Literal["auto", "required"]
    tools: list[Tool]


class AllowedChatTools(Struct, frozen=True):
    """Some of the tools of a chat completion request."""

    mode: Literal["auto", "required"]
    tools: list[Tool]


class AllowedChatToolsChoice(Struct, frozen=True, tag_field="type", tag="allowed_tools"):
    """Some of the tools of a chat completion request, as they are nested there."""

    allowed_tools: AllowedChatTools


class CacheOptions(Struct, frozen=True):
    """How a service that caches prompts by request is to do so; returned with the response."""

    mode: Literal["implicit", "explicit"] | None = None
    ttl: Literal["30m", "12h"] | None = None


class PromptCacheOptions(CacheOptions, frozen=True):
    """`prewarm` requests a warm-up, like `generate: false`; the rest is returned."""

    prewarm: bool | None = None
    comparison_response_id: Identifier = None


class BackgroundOptions(Struct, frozen=True):
    """How a background turn is scheduled; a window of hours puts it into the batch tier."""

    completion_window: Literal["soonest", "2h", "8h"] | None = None
    #: Returned with the response.
    continuation_id: Identifier = None


class ResponseStreamOptions(Struct, frozen=True):
    """Options of a stream of events."""

    #: Nothing is added to hide the length of a slice.
    include_obfuscation: Annotated[bool, Meta(extra_json_schema={"const": False})] | None = None


class StreamOptions(Struct, frozen=True):
    """Options of a chat completion's stream."""

    include_usage: bool | None = None
    #: Nothing is added to hide the length of a slice.
    include_obfuscation: Annotated[bool, Meta(extra_json_schema={"const": False})] | None = None


class Function(Struct, frozen=True):
    """A tool as older clients describe it."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
