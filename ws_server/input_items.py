"""Items of a conversation as clients send them, in both protocols.

Lenient, since clients send back what other services and models made: content may be missing or
null, and fields that are not declared here are ignored. `items.py` is strict where it matters.
"""

from typing import Any, Literal

from msgspec import Struct

from turnstream.turns.shapes import FunctionCallId, MessageId

Role = Literal["user", "assistant", "system", "developer"]
ChatRole = Literal["user", "assistant", "system", "developer", "tool", "function"]
Status = Literal["in_progress", "completed", "incomplete"]


class InputTextPart(Struct, frozen=True, tag_field="type", tag="input_text"):
    """Text of a user."""

    text: str


class OutputTextPart(Struct, frozen=True, tag_field="type", tag="output_text"):
    """Text of an answer."""

    text: str


class TextPart(Struct, frozen=True, tag_field="type", tag="text"):
    """Text in a chat completion request."""

    text: str


class RefusalPart(Struct, frozen=True, tag_field="type", tag="refusal"):
    """A model's refusal."""

    refusal: str


class InputImagePart(Struct, frozen=True, tag_field="type", tag="input_image"):
    """An image; refused in the last user message, and a note before it."""


class ImageUrlPart(Struct, frozen=True, tag_field="type", tag="image_url"):
    """An image in a chat completion request; refused in the last user message."""


class InputFilePart(Struct, frozen=True, tag_field="type", tag="input_file"):
    """A file; refused in the last user message, and a note before it."""


class FilePart(Struct, frozen=True, tag_field="type", tag="file"):
    """A file in a chat completion request; refused in the last user message."""


class InputAudioPart(Struct, frozen=True, tag_field="type", tag="input_audio"):
    """Sound; refused in the last user message, and a note before it."""


class VideoUrlPart(Struct, frozen=True, tag_field="type", tag="video_url"):
    """A video in a chat completion request; refused in the last user message."""


TextualPart = InputTextPart | OutputTextPart | TextPart | RefusalPart
OtherPart = InputImagePart | ImageUrlPart | InputFilePart | FilePart | InputAudioPart | VideoUrlPart
Content = (
    str
    | list[
        InputTextPart
        | OutputTextPart
        | TextPart
        | RefusalPart
        | InputImagePart
        | ImageUrlPart
        | InputFilePart
        | FilePart
        | InputAudioPart
        | VideoUrlPart
    ]
    | None
)


class Message(Struct, frozen=True, tag_field="type", tag="message"):
    """A message of the conversation; `type` may be left out."""

    role: Role
    content: Content = None


class ItemReference(Struct, frozen=True, tag_field="type", tag="item_reference"):
    """A message or a call of a stored answer, named by id."""

    id: MessageId | FunctionCallId


class Reasoning(Struct, frozen=True, tag_field="type", tag="reasoning"):
    """Reasoning of another model; ignored."""


class CompactionInput(Struct, frozen=True, tag_field="type", tag="compaction"):
    """A compacted conversation, as `POST /v1/responses/compact` returned it."""

    encrypted_content: str


class FunctionCallInput(Struct, frozen=True, tag_field="type", tag="function_call"):
    """A call of a tool."""

    call_id: str
    name: str
    arguments: str = ""
    id: str | None = None
    status: Status | None = None


class FunctionCallOutputInput(Struct, frozen=True, tag_field="type", tag="function_call_output"):
    """What a tool returned."""

    call_id: str | None = None
    output: Content = None
    id: str | None = None
    status: Status | None = None


class CustomCallInput(Struct, frozen=True, tag_field="type", tag="custom_tool_call"):
    """A call of a tool that takes text; kept as a function call."""

    call_id: str
    name: str
    input: str = ""
    id: str | None = None


class CustomCallOutputInput(Struct, frozen=True, tag_field="type", tag="custom_tool_call_output"):
    """What such a tool returned; kept as the output of a function call."""

    call_id: str | None = None
    output: Content = None
    id: str | None = None


Items = list[
    Message
    | ItemReference
    | CompactionInput
    | Reasoning
    | FunctionCallInput
    | FunctionCallOutputInput
    | CustomCallInput
    | CustomCallOutputInput
]

#: Steps of tools that other services run themselves. What came of them is in the answer that
#: follows, so they are ignored like reasoning.
IGNORED_TYPES = frozenset(
    {
        "additional_tools",
        "apply_patch_call",
        "apply_patch_call_output",
        "code_interpreter_call",
        "compaction_trigger",
        "computer_call",
        "computer_call_output",
        "configuration_update",
        "file_search_call",
        "image_generation_call",
        "local_shell_call",
        "local_shell_call_output",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_call",
        "mcp_list_tools",
        "program",
        "program_output",
        "shell_call",
        "shell_call_output",
        "tool_search_call",
        "tool_search_output",
        "web_search_call",
    }
)


class CalledFunction(Struct, frozen=True):
    """The function of a call in a chat message."""

    name: str
    #: JSON; some clients send the object itself.
    arguments: str | dict[str, Any] | None = None


class CalledTool(Struct, frozen=True):
    """The tool of a call in a chat message, which takes text."""

    name: str
    input: str = ""


class ToolCall(Struct, frozen=True):
    """A call in a chat message: of a function, or of a custom tool."""

    id: str = ""
    function: CalledFunction | None = None
    custom: CalledTool | None = None


class ChatMessage(Struct, frozen=True):
    """A message of a chat completion request; a participant's `name` is accepted and ignored."""

    role: ChatRole
    content: Content = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    #: The forms of before `tool_calls`.
    function_call: CalledFunction | None = None
    name: str | None = None
