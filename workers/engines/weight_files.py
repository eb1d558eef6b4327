"""The files of a checkpoint's weights, and what is wrong with them before they are read.

Reading a large model takes minutes, and what transformers says of a broken file does not name it.
"""

import json
import struct
from pathlib import Path

from turnstream.workers.engine import CheckpointError

_INDEX = ".index.json"


def weight_files(folder: Path) -> list[Path]:
    """Return the files that are loaded; torch's own only where there are no safetensors."""
    return sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))


def check(folder: Path) -> None:
    """Raise for a file that is missing or not whole.

    Raises:
        CheckpointError: it names the file.
    """
    files = weight_files(folder)
    if not files:
        raise CheckpointError(f"no weights in {folder}")
    for file in files:
        if file.suffix == ".safetensors":
            _check_size(file)
        index = folder / f"{_base(file)}{_INDEX}"
        if index.is_file():
            _check_index(index)


def _base(file: Path) -> str:
    """Return a file's name without the number of its shard."""
    stem, _, _ = file.name.partition("-0")
    return stem + file.suffix if stem != file.name else file.name


def _check_index(index: Path) -> None:
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as exc:
        raise CheckpointError(f"{index}: cannot be read") from exc
    if missing := sorted(name for name in names if not (index.parent / str(name)).is_file()):
        raise CheckpointError(f"{index.parent / missing[0]}: missing, and the model needs it")


def _check_size(file: Path) -> None:
    """Compare a file's size with what its header promises."""
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > file.stat().st_size:
                raise ValueError("its header is longer than the file")
            header = json.loads(stream.read(length))
        ends = [at["data_offsets"][1] for name, at in header.items() if name != "__metadata__"]
    except (OSError, ValueError, KeyError, AttributeError, TypeError, struct.error) as exc:
        raise CheckpointError(f"{file}: cannot read the weights: no safetensors file") from exc
    if file.stat().st_size < 8 + length + max(ends, default=0):
        raise CheckpointError(f"{file}: the file is cut short; copy or download it again")
