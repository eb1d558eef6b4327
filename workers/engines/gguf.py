"""Unpack a GGUF file into a folder in Hugging Face layout, which is then loaded like any other.

The folder is in the user's cache and is made once for each file and dtype: unpacking a large model
takes minutes, and vLLM reads folders only. It may be deleted whenever no worker is starting.
"""

import fcntl
import hashlib
import logging
import math
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GgufConfig
from transformers.integrations.gguf.reader import GgufHeader

from turnstream.workers.engine import CheckpointError
from turnstream.workers.engines.quiet_loading import first_line, quiet

log = logging.getLogger(__name__)

NEEDED = ("accelerate", "gguf")
#: What the parts of a split file are called.
_PART = re.compile(r"-\d{5}-of-\d{5}$")


def check(file: Path) -> str:
    """Return what kind of model a file holds, as `config.json` would call it.

    Raises:
        CheckpointError: it cannot be unpacked here, is incomplete or no GGUF file.
    """
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise CheckpointError(
            f"{file}: to unpack GGUF, install the extra turnstream[gguf]"
            f" ({', '.join(missing)} not found)"
        )
    if _PART.search(file.stem):
        raise CheckpointError(
            f"{file}: a part of a split GGUF; join the parts by `llama-gguf-split --merge`"
        )
    header = _header(file)
    end = max((tensor.offset + tensor.nbytes for tensor in header.tensors), default=0)
    if header.data_start + end > file.stat().st_size:
        raise CheckpointError(f"{file}: the file is cut short; copy or download it again")
    try:
        with quiet():
            return AutoConfig.from_pretrained(file.parent, gguf_file=file.name).model_type
    except Exception as exc:  # many libraries, many errors
        raise CheckpointError(f"{file}: cannot read its config: {first_line(exc)}") from exc


def unpacked(file: Path, *, dtype: torch.dtype, cache: Path) -> Path:
    """Return the folder with the file's weights in a dtype, its tokenizer and chat template.

    Args:
        cache: the folder for all of them; other processes may use it at the same time.

    Raises:
        CheckpointError: the file cannot be read, or the folder cannot be written.
    """
    stat = file.stat()
    made_of = (file.resolve(), stat.st_size, stat.st_mtime_ns, dtype, transformers.__version__)
    digest = hashlib.sha256(repr(made_of).encode()).hexdigest()[:12]
    folder = cache / "models" / f"{file.stem}-{digest}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_name(f"{folder.name}.lock")):
            if not folder.is_dir():
                _unpack(file, folder, dtype)
    except OSError as exc:
        raise CheckpointError(f"{file}: cannot unpack it into {folder}: {exc}") from exc
    return folder


def _unpack(file: Path, folder: Path, dtype: torch.dtype) -> None:
    size = dtype.itemsize * sum(math.prod(tensor.shape) for tensor in _header(file).tensors)
    free = shutil.disk_usage(folder.parent).free
    if size > free:
        raise CheckpointError(
            f"{file}: unpacked it takes {size / 2**30:.1f} GiB in {folder.parent},"
            f" where {free / 2**30:.1f} GiB are free"
        )
    log.info("unpacking %s into %s (%.1f GiB)", file.name, folder, size / 2**30)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unpacking-") as unfinished:
        complete = Path(unfinished) / folder.name
        try:
            with quiet():
                model = AutoModelForCausalLM.from_pretrained(
                    file.parent,
                    gguf_file=file.name,
                    dtype=dtype,
                    quantization_config=GgufConfig(dequantize=True),
                )
                model.save_pretrained(complete)
                tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
                tokenizer.save_pretrained(complete)
        except Exception as exc:  # many libraries, many errors
            raise CheckpointError(f"{file}: cannot unpack it: {first_line(exc)}") from exc
        complete.rename(folder)


def _header(file: Path) -> GgufHeader:
    try:
        return GgufHeader.from_file(str(file))
    except Exception as exc:  # the reader trusts the file
        raise CheckpointError(
            f"{file}: not a GGUF file that can be read: {first_line(exc)}"
        ) from exc


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold a file's lock; it ends with the process that holds it."""
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
