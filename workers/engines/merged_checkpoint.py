"""A checkpoint with a LoRA adapter in its weights, as a folder: for vLLM, which loads by itself."""

from dataclasses import replace
from pathlib import Path

import torch

from turnstream.workers.engine import CheckpointError
from turnstream.workers.engines import lora
from turnstream.workers.engines.checkpoint import Checkpoint, load_model
from turnstream.workers.engines.model_cache import made_once, version_of
from turnstream.workers.engines.weight_files import weight_files


def merged(
    checkpoint: Checkpoint, adapter: Path, *, dtype: torch.dtype, cache: Path | None
) -> Checkpoint:
    """Return a checkpoint whose folder has the adapter in its weights.

    Raises:
        CheckpointError: adapter or weights cannot be read, or there is no cache to write to.
    """
    if cache is None:
        raise CheckpointError(f"model {checkpoint.name}: no folder for the merged weights")

    def make(folder: Path) -> None:
        model = load_model(checkpoint, device=torch.device("cpu"), dtype=dtype)
        lora.merge(model, adapter)
        model.save_pretrained(folder)

    parts = [adapter / lora.WEIGHTS, adapter / lora.CONFIG, *weight_files(checkpoint.folder)]
    made_of = ([version_of(file) for file in parts], str(dtype))
    folder = made_once(cache, checkpoint.name, made_of, make)
    return replace(checkpoint, folder=folder, adapter=None)
