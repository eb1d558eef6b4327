"""How a turn wants its tokens chosen, in vLLM's words."""

import hashlib
from collections.abc import Sequence

import vllm
from vllm.sampling_params import RequestOutputKind

from turnstream.turns.sampling_params import SamplingParams

#: The smallest top_p above the 0 that vLLM refuses: either leaves the likeliest token alone.
LEAST_TOP_P = 1e-9


def sampling_params(
    prompt: Sequence[int], sampling: SamplingParams, *, context: int, eos_ids: frozenset[int]
) -> vllm.SamplingParams:
    """Say it all, and nothing that the checkpoint suggests."""
    # A turn that goes on must not meet the draws of its beginning again.
    digest = hashlib.blake2b(f"{sampling.seed}:{len(prompt)}".encode(), digest_size=7).digest()
    return vllm.SamplingParams(
        max_tokens=min(sampling.max_tokens or context, context - len(prompt)),
        temperature=sampling.temperature,
        top_p=max(sampling.top_p, LEAST_TOP_P),
        top_k=sampling.top_k,
        seed=int.from_bytes(digest, "big"),
        frequency_penalty=sampling.frequency_penalty,
        presence_penalty=sampling.presence_penalty,
        repetition_penalty=sampling.repetition_penalty,
        # The tokens that end an answer are ours to say.
        ignore_eos=True,
        stop_token_ids=sorted(eos_ids),
        detokenize=False,
        output_kind=RequestOutputKind.DELTA,
    )
