"""What every engine refuses before it takes a turn: a prompt that could harm more than its own."""

from collections.abc import Sequence

from turnstream.workers.engine import BadPrompt


def check_prompt(prompt: Sequence[int], *, generated: int, context: int, vocabulary: int) -> None:
    """Refuse a prompt that cannot be answered.

    Raises:
        BadPrompt: no ids, an id outside the vocabulary, fewer than were generated, or no room left
            for one new token.
    """
    if not prompt:
        raise BadPrompt("the prompt is empty")
    if len(prompt) >= context:
        raise BadPrompt(
            f"the prompt has {len(prompt)} tokens; the context of {context} leaves no room for an"
            " answer"
        )
    if min(prompt) < 0 or max(prompt) >= vocabulary:
        raise BadPrompt(f"the prompt has an id outside the vocabulary of {vocabulary} tokens")
    if len(prompt) < generated:
        raise BadPrompt(f"{generated} of the prompt's {len(prompt)} ids were generated")
