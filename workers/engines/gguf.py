"""Unpack a GGUF file into a folder in Hugging Face layout, which is then loaded like any other.

It is done once for each file and dtype: a large model takes minutes, and vLLM reads folders only.
"""

import logging
import math
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GgufConfig

from turnstream.workers.engine import CheckpointError
from turnstream.workers.engines.model_cache import made_once, version_of
from turnstream.workers.engines.quiet_loading import first_line, quiet

if TYPE_CHECKING:
    # The engine `remote` runs without it.
    import torch
    from transformers.integrations.gguf.reader import GgufHeader

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


def unpacked(file: Path, *, dtype: "torch.dtype", cache: Path) -> Path:
    """Return the folder with the file's weights in a dtype, its tokenizer and chat template.

    Args:
        cache: see `made_once`.

    Raises:
        CheckpointError: the file cannot be read, or the folder cannot be written.
    """
    made_of = (version_of(file), str(dtype))
    return made_once(cache, file.stem, made_of, lambda folder: _unpack(file, folder, dtype))


def _unpack(file: Path, folder: Path, dtype: "torch.dtype") -> None:
    size = dtype.itemsize * sum(math.prod(tensor.shape) for tensor in _header(file).tensors)
    free = shutil.disk_usage(folder.parent).free
    if size > free:
        raise CheckpointError(
            f"{file}: unpacked it takes {size / 2**30:.1f} GiB in {folder.parent.parent},"
            f" where {free / 2**30:.1f} GiB are free"
        )
    log.info("unpacking %s as %s (%.1f GiB)", file, folder.name, size / 2**30)
    try:
        with quiet():
            model = AutoModelForCausalLM.from_pretrained(
                file.parent,
                gguf_file=file.name,
                dtype=dtype,
                quantization_config=GgufConfig(dequantize=True),
            )
            model.save_pretrained(folder)
            tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
            tokenizer.save_pretrained(folder)
    except Exception as exc:  # many libraries, many errors
        raise CheckpointError(f"{file}: cannot unpack it: {first_line(exc)}") from exc


def _header(file: Path) -> "GgufHeader":
    from transformers.integrations.gguf.reader import GgufHeader

    try:
        return GgufHeader.from_file(str(file))
    except Exception as exc:  # the reader trusts the file
        raise CheckpointError(
            f"{file}: not a GGUF file that can be read: {first_line(exc)}"
        ) from exc
