"""What clients call a model, from what the setting calls it."""

from pathlib import Path

#: The ending of files that have all of a model.
GGUF = ".gguf"


def served_name(model: str) -> str:
    """Give names as they are, a folder by its last name, and a GGUF file without its ending."""
    if model.endswith(GGUF):
        return Path(model).name.removesuffix(GGUF)
    if model.startswith(("/", ".", "~")) or Path(model).is_dir():
        return Path(model).expanduser().resolve().name
    return model
