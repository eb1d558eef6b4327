"""Check a turn before an engine takes it; all engines refuse the same."""

from collections.abc import Sequence

from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.engine import BadLogitBias, BadPrompt


def check_turn(
    prompt: Sequence[int],
    sampling: SamplingParams,
    *,
    generated: int,
    context: int,
    vocabulary: int,
) -> None:
    """Check a turn before an engine takes it.

    Raises:
        BadPrompt: no ids, an id outside the vocabulary, fewer than were generated, or no room left
            for one new token.
        BadLogitBias: an id outside the vocabulary has a bias.
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
    for id, _ in sampling.logit_bias:
        if not 0 <= id < vocabulary:
            raise BadLogitBias(
                f"'logit_bias' has the token {id}; the model's tokens are 0 to {vocabulary - 1}"
            )
