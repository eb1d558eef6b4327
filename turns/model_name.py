"""What clients call a model, and where it is, from what the setting calls it.

A setting may begin with the name: `tiny=/models/tiny-llama` is served as `tiny`.
"""

import re
from pathlib import Path

#: The ending of files that have all of a model.
GGUF = ".gguf"

_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)=(.+)")


def served_name(model: str) -> str:
    """Give names as they are, a folder by its last name, and a GGUF file without its ending."""
    if named := _NAMED.fullmatch(model):
        return named[1]
    if model.endswith(GGUF):
        return Path(model).name.removesuffix(GGUF)
    if model.startswith(("/", ".", "~")) or Path(model).is_dir():
        return Path(model).expanduser().resolve().name
    return model


def checkpoint_of(model: str) -> str:
    """Give what is to be loaded: the setting without the name that it may begin with."""
    named = _NAMED.fullmatch(model)
    return named[2] if named else model
