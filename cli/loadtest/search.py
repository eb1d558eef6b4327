"""Find the highest rate at which a run still meets its target."""

from collections.abc import Awaitable, Callable

#: Runs with more and more people, at most.
MOST_DOUBLINGS = 8
#: Runs between the last rate that was met and the first that was not.
HALVINGS = 3


async def find_rate(meets: Callable[[float], Awaitable[bool]], first: float) -> float:
    """Double or halve the rate until the answer changes, then look in between.

    Args:
        meets: run at a rate, and return whether the target was met.

    Returns:
        The highest rate that was seen to meet it; 0: none did.
    """
    best, missed, rate = 0.0, float("inf"), first
    for _ in range(MOST_DOUBLINGS):
        if await meets(rate):
            best, rate = rate, rate * 2
            if missed < float("inf"):
                break
        else:
            missed, rate = rate, rate / 2
            if best:
                break
    if not best or missed == float("inf"):
        return best
    for _ in range(HALVINGS):
        rate = (best + missed) / 2
        if await meets(rate):
            best = rate
        else:
            missed = rate
    return best
