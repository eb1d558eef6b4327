"""What clients call a model, from what the setting calls it."""

from pathlib import Path


def served_name(model: str) -> str:
    """Give `demo` and hub names as they are, and a folder by its last name."""
    if model.startswith(("/", ".", "~")) or Path(model).is_dir():
        return Path(model).expanduser().resolve().name
    return model
