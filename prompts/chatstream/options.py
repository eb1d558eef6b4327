"""What a caller may ask of a rendering; every key may be left out."""

from typing import Literal, TypedDict


class PromptOptions(TypedDict, total=False):
    """Options shared by all ``get_contents`` and ``create_prompt…`` methods."""

    #: Leave the last message out, as if its author had not spoken yet.
    omit_last_message: bool
    #: Stop after the message of this id; an unknown id means the whole history.
    to_message_id: str
    #: Keep this many of the newest turns (a request and its reply).
    max_turns: int
    #: Tokens the whole prompt may have, control tokens included.
    max_prompt_tokens: int
    #: ``auto`` drops the oldest turns until the prompt fits; otherwise too long is an error.
    truncation: Literal["auto", "disabled"]
    #: Keep the space the format writes after the last mark; Meta's code does not have it.
    keep_final_space: bool
    #: Ids of the two control tokens; Llama 2's are 1 and 2.
    bos_id: int
    eos_id: int
