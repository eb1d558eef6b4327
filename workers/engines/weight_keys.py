"""Refuse a checkpoint whose weights are not those of its model, by their names.

transformers draws missing weights at random and drops those that it does not know: without a scale
or a bias, what is left loads and answers nonsense.
"""

import re
from collections.abc import Iterable

from turnstream.workers.engine import CheckpointError

#: Computed from the config; old checkpoints have them too.
_NOT_NEEDED = re.compile(r"rotary_emb\.inv_freq$")


def check_keys(model: str, *, missing: Iterable[str], unexpected: Iterable[str]) -> None:
    """Raise CheckpointError if weights are missing or would be dropped."""
    if lacking := sorted(missing):
        raise CheckpointError(
            f"model {model}: {len(lacking)} weights are missing, such as {lacking[0]}"
        )
    if unknown := sorted(key for key in unexpected if not _NOT_NEEDED.search(key)):
        raise CheckpointError(
            f"model {model}: {len(unknown)} weights are not known to transformers,"
            f" such as {unknown[0]}; is it quantised in a way that it does not support?"
        )
