"""Makes turns as a node submits them, with a default for every field."""

from typing import Any

from turnstream.turns.ids import new_response_id
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.turn import Message, Request, Tier, Turn

#: Eight tokens that do not depend on a draw.
GREEDY = SamplingParams(max_tokens=8, temperature=0.0, top_p=1.0, seed=1)


def new_turn(
    text: str = "Hello",
    *,
    model: str = "tiny",
    owner: str = "ann",
    tier: Tier = "default",
    instructions: str | None = None,
    sampling: SamplingParams = GREEDY,
    **fields: Any,
) -> Turn:
    """Return a turn with an id of its own.

    Args:
        fields: other fields of `Turn`, such as `store` or `idempotency_key`.
    """
    defaults: dict[str, Any] = {
        "previous_response_id": None,
        "previous_cached": False,
        "store": True,
        "metadata": {},
        "created_at": 1_800_000_000,
    }
    return Turn(
        id=new_response_id(),
        owner=owner,
        model=model,
        tier=tier,
        input=(Message("user", text),),
        request=Request(instructions=instructions, sampling=sampling),
        **(defaults | fields),
    )
