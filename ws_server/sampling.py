"""Read how the tokens of an answer are to be chosen, and what is to be told of them."""

from typing import Any

from turnstream.turns.sampling_params import SamplingParams
from turnstream.ws_server import field, requests

#: The value of `include` that asks for log probabilities.
LOGPROBS = "message.output_text.logprobs"
_DEFAULTS = SamplingParams()
#: Parameters whose default is the model's, or drawn.
_MODEL_DEFAULTS = ("temperature", "top_p", "seed")


def sampling_of(body: requests.Sampling, *, limit: int | None) -> dict[str, Any]:
    """Return the sampling parameters that a request states, by their names in `SamplingParams`.

    Args:
        limit: tokens that the answer may have.

    Raises:
        BadRequest: `min_tokens` is above the limit.
    """
    if limit is not None and (body.min_tokens or 0) > limit:
        raise field.wrong("min_tokens", f"at most the largest number of tokens, {limit}")
    stated = {
        name: value
        for name in requests.Sampling.__struct_fields__
        if (value := getattr(body, name)) is not None
    }
    if stated.get("top_k") == -1:
        # Clients differ: both -1 and 0 mean no limit.
        stated["top_k"] = 0
    if body.logit_bias is not None:
        # In one order, so that a repeated request is recognised.
        stated["logit_bias"] = tuple(sorted((int(id), b) for id, b in body.logit_bias.items()))
    # A stated default is the same request as an absent one, unless the model has its own default.
    return {
        name: value
        for name, value in stated.items()
        if name in _MODEL_DEFAULTS or value != getattr(_DEFAULTS, name)
    }


def logprobs_of(body: requests.ResponseBody) -> dict[str, Any]:
    """Return the number of likeliest tokens to report; with a number, they count as included."""
    if LOGPROBS in (body.include or ()) or body.top_logprobs:
        return {"top_logprobs": body.top_logprobs or 0}
    return {}
