"""Seeds for engines whose random numbers begin anew at each submission of a turn."""

import hashlib


def position_seed(seed: int, position: int) -> int:
    """Return the seed of draws that begin after so many tokens, from 0 to below 2**56."""
    digest = hashlib.blake2b(f"{seed}:{position}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big")
