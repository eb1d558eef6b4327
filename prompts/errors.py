"""What can be wrong with a conversation before a model ever sees it.

This room imports nothing of ours, so these are not part of the tree in ``turns``: callers translate
them, by ``code`` and by their attributes.
"""

from typing import ClassVar


class PromptError(Exception):
    """Base of every error this room raises about its input."""

    #: Stable name on the wire; the layers above pass it on.
    code: ClassVar[str] = "invalid_prompt"


class ControlStringError(PromptError):
    """Text from outside holds a string that the prompt format gives a meaning to."""

    code = "unsafe_prompt"

    def __init__(self, control_string: str) -> None:
        super().__init__(f"{control_string!r} marks up prompts and cannot be part of a message")
        self.control_string = control_string


class PromptTooLong(PromptError):
    """The conversation has more tokens than the model has room for."""

    code = "context_length_exceeded"

    def __init__(self, tokens: int, limit: int) -> None:
        super().__init__(f"the prompt is {tokens} tokens long; the limit is {limit}")
        self.tokens = tokens
        self.limit = limit
