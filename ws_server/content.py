"""The text of a message's content, and what is no text."""

from turnstream.turns.errors import BadRequest
from turnstream.ws_server import input_items

#: What each kind of part is called in the note that replaces it.
_KINDS: dict[type[input_items.OtherPart], str] = {
    input_items.InputImagePart: "image",
    input_items.ImageUrlPart: "image",
    input_items.InputFilePart: "file",
    input_items.FilePart: "file",
    input_items.InputAudioPart: "audio",
    input_items.VideoUrlPart: "video",
}


def text_of(content: input_items.Content, *, between: str = "") -> str:
    """Return the text of a content, with a note such as ``[image]`` for what is no text."""
    if isinstance(content, str):
        return content
    return between.join(_text(part) for part in content or ())


def check_text_only(param: str, content: input_items.Content) -> None:
    """Check that a content has text only.

    Raises:
        BadRequest: a part is an image or the like; the error names it.
    """
    for number, part in enumerate(content if isinstance(content, list) else ()):
        if type(part) in _KINDS:
            tag = type(part).__struct_config__.tag
            raise BadRequest(
                f"'{param}[{number}]' is of type '{tag}': this model reads text only.",
                code="unsupported_value",
                param=f"{param}[{number}].type",
            )


def _text(part: input_items.TextualPart | input_items.OtherPart) -> str:
    match part:
        case input_items.InputTextPart() | input_items.OutputTextPart() | input_items.TextPart():
            return part.text
        case input_items.RefusalPart():
            return part.refusal
        case _:
            return f"[{_KINDS[type(part)]}]"
